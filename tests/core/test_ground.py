"""The ground as a homography: against known cameras, and what it says of its own scale."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import ground
from gateway.config.ground import homography, mapped, metres_of
from gateway.config.model import Ground
from gateway.core.ground import GroundPlane, plane_of
from tests.core.streams import searching
from tests.core.test_lint import findings

MARKS = ((0.1, 0.95), (0.9, 0.95), (0.7, 0.35), (0.3, 0.35))
SPOTS = ((0.5, 0.5), (0.2, 0.4), (0.9, 0.99), (0.45, 0.36))


def on_ground(u: float, v: float, up: float, down: float, focal: float) -> tuple[float, float]:
    """Where a camera `up` metres high that looks down by `down` radians sees a point: by its ray."""
    right, below = (u - 0.5) * 16 / 9 / focal, (v - 0.5) / focal
    t = up / (math.sin(down) + below * math.cos(down))
    return right * t, (math.cos(down) - below * math.sin(down)) * t


@searching(60)
@given(up=st.floats(3, 30), down=st.floats(0.25, 1.2), focal=st.floats(0.7, 3))
def test_four_pairs_of_any_camera_give_back_every_other_point(up: float, down: float, focal: float) -> None:
    pairs = tuple((mark, on_ground(*mark, up, down, focal)) for mark in MARKS)

    assert ground.problems(Ground(metres=pairs)) == []
    plane = plane_of(Ground(metres=pairs))

    assert plane is not None
    truth = np.array([on_ground(*spot, up, down, focal) for spot in SPOTS])
    np.testing.assert_allclose(plane.metres(np.array(SPOTS)), truth, rtol=1e-8, atol=1e-8)


def test_more_pairs_than_four_are_fitted_and_one_that_is_off_is_named() -> None:
    more = (*MARKS, (0.5, 0.6), (0.4, 0.8))
    pairs = [(mark, on_ground(*mark, 6, 0.5, 1)) for mark in more]
    h = homography(pairs)
    assert h is not None
    for spot, (east, north) in pairs:
        assert mapped(h, spot)[:2] == pytest.approx((east, north), abs=1e-6)

    wrong = [*pairs[:5], (pairs[5][0], (pairs[5][1][0] - 4.0, pairs[5][1][1]))]
    ((key, told),) = ground.problems(Ground(metres=tuple(wrong)))
    assert key == "metres"
    assert "off where all of them together have it" in told or "go round one way" in told


def test_above_the_horizon_there_is_no_place() -> None:
    plane = plane_of(Ground(metres=tuple((mark, on_ground(*mark, 6, 0.3, 1)) for mark in MARKS)))
    assert plane is not None

    places = plane.metres(np.array([[0.5, 0.5], [0.5, 0.05]]))

    assert np.isfinite(places[0]).all()
    assert np.isnan(places[1]).all()


def test_the_local_scale_is_that_of_a_small_step() -> None:
    plane = plane_of(Ground(metres=tuple((mark, on_ground(*mark, 6, 0.5, 1)) for mark in MARKS)))
    assert plane is not None
    spot, step = np.array([[0.6, 0.55]]), 1e-6

    for axis in (0, 1):
        other = spot + np.eye(2)[axis] * step
        moved = np.hypot(*(plane.metres(other) - plane.metres(spot))[0]) / step
        assert plane.scales(spot)[0, axis] == pytest.approx(moved, rel=1e-4)


def test_longitudes_and_latitudes_become_metres() -> None:
    """At 40° N a degree is 85,394 m to the east and 111,035 m to the north on WGS-84's ellipsoid."""
    far = 0.001
    corners = [(116, 40), (116 + far, 40), (116 + far, 40 + far), (116, 40 + far)]
    given = tuple(zip(MARKS, corners, strict=True))

    places = [place for _, place in metres_of(Ground(wgs84=given))]

    assert places[0] == (0.0, 0.0)
    assert places[1] == pytest.approx((85.394, 0.0), abs=0.01)
    assert places[2] == pytest.approx((85.394, 111.035), abs=0.01)


def test_shifted_datums_measure_the_same_ground() -> None:
    given = [(116.39, 39.90), (116.3905, 39.90), (116.3905, 39.9004), (116.39, 39.9004)]
    in_wgs84 = metres_of(Ground(wgs84=tuple(zip(MARKS, given, strict=True))))
    in_gcj02 = metres_of(Ground(gcj02=tuple(zip(MARKS, given, strict=True))))

    for (_, a), (_, b) in zip(in_wgs84, in_gcj02, strict=True):
        assert a == pytest.approx(b, abs=0.5)  # the shift varies by a part in ten thousand


def test_the_solver_is_the_same_on_every_machine() -> None:
    """It lies in config/, where the core's lint does not look; metres_of rounds what its cosine may differ by."""
    tree = ast.parse(Path(ground.__file__).read_text(encoding="utf-8"))

    told = [one for one in findings(tree, "ground.py") if ".cos differs" not in one and ".sin differs" not in one]

    assert told == []


def test_a_plane_maps_arrays_as_the_scalar_does() -> None:
    h = homography([(mark, on_ground(*mark, 6, 0.5, 1)) for mark in MARKS])
    assert h is not None
    spots = np.random.default_rng(1).uniform([0, 0.35], [1, 1], (200, 2))

    both = GroundPlane(h).metres(spots)

    assert both.tolist() == [list(mapped(h, (x, y))[:2]) for x, y in spots.tolist()]
