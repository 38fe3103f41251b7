"""What stands between imported inputs: a tick each whole second, health, days; whatever comes and however far apart."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.events import Health, Message, Tick
from gateway.exchange.given import Findings, Given
from gateway.exchange.order import by_day, in_order, merged
from gateway.exchange.weave import Weave, began_ns
from gateway.recording.reader import Recording
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from tests.exchange.street import STREET, T0, S, imported

if TYPE_CHECKING:
    from pathlib import Path

MOMENTS = st.lists(st.integers(0, 40 * S) | st.integers(0, 40).map(lambda second: second * S), min_size=1, max_size=30)


def _given(times: list[int]) -> list[Given]:
    return [Given(T0 * S + at, Message("here", f"t/{place}", b"")) for place, at in enumerate(times)]


@given(times=MOMENTS.map(sorted), hole_s=st.none() | st.integers(1, 20))
def test_ticks_stand_at_each_whole_second_behind_what_came_until_then(times: list[int], hole_s: int | None) -> None:
    start_ns = began_ns(T0 * S + times[0])
    weave = Weave(Findings(), None if hole_s is None else hole_s * S)
    woven = list(weave.of(iter(_given(times)), [], start_ns))
    stamps = [at for at, _ in woven]
    assert stamps == sorted(stamps)
    last = T0 * S + times[-1]
    ticks = [at for at, one in woven if isinstance(one, Tick)]
    assert ticks == list(range(start_ns + S, (last + S - 1) // S * S + 1, S))
    assert weave.ticks == len(ticks)
    for place, (at, one) in enumerate(woven):
        if isinstance(one, Tick):
            assert not any(other == at and isinstance(it, Message) for other, it in woven[place:])
    assert [one for _, one in woven if isinstance(one, Message)] == [one.input for one in _given(times)]
    up = False
    for at, one in woven:
        if isinstance(one, Health):
            assert one.ok != up
            up = one.ok
            if not up and hole_s is not None:
                heard = max(was for was, it in woven if isinstance(it, Message) and was <= at)
                assert at - heard >= hole_s * S
        if isinstance(one, Message):
            assert up


@given(times=MOMENTS, window_s=st.integers(0, 20))
def test_what_is_put_in_order_never_runs_back_and_loses_nothing(times: list[int], window_s: int) -> None:
    findings = Findings()
    items = [(one, place) for place, one in enumerate(_given(times))]
    ordered = list(in_order(items, str, findings, window_s * S))
    stamps = [one.admitted_ns for one in ordered]
    assert stamps == sorted(stamps)
    assert sorted(one.input.topic for one in ordered) == sorted(one.input.topic for one, _ in items)  # type: ignore[union-attr]  messages all
    if max(times) - min(times) <= window_s * S:
        assert findings.unread == 0
        assert ordered == sorted((one for one, _ in items), key=lambda one: one.admitted_ns)
    if times == sorted(times):
        assert ordered == [one for one, _ in items]


def test_streams_are_merged_and_parted_by_the_days_of_the_zone() -> None:
    hours = [Given(T0 * S + hour * 3600 * S, Tick()) for hour in range(72)]
    both = merged([iter(hours[::2]), iter(hours[1::2])])
    days = [(date, len(list(part))) for date, part in by_day(both, ZoneInfo("Asia/Shanghai"))]
    assert days == [("2026-05-29", 20), ("2026-05-30", 24), ("2026-05-31", 24), ("2026-06-01", 4)]


def test_a_month_by_days_is_a_recording_a_day(tmp_path: Path) -> None:
    rows = "\n".join(f"{T0 + i * 3600},a,1,{i}" for i in range(72))
    (tmp_path / "air.csv").write_text(f"time,site,device,pm25\n{rows}\n")
    path = tmp_path / "gateway.yaml"
    path.write_text(STREET)
    from gateway.exchange.choosing import Asked  # noqa: PLC0415 - one test's own
    from gateway.exchange.importing import import_into  # noqa: PLC0415 - as above

    asked = Asked(sources=(str(tmp_path / "air.csv"),), by_day=True)
    done = import_into(tmp_path / "days", path, asked)
    assert sorted(one.name for one in (tmp_path / "days").iterdir()) == [
        f"lg-017-02-{date}.mcap" for date in ("2026-05-29", "2026-05-30", "2026-05-31", "2026-06-01")
    ]
    assert done.written.messages == 72
    played = play(Recording.open([tmp_path / "days"]), Memory())
    assert played.summary.messages == 72
    assert played.holes == []


def _silences(path: Path) -> list[tuple[str, str, str]]:
    rows = play(Recording.open([path]), Memory()).alerts
    return [(row.rule, row.subject, row.change) for row in rows if row.class_ == "equipment"]


def test_silence_is_judged_as_it_would_have_been_live(tmp_path: Path) -> None:
    """Given a thing that stops while another goes on, then it alone is silent; and given a log with a hole, then all
    are, unless the hole is told: then the broker was away.
    """  # noqa: D205 - one thought

    def lines(device: int, minutes: range) -> list[str]:
        times = [T0 + 60 * minute for minute in minutes]
        return [f'{at} air/a/{device}/up {{"ts":{at},"data":{{"pm2_5":1}}}}' for at in times]

    log = tmp_path / "day.log"
    log.write_text("\n".join(sorted([*lines(1, range(5)), *lines(2, range(20))])))
    imported(tmp_path, log)
    assert _silences(tmp_path / "out.mcap") == [("silent", "air{device=1,site=a}", "raised")]
    log.write_text("\n".join(sorted([*lines(1, range(5)), *lines(2, range(5)), *lines(1, range(30, 35))])))
    imported(tmp_path, log)
    both = [("silent", f"air{{device={device},site=a}}", "raised") for device in (1, 2)]
    assert sorted(_silences(tmp_path / "out.mcap"))[:2] == [("silent", "air{device=1,site=a}", "cleared"), both[0]]
    imported(tmp_path, log, hole_ns=120 * S)
    told = [("health", "source/here{condition=connected}", change) for change in ("raised", "cleared")]
    came = _silences(tmp_path / "out.mcap")
    assert [one for one in came if one[0] == "health" and "here" in one[1]] == told
    assert [one for one in came if "device=1" in one[1]] == []


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "air.parquet").write_bytes(b"")
    with pytest.raises(GatewayError, match=r"Parquet needs pyarrow.*pip install 'zhiwang\[analysis\]'"):
        imported(tmp_path, tmp_path / "air.parquet")
