"""The grid of where things stood."""

from __future__ import annotations

import numpy as np

from gateway.app.heat import COLUMNS, ROWS, HeatMaps
from gateway.clock import ReplayClock
from gateway.events import Detections

T0 = 1_780_000_000 * 10**9


def look(boxes: list[tuple[float, float, float, float]], scores: list[float], camera: str = "street") -> Detections:
    """One look of 960 × 540."""
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(camera, 1, T0, 960, 540, xyxy, np.array(scores, np.float32), np.zeros(len(boxes), np.int16))


def test_what_stands_somewhere_counts_once_a_look_where_its_feet_are() -> None:
    """Given two sure boxes whose feet share a cell, an unsure one and one beyond the edge: three cells at most."""
    maps = HeatMaps(ReplayClock(T0), {"street": 0.4})
    maps.take(
        look([(90, 100, 110, 209), (95, 50, 107, 205), (0, 0, 20, 20), (900, 500, 1000, 700)], [0.9, 0.5, 0.2, 0.8])
    )
    maps.take(look([(90, 100, 110, 209), (float("nan"), 0, 1, 1)], [0.9, 0.9]))
    heat = maps.of("street")
    assert heat is not None
    assert heat.cells.shape == (ROWS, COLUMNS)
    assert (heat.cells[10, 5], heat.cells[ROWS - 1, 47], heat.cells.sum(), heat.looks) == (2, 1, 3, 2)
    assert heat.since_ns == T0


def test_an_hour_rolls_off_and_other_cameras_are_left_out() -> None:
    """Given looks every five minutes for two hours, then the last hour is there; a camera without a model has none."""
    clock = ReplayClock(T0)
    maps = HeatMaps(clock, {"street": 0.4})
    maps.take(look([(0, 0, 10, 10)], [0.9], "other"))
    for _ in range(24):
        maps.take(look([(90, 100, 110, 209)], [0.9]))
        clock.advance(300)
    heat = maps.of("street")
    assert heat is not None
    assert heat.looks == 11
    assert maps.of("other") is None
