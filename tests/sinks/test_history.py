"""The embedded history keeps every alert change and thinned series, within bounds, whatever state its file is in."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ReplayClock
from gateway.config.box import HistoryConfig
from gateway.config.scalars import Duration, Size
from gateway.errors import Unreachable
from gateway.ports import Row
from gateway.sinks.history import History, HistoryAlerts, HistorySeries
from gateway.sinks.history_series import thin
from tests.sinks.alerts import NS, T0_NS, alert, rows
from tests.sinks.conftest import series_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DAY_NS = 86_400 * NS


def _set_aside(folder: Path) -> list[Path]:
    return list(folder.glob("*.damaged-*"))


@pytest.fixture
def clock() -> ReplayClock:
    """Stands at T0 until a test moves it."""
    return ReplayClock(T0_NS)


@pytest.fixture
async def history(tmp_path: Path, clock: ReplayClock) -> AsyncIterator[History]:
    """An empty history."""
    made = History(tmp_path / "history.sqlite", HistoryConfig(), clock)
    yield made
    await made.aclose()


async def test_open_past_and_missed_alerts_are_told_apart(history: History) -> None:
    """Given one alert that closed, one open, one shadow: each list holds what it says, redelivery changes nothing."""
    sink = HistoryAlerts(history)
    changes = [
        alert(1, "flood-1"),
        alert(2, "dust-1"),
        alert(3, "flood-1", ("moderate", "severe"), "raised_level"),
        alert(4, "bank-1", shadow=True),
        alert(5, "flood-1", ("moderate", "severe"), "closed", open_=False),
    ]
    for _ in range(2):
        assert list(await sink.deliver(rows(changes))) == []
    assert await history.open_alerts() == [changes[1], changes[3]]
    assert await history.past_alerts(10) == [changes[4]]
    assert await history.since(1, 2) == [changes[1], changes[2]]
    assert await history.since(3, 10) == [changes[4]]
    assert await history.last_of("flood-1") == changes[4]
    assert await history.last_of("nobody-1") is None


async def test_an_older_change_delivered_again_does_not_reopen_an_alert(history: History) -> None:
    """The newest change decides, in whatever order they come."""
    await history.store_alerts([alert(1), alert(2, change="closed", open_=False)])
    await history.store_alerts([alert(1)])
    assert await history.open_alerts() == []


async def test_a_new_outbox_ends_what_the_old_one_left_open(history: History) -> None:
    """Another epoch: its sequence starts again, and nobody would ever close the old alerts."""
    await history.store_alerts([alert(1, "flood-1", epoch="old"), alert(2, "dust-1", epoch="old")])
    await history.begin("new")
    assert await history.open_alerts() == []
    await history.store_alerts([alert(1, "flood-2", epoch="new")])
    assert [a.id for a in await history.open_alerts()] == ["flood-2"]
    assert [a.id for a in await history.since(0, 10)] == ["flood-2"]


async def test_what_waited_from_an_earlier_outbox_does_not_end_what_is_open_in_this_one(history: History) -> None:
    """A broken disk: a fresh history in memory gets rows of the store's epoch after its own has begun."""
    await history.begin("new")
    await history.store_alerts([alert(1, "flood-1", epoch="new")])
    waited = [alert(7, "flood-1", epoch="old"), alert(8, "dust-1", epoch="old"), alert(2, "x-1", epoch="new")]
    assert [noted.newest for noted in await history.note("city", waited)] == [False, True, True]
    assert [a.id for a in await history.open_alerts()] == ["flood-1", "x-1"]
    assert await history.epoch() == "new"


async def test_each_topic_has_its_own_chain_which_redelivery_and_restart_keep(
    tmp_path: Path, clock: ReplayClock
) -> None:
    """`prev` is the seq before on the same class and severity, the same on every delivery, by another process too."""
    changes = [
        alert(7, "flood-1"),
        alert(8, "dust-1", ("minor",)),
        alert(9, "flood-1", ("moderate", "severe"), "raised_level"),
        alert(10, "x-1", class_="equipment"),
        alert(11, "flood-1", ("moderate", "severe"), "cleared"),
    ]
    expected = [(None,), (None,), (7, None), (None,), (9, 9)]
    first = History(tmp_path / "h", HistoryConfig(), clock)
    assert [n.prev for n in await first.note("city", changes[:4])] == expected[:4]
    assert [n.prev for n in await first.note("city", changes[1:4])] == expected[1:4]
    await first.aclose()
    second = History(tmp_path / "h", HistoryConfig(), clock)
    noted = await second.note("city", changes)
    assert [n.prev for n in noted] == expected
    assert [n.newest for n in noted] == [False, True, False, True, True]
    assert await second.chain("city", changes) == expected
    assert await second.last_seq_by_topic("city") == {
        "city/moderate": 11,
        "city/severe": 11,
        "city/minor": 8,
        "equipment/moderate": 10,
    }
    assert [n.prev for n in await second.note("another", changes[-1:])] == [(None, None)]
    await second.aclose()


async def test_a_chart_shows_what_was_written_over_restart_and_packing(tmp_path: Path, clock: ReplayClock) -> None:
    """Values of two devices, some packed and some recent, come back under their own subjects."""
    body = b"".join(
        b'air,site=a,device=%04d pm25=%d.5,rh=%di,ok=true,note="n" %d\n' % (d, n, n, T0_NS + n * NS + 5)
        for n in range(50)
        for d in (1, 2)
    )
    first = History(tmp_path / "h", HistoryConfig(), clock)
    await HistorySeries(first).deliver(series_rows(body))
    await first.tend()
    later = b"air,device=0001,site=a pm25=99 %d\n" % (T0_NS + 60 * NS)
    await HistorySeries(first).deliver(series_rows(later))
    await first.aclose()
    second = History(tmp_path / "h", HistoryConfig(), clock)
    subject = "air.pm25{device=0001,site=a}"
    times, values = await second.chart(subject, T0_NS, T0_NS + 100 * NS, 1000)
    assert times == [*(T0_NS + n * NS for n in range(50)), T0_NS + 60 * NS]
    assert values == [*(n + 0.5 for n in range(50)), 99]
    assert (await second.chart(subject, T0_NS + 48 * NS, T0_NS + 60 * NS, 1000))[1] == [48.5, 49.5]
    assert await second.chart("air.pm25{device=0003,site=a}", T0_NS, T0_NS + 100 * NS, 1000) == ([], [])
    latest = {last.subject: (last.event_ns, last.value) for last in await second.latest()}
    assert latest[subject] == (T0_NS + 60 * NS, 99)
    assert latest["air.ok{device=0002,site=a}"] == (T0_NS + 49 * NS, 1)
    assert "air.note{device=0002,site=a}" not in latest
    await second.aclose()


async def test_a_second_holds_one_value_however_many_come(history: History, tmp_path: Path) -> None:
    """100 values a second cost what one does; the last one counts, also when it is delivered again after packing."""
    body = b"".join(b"m v=%d %d\n" % (n, T0_NS + n * NS // 100) for n in range(1000))
    sink = HistorySeries(history)
    await sink.deliver(series_rows(body))
    await history.tend()
    await sink.deliver(series_rows(body))
    await history.tend()
    assert await history.chart("m.v", T0_NS, T0_NS + 20 * NS, 100) == (
        [T0_NS + n * NS for n in range(10)],
        [99 + 100 * n for n in range(10)],
    )
    with sqlite3.connect(tmp_path / "history.sqlite") as db:
        assert db.execute("SELECT count(*) FROM series").fetchone() == (1,)
    db.close()


async def test_age_bounds_series_and_closed_alerts_but_never_open_ones(history: History, clock: ReplayClock) -> None:
    """After 8 days the series are gone, after 401 the closed alert; the open one stays."""
    await HistorySeries(history).deliver(series_rows(b"m v=1 %d\nn v=1 %d\n" % (T0_NS, T0_NS + 5 * DAY_NS)))
    await history.store_alerts([alert(1), alert(2, "dust-1"), alert(3, "dust-1", change="closed", open_=False)])
    await history.note("city", [alert(3, "dust-1", change="closed", open_=False)])
    clock.advance(8 * 86_400)
    await history.tend()
    assert [last.subject for last in await history.latest()] == ["n.v"]
    assert len(await history.past_alerts(10)) == 1
    clock.advance(393 * 86_400)
    await history.tend()
    assert await history.past_alerts(10) == []
    assert await history.open_alerts() == [alert(1)]


async def test_size_bounds_the_file_oldest_first_and_keeps_thirty_days_of_alerts(
    tmp_path: Path, clock: ReplayClock
) -> None:
    """Given room for 300 kB: old chunks go before new ones, then alerts, but none younger than 30 days."""
    settings = HistoryConfig(series=Duration(400 * DAY_NS), size=Size(300_000))
    history = History(tmp_path / "h", settings, clock)
    rng = np.random.default_rng(1)
    for day in range(40):
        now = clock.now_ns()
        noise = rng.random(1500)
        await history.store_series([b"".join(b"m v=%r %d\n" % (v, now + n * NS) for n, v in enumerate(noise.tolist()))])
        change = [
            alert(day * 50 + n, f"a-{day}.{n}", change="closed", open_=False, changed_ns=now) for n in range(1, 20)
        ]
        await history.store_alerts(change)
        clock.advance(86_400)
        await history.tend()
    assert (tmp_path / "h").stat().st_size < 1_300_000
    assert await history.chart("m.v", T0_NS, T0_NS + DAY_NS, 10) == ([], [])
    kept = {int(a.id.split("-")[1].split(".")[0]) for a in await history.past_alerts(1000)}
    assert kept >= set(range(10, 40))
    assert 0 not in kept
    await history.aclose()


async def test_a_damaged_file_is_set_aside_and_a_new_history_begins(
    tmp_path: Path, clock: ReplayClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Starting succeeds; the old file is kept beside it and the log says so."""
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"this is no database, and long enough to be read as one " * 100)
    history = History(path, HistoryConfig(), clock)
    with caplog.at_level(logging.WARNING):
        await history.store_alerts([alert(1)])
    assert await history.open_alerts() == [alert(1)]
    assert [p.name for p in _set_aside(tmp_path)] == ["history.sqlite.damaged-1700000000"]
    assert "set aside" in caplog.text
    await history.aclose()


async def test_a_file_that_breaks_while_it_is_used_is_set_aside(tmp_path: Path, clock: ReplayClock) -> None:
    """Pages overwritten under us: the next write begins a new file instead of failing for ever."""
    path = tmp_path / "history.sqlite"
    history = History(path, HistoryConfig(), clock)
    await history.store_alerts([alert(n, f"a-{n}") for n in range(1, 500)])
    await history.aclose()
    body = bytearray(path.read_bytes())
    body[4096:] = b"\xa5" * (len(body) - 4096)
    path.write_bytes(bytes(body))
    history = History(path, HistoryConfig(), clock)
    await HistoryAlerts(history).deliver(rows([alert(500, "b-1")]))
    assert [a.id for a in await history.open_alerts()] == ["b-1"]
    assert _set_aside(tmp_path)
    await history.aclose()


async def test_where_nothing_can_be_written_it_is_kept_in_memory(
    tmp_path: Path, clock: ReplayClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The state folder is a file: alerts are still listed until the next start, and the log says so."""
    (tmp_path / "state").write_text("", encoding="utf-8")
    history = History(tmp_path / "state" / "history.sqlite", HistoryConfig(), clock)
    await history.store_alerts([alert(1)])
    assert await history.open_alerts() == [alert(1)]
    assert "kept in memory" in caplog.text
    await history.aclose()


async def test_a_locked_file_is_transient(tmp_path: Path, clock: ReplayClock) -> None:
    """Somebody holds the file: the rows are delivered again later."""
    path = tmp_path / "history.sqlite"
    history = History(path, HistoryConfig(), clock)
    await history.store_alerts([alert(1)])
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreachable, match="locked"):
            await history.store_alerts([alert(2)])
        other.execute("ROLLBACK")
    other.close()
    await history.store_alerts([alert(2)])
    assert (await history.last_of("flood-1")) == alert(2)
    await history.aclose()


async def test_a_row_that_is_no_alert_is_refused_alone(history: History) -> None:
    """Its neighbours are stored."""
    bad = Row(1, 0, "", 1, b"\xc1")
    (rejected,) = await HistoryAlerts(history).deliver([bad, *rows([alert(2)])])
    assert rejected.row is bad
    assert await history.open_alerts() == [alert(2)]


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(-1e6, 1e6)), unique_by=lambda p: p[0], max_size=200),
    st.integers(2, 50),
)
def test_a_thinned_chart_keeps_its_extremes_and_never_has_more_points(
    points: list[tuple[int, float]], most: int
) -> None:
    """Rising times, at most `most` points, all of them real, the highest and lowest among them."""
    points.sort()
    t = np.array([p[0] for p in points], np.int64)
    values = np.array([p[1] for p in points], np.float64)
    got_t, got = thin(t, values, most)
    assert len(got_t) <= max(2, most)
    assert set(zip(got_t.tolist(), got.tolist(), strict=True)) <= set(points)
    assert (np.diff(got_t) > 0).all()
    if points:
        assert (got.min(), got.max()) == (values.min(), values.max())
