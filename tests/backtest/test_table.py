"""The table: alerts counted once, on the day they were raised, and scored by labels."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.backtest.backtest import Asked, Backtest
from gateway.backtest.groups import fingerprint, groups
from gateway.backtest.kept import Kept
from gateway.backtest.parts import Alert, Done
from gateway.backtest.sweep import axis
from gateway.backtest.table import Counts, Row, rows, summed
from gateway.backtest.variants import Variant
from gateway.backtest.worker import Spans, perform
from gateway.errors import ConfigError, GatewayError
from gateway.recording.export import export
from gateway.recording.reader import Recording
from gateway.registry import registry
from gateway.replaying.labels import END_NS, Labels, Span, Window, spans
from gateway.replaying.outcome import Both, Memory
from gateway.replaying.play import play
from tests.backtest import streams

if TYPE_CHECKING:
    from pathlib import Path

NS = 10**9
VARIANT = Variant("c", None, {}, "k", ("flood",))


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS


def _alert(name: str, raised: str, ended: str = "", *, first: bool = True, returned: tuple[str, ...] = ()) -> Alert:
    at = _at(raised)
    span = Span(name, "flood", "water.level", at, _at(ended) if ended else END_NS, at)
    return Alert(span, "city", "moderate", shadow=False, raised=first, returned_ns=tuple(map(_at, returned)))


def _day(day: str, *alerts: Alert, gateway: str = "g", variant: str = "c") -> Done:
    begin = _at(f"{day}T00:00")
    return Done(day + gateway, gateway, variant, day, "UTC", begin, begin + 86_000 * NS, 1, alerts=alerts)


def _table(*parts: Done, labels: Labels | None = None) -> dict[tuple[str, str], Counts]:
    table = rows(parts, [VARIANT], {"g": labels} if labels else {})
    return {(row.rule, row.day): row.counts for row in table}


def test_an_alert_open_over_midnight_counts_once() -> None:
    """Given one that was raised yesterday and goes on today, it is yesterday's; that it returned today is today's."""
    one = _alert("flood-1", "2026-08-14T23:50", returned=("2026-08-14T23:55",))
    again = _alert("flood-1", "2026-08-14T23:50", "2026-08-15T00:10", first=False, returned=("2026-08-15T00:05",))
    table = _table(_day("2026-08-14", one), _day("2026-08-15", again))
    assert table["flood", "2026-08-14"] == Counts(alerts=1, returned=1)
    assert table["flood", "2026-08-15"] == Counts(returned=1)


def test_one_that_was_open_before_the_recording_is_not_counted() -> None:
    table = _table(_day("2026-08-14", _alert("flood-1", "2026-08-13T23:50", "2026-08-14T01:00", first=False)))
    assert table == {("flood", "2026-08-14"): Counts()}


def test_a_day_without_alerts_is_a_row_of_noughts() -> None:
    table = _table(_day("2026-08-14"), _day("2026-08-16"))
    assert table == {("flood", "2026-08-14"): Counts(), ("flood", "2026-08-16"): Counts()}


def test_labels_judge_alerts_and_find_those_that_never_came() -> None:
    """Given two right windows and a wrong one, one right is found, one lost on its day, and the wrong one counts."""
    labels = Labels(
        [
            Window("flood", "", _at("2026-08-14T01:00"), _at("2026-08-14T02:00"), "right"),
            Window("flood", "", _at("2026-08-15T01:00"), _at("2026-08-15T02:00"), "right"),
            Window("flood", "", _at("2026-08-14T05:00"), _at("2026-08-14T06:00"), "wrong"),
            Window("flood", "", _at("2026-09-14T05:00"), _at("2026-09-14T06:00"), "right"),  # nothing was recorded then
        ]
    )
    first, second = (
        _day(
            "2026-08-14",
            _alert("flood-1", "2026-08-14T01:30", "2026-08-14T01:40"),
            _alert("flood-2", "2026-08-14T05:30", "2026-08-14T05:40"),
            _alert("flood-3", "2026-08-14T08:00", "2026-08-14T08:10"),
        ),
        _day("2026-08-15"),
    )
    table = _table(first, second, labels=labels)
    assert table["flood", "2026-08-14"] == Counts(alerts=3, right=1, wrong=1, found=1)
    assert table["flood", "2026-08-15"] == Counts(missed=1)
    total = table["flood", "2026-08-14"] + table["flood", "2026-08-15"]
    assert (total.precision, total.recall) == (0.5, 0.5)
    assert (Counts().precision, Counts().recall) == (None, None)


def test_a_window_open_at_its_beginning_counts_on_the_first_recorded_day() -> None:
    labels = Labels([Window("flood", "", -END_NS, _at("2026-08-15T02:00"), "right")])
    assert _table(_day("2026-08-14"), labels=labels)["flood", "2026-08-14"] == Counts(missed=1)


def test_a_label_of_an_alert_that_never_came_has_no_day() -> None:
    labels = Labels([Window("flood", "", END_NS, -END_NS, "right", alert="flood-9")])
    assert _table(_day("2026-08-14"), labels=labels)["flood", ""] == Counts(missed=1)


def test_rows_add_up_by_any_columns() -> None:
    table = [
        Row("c", gateway, rule, "city", "2026-08-14", Counts(alerts=number))
        for number, (gateway, rule) in enumerate([("a", "x"), ("a", "y"), ("b", "x")], 1)
    ]
    assert summed(table, "rule") == {("x",): Counts(alerts=4), ("y",): Counts(alerts=2)}
    assert summed(table, "gateway") == {("a",): Counts(alerts=3), ("b",): Counts(alerts=3)}


# ── from recordings ──────────────────────────────────────────────────────────────────────────────────────────────────


def _done(asked: Asked, output: Path) -> Backtest:
    """A backtest worked off in this process."""
    backtest = Backtest(asked, registry(), output)
    for task in backtest.todo:
        backtest.take(perform(task))
    return backtest


def test_what_is_kept_of_an_alert_tells_what_all_its_changes_tell(tmp_path: Path) -> None:
    """Given floods that rise, fall and come again, the few lines kept give the same alerts as all of them."""
    recording = Recording.open([streams.crests(tmp_path / "a.mcap", 0, [4.0, 3.0, 2.0, 4.2])])
    memory, few = Memory(), Spans()
    play(recording, Both(memory, few))
    assert [alert.span for alert in few.alerts()] == spans(memory.alerts)
    assert len(few) < len(memory.alerts)


def test_files_are_grouped_by_gateway_and_local_day(tmp_path: Path) -> None:
    """Given files of two gateways, two of them of one day, the groups are a gateway's days, in order."""
    streams.crests(tmp_path / "b.mcap", 1, [3.0])
    streams.crests(tmp_path / "a.mcap", 0, [3.0])
    streams.crests(tmp_path / "c.mcap", 0, [3.0], gateway="other")
    (tmp_path / "late").mkdir()
    streams.crests(tmp_path / "late/d.mcap", 1, [3.0] * 12)
    found, unreadable = groups([tmp_path, tmp_path / "late", tmp_path / "b.mcap"])
    assert unreadable == {}
    assert [(one.gateway, one.day, len(one.files)) for one in found] == [
        ("gauge", "2026-08-14", 1),
        ("gauge", "2026-08-15", 2),
        ("other", "2026-08-14", 1),
    ]
    whole, _ = groups([tmp_path, tmp_path / "late"], whole=True)
    assert [len(one.files) for one in whole] == [3, 1]


def test_a_cut_beside_its_day_is_counted_in_it(tmp_path: Path) -> None:
    """Given a folder with a day and an alert that was cut out of it, then nothing of the day is lost or doubled."""
    day = streams.crests(tmp_path / "a.mcap", 0, [3.0] * 6)
    alone, _ = groups([tmp_path])
    export(Recording.open([day]), tmp_path / "b.mcap", from_ns=alone[0].from_ns + 600 * NS, made="cut")
    found, unreadable = groups([tmp_path])
    assert [one.files for one in found] == [one.files for one in alone]
    assert unreadable == {}


def test_a_fingerprint_changes_with_any_megabyte(tmp_path: Path) -> None:
    content = bytearray(5_000_000)
    path = tmp_path / "x"
    path.write_bytes(content)
    seen = {fingerprint(path)}
    for at in (0, 3 * (1 << 20) + 7, len(content) - 1):
        content[at] = 1
        path.write_bytes(content)
        seen.add(fingerprint(path))
    assert len(seen) == 4


def test_a_broken_recording_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    streams.crests(folder / "good.mcap", 0, [3.0])
    (folder / "bad.mcap").write_bytes(b"no recording")
    backtest = _done(Asked((folder,), ()), tmp_path / "out")
    assert list(backtest.unreadable) == [str(folder / "bad.mcap")]
    assert [done.messages for done in backtest.results] == [60]
    (folder / "good.mcap").unlink()
    with pytest.raises(GatewayError, match=r"bad\.mcap"):
        Backtest(Asked((folder,), ()), registry(), tmp_path / "out")


def test_what_is_done_is_taken_again_and_what_changed_is_not(tmp_path: Path) -> None:
    """Given a backtest done before, the same one has nothing to do; another recording or limit is done anew."""
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for day in range(2):
        streams.crests(folder / f"{day}.mcap", day, [3.0])
    config = streams.config(tmp_path)
    first = _done(Asked((folder,), (str(config),)), output)
    first.write()
    table = (output / "table.json").read_bytes()
    again = Backtest(Asked((folder,), (str(config),)), registry(), output)
    assert (again.found_kept, again.todo) == (2, [])
    again.write()
    assert (output / "table.json").read_bytes() == table
    streams.crests(folder / "1.mcap", 1, [3.1])
    assert [task.group.day for task in Backtest(Asked((folder,), (str(config),)), registry(), output).todo] == [
        "2026-08-15"
    ]
    streams.config(tmp_path, yellow=2.9)
    assert len(Backtest(Asked((folder,), (str(config),)), registry(), output).todo) == 2


def test_a_damaged_result_is_made_again(tmp_path: Path) -> None:
    streams.crests(tmp_path / "a.mcap", 0, [3.0])
    output = tmp_path / "out"
    backtest = _done(Asked((tmp_path / "a.mcap",), ()), output)
    (kept,) = (output / "tasks").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:-5])
    assert Kept(output).get(backtest.tasks[0]) is None
    assert len(Backtest(Asked((tmp_path / "a.mcap",), ()), registry(), output).todo) == 1


def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    """Given a recording that vanishes before its turn, the task fails by name, and is tried again next time."""
    path = streams.crests(tmp_path / "a.mcap", 0, [3.0])
    backtest = Backtest(Asked((path,), ()), registry(), tmp_path / "out")
    content = path.read_bytes()
    path.unlink()
    backtest.take(perform(backtest.tasks[0]))
    (failure,) = backtest.failures
    assert "a.mcap" in failure.error
    path.write_bytes(content)
    assert len(Backtest(Asked((path,), ()), registry(), tmp_path / "out").todo) == 1


def test_labels_beside_the_recordings_are_found(tmp_path: Path) -> None:
    path = streams.crests(tmp_path / "a.mcap", 0, [3.0])
    path.with_name("a.labels.csv").write_text(
        "rule,from,to,verdict\nflood,2026-08-14 14:00,2026-08-14 14:30,right\n", encoding="utf-8"
    )
    ended = _done(Asked((path,), ()), tmp_path / "out").write()
    assert summed(ended.table, "rule")[("flood",)] == Counts(alerts=1, right=1, found=1)
    bad = tmp_path / "bad.csv"
    bad.write_text("rule,verdict\nflood,perhaps\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="perhaps"):
        Backtest(Asked((path,), (), labels=bad), registry(), tmp_path / "out")


def test_a_sweep_ends_in_a_curve_of_alerts_and_of_those_lost(tmp_path: Path) -> None:
    """Given three crests that are right, a higher limit has fewer alerts and loses more of them."""
    folder = tmp_path / "in"
    folder.mkdir()
    for day, height in enumerate([3.0, 3.2, 3.4]):
        streams.crests(folder / f"{day}.mcap", day, [height])
    (folder / "labels.csv").write_text(
        "rule,from,to,verdict\n"
        + "".join(f"flood,2026-08-{14 + day} 14:00,2026-08-{14 + day} 14:30,right\n" for day in range(3)),
        encoding="utf-8",
    )
    asked = Asked((folder,), ("recorded",), (axis("rules.flood.levels.yellow=2.9..3.5:0.2"),))
    ended = _done(asked, tmp_path / "out").write()
    assert ended.whose == "flood"
    assert [(dot.at, dot.counts.alerts, dot.counts.missed) for dot in ended.dots] == [
        (2.9, 3, 0),
        (3.1, 2, 1),
        (3.3, 1, 2),
        (3.5, 0, 3),
    ]
    lines = (tmp_path / "out/curve.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("configuration,rules.flood.levels.yellow,alerts,returned,right,wrong,found,missed")
    assert lines[2].startswith("recorded yellow=3.1,3.1,2,0,2,0,2,1,1.0,0.6667")
    for name in ("days.png", "curve.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_what_is_not_done_is_not_in_the_curve(tmp_path: Path) -> None:
    """Given one setting done and one half done, the table has what there is, the curve only the whole one."""
    for day in range(2):
        streams.crests(tmp_path / f"{day}.mcap", day, [3.0])
    asked = Asked((tmp_path,), (), (axis("rules.flood.levels.yellow=2.8,2.9"),))
    backtest = Backtest(asked, registry(), tmp_path / "out")
    assert backtest.write().dots == []
    for task in backtest.todo[:3]:
        backtest.take(perform(task))
    ended = backtest.write()
    assert [dot.values for dot in ended.dots] == [("2.8",)]
    assert ended.incomplete == ("recorded yellow=2.9",)
    assert [row.day for row in ended.table if row.configuration == ended.incomplete[0]] == ["2026-08-14"]


def test_the_outputs_agree(tmp_path: Path) -> None:
    """Given a table, CSV, JSON and Parquet say the same, and the alerts' file has a row an alert."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = streams.crests(tmp_path / "a.mcap", 0, [3.0, 4.0])
    ended = _done(Asked((path,), ()), out := tmp_path / "out").write()
    answer = msgspec.json.decode((out / "table.json").read_bytes())
    assert parquet.read_table(out / "table.parquet").to_pylist() == answer["rows"]
    assert len((out / "table.csv").read_text(encoding="utf-8").splitlines()) == len(ended.table) + 1
    alerts = parquet.read_table(out / "alerts.parquet")
    assert alerts["rule"].to_pylist() == ["flood"]
    assert alerts["severity"].to_pylist() == ["extreme"]
    assert alerts["returned"].to_pylist() == [1]


def test_a_day_begins_with_what_was_open_at_midnight(tmp_path: Path) -> None:
    """Given a flood over midnight, its days replayed apart tell of it once; a rule that was changed tells of it again.

    In one go (`whole`) it tells of it once, too.
    """
    before, after = streams.over_midnight(tmp_path, 3.0)
    config = streams.config(tmp_path)

    def days(name: str, *, whole: bool = False) -> list[tuple[str, int]]:
        asked = Asked((before, after), (str(config),), whole=whole)
        table = _done(asked, tmp_path / name).write().table
        return [(row.day, row.counts.alerts) for row in table if row.rule == "flood"]

    assert days("same") == days("whole", whole=True) == [("2026-08-14", 1), ("2026-08-15", 0)]
    streams.config(tmp_path, yellow=2.7)
    assert days("changed") == [("2026-08-14", 1), ("2026-08-15", 1)]
    assert days("changed-whole", whole=True) == [("2026-08-14", 1), ("2026-08-15", 0)]
