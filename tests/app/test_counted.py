"""What zones and lines came to in an hour, from the minutes of a real history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.app.counted import counted
from gateway.clock import ReplayClock
from gateway.config.box import HistoryConfig
from gateway.ports import Counted
from gateway.sinks.history import FILE, History

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MINUTE = 60 * 10**9
T0 = 29_666_667 * MINUTE
HOUR = 60 * MINUTE


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[History]:
    """A history file."""
    made = History(tmp_path / FILE, HistoryConfig(), ReplayClock(T0 + HOUR))
    yield made
    await made.aclose()


def zone(minute: int, entered: int, coverage: float, unsure: float, camera: str = "street") -> str:
    """A minute as the core writes it."""
    fields = f"most=3i,entered={entered}i,appeared=0i,left=1i,lost=0i,mean=1.5,stay=4.0"
    sure = f"coverage={coverage},rate=5.0,uncertainty={unsure}"
    return f"zhiwang_zone,camera={camera},label=person,zone=zebra {fields},{sure} {T0 + minute * MINUTE}\n"


def line(minute: int, way: str, count: int) -> str:
    """As above."""
    tags = f"camera=street,direction={way},label=person,line=kerb"
    return f"zhiwang_line,{tags} count={count}i,coverage=1.0,rate=5.0,uncertainty=0.05 {T0 + minute * MINUTE}\n"


async def test_an_hours_sums_carry_their_doubt_and_what_was_watched(history: History) -> None:
    """Given half an hour watched well and a minute badly, then sums, each minute's doubt, and the share of the hour."""
    lines = [zone(m, 2, 1.0, 0.05) for m in range(30)] + [zone(30, 4, 0.5, 1.0), zone(-5, 100, 1.0, 0.05)]
    lines += [zone(1, 50, 1.0, 0.05, "other")]
    lines += [line(m, way, n) for m in range(10) for way, n in (("in", 3), ("out", 1))]
    await history.store_series(["".join(lines).encode()])

    came = await counted(history, "street", T0, T0 + HOUR)

    kerb = Counted("lines", "kerb", "person", {"in": 30, "out": 10}, {"in": 2, "out": 1}, 0.0, 0, 10 / 60)
    assert came[0] == kerb
    zebra = came[1]
    assert (zebra.kind, zebra.name, zebra.label) == ("zones", "zebra", "person")
    assert zebra.counts == {"entered": 64, "appeared": 0, "left": 31}
    assert zebra.unsure == {"entered": 7, "appeared": 0, "left": 3}
    assert (zebra.mean, zebra.most, zebra.coverage) == (1.5, 3, pytest.approx(30.5 / 60))
    assert len(came) == 2


async def test_what_was_counted_before_that_hour_is_not_said(history: History) -> None:
    """Given minutes of long ago alone, then there is nothing."""
    await history.store_series([zone(-90, 5, 1.0, 0.05).encode()])
    assert await counted(history, "street", T0, T0 + HOUR) == []
