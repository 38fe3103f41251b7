"""What people say of alerts, open and closed: the change, the counts, and the sentence that the next alert brings."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.judged import KEPT
from gateway.events import Command, Message, Tick
from tests.core.build import T0, Came, S, Stamped, at, core_of, run, start
from tests.core.streams import jiggle, searching

if TYPE_CHECKING:
    from gateway.core import Core
    from gateway.events import AlertRow, Verb

CONFIG = """
sensors: {water: {mqtt: here, topic: "water/{g}", json: {level: v}}}
rules: {flood: {threshold: water.level, levels: {yellow: 3, red: 4}, do: {zh: 关门, en: Close the gate}}}
"""
HOUR = 3600 * S
packed, unpacked = msgspec.msgpack.encode, msgspec.msgpack.decode


def json_of(row: AlertRow) -> dict[str, Any]:
    """An alert row's JSON."""
    return msgspec.json.decode(row.body)


class Day:
    """A core, stepped one input at a time; it remembers what came."""

    def __init__(self, at_ns: int = T0) -> None:
        self.core: Core = core_of(CONFIG)
        self.now, self.n = at_ns, 1
        self.rows: list[AlertRow] = []
        self.deltas: list[bytes] = []
        self.series = b""
        for one in start(at_ns):
            self._step(one)

    def _step(self, one: Stamped) -> Came:
        came = run(self.core, [one], n0=self.n)
        self.n += 1
        self.rows += came.alerts
        self.deltas += came.deltas
        self.series += came.series
        return came

    def level(self, value: float, gauge: str = "a") -> AlertRow | None:
        """The water is at a level, a second later; the change, if that is one."""
        self.now += S
        rows = self._step(at(Message("here", f"water/{gauge}", b'{"v": %g}' % value), self.now)).alerts
        return rows[-1] if rows else None

    def tell(self, verb: Verb, target: str, note: str = "", if_seq: int | None = None) -> dict[str, Any]:
        """A person commands; the reply."""
        self.now += S
        command = Command(f"c{self.n}", target, verb, "王工", note, if_seq)
        (reply,) = self._step(at(command, self.now)).requests
        return msgspec.json.decode(reply.body)

    def flood(self, gauge: str = "a") -> AlertRow:
        """An alert that comes, is acknowledged, and ends; its first change."""
        raised = self.level(3.5, gauge)
        assert raised is not None
        self.level(1, gauge)
        assert self.tell("acknowledge", raised.id)["result"] == "ok"
        assert not self.rows[-1].open
        return raised


def test_an_open_alert_is_judged_and_nothing_else_of_it_moves() -> None:
    """Given an open alert, when somebody says that it is wrong, then that is a change with who, when and why."""
    day = Day()
    raised = day.level(3.5)
    assert raised is not None
    reply = day.tell("wrong", raised.id, "a bird")
    row = day.rows[-1]
    body, before = json_of(row), json_of(raised)
    assert (reply["result"], reply["seq"]) == ("ok", row.seq)
    assert (row.change, row.open, row.severities) == ("labelled", True, ("moderate",))
    assert body["label"] == {"verdict": "wrong", "who": "王工", "at": "2026-05-29T04:27:02+08:00", "note": "a bird"}
    moved = {key for key in body if body[key] != before[key]}
    assert moved == {"seq", "change", "label", "text"}
    assert before["label"] is None
    assert body["text"]["zh"].startswith("【黄色 标为误报】")
    assert body["text"]["en"].startswith("[YELLOW marked wrong]")
    assert b'change="labelled"' in day.series
    assert b'verdict="wrong"' in day.series


def test_the_label_stays_until_it_is_changed_or_taken_back() -> None:
    """Given a label, later changes carry it; the same again changes nothing; another word replaces it."""
    day = Day()
    raised = day.level(3.5)
    assert raised is not None
    day.tell("wrong", raised.id)
    worse = day.level(4.5)
    assert worse is not None
    assert json_of(worse)["label"]["verdict"] == "wrong"
    reply = day.tell("wrong", str(json_of(raised)["code"]))
    assert (reply["result"], reply["reason"]) == ("ok", "that was said of it already")
    assert day.rows[-1] is worse
    day.tell("right", raised.id)
    assert json_of(day.rows[-1])["label"]["verdict"] == "right"
    day.tell("unmark", raised.id)
    assert json_of(day.rows[-1])["label"] is None
    assert day.tell("unmark", raised.id)["reason"] == "that was said of it already"


def test_a_closed_alert_is_judged_hours_later_and_stays_closed() -> None:
    """Given an alert that has closed, and another of that gauge that is open, the old one is judged."""
    day = Day()
    first = day.flood()
    day.now += 5 * HOUR
    second = day.level(3.5)
    assert second is not None
    closed = next(row for row in day.rows if row.id == first.id and not row.open)
    reply = day.tell("right", first.id, "seen on site")
    row = day.rows[-1]
    assert reply["result"] == "ok"
    assert (row.id, row.change, row.state, row.open) == (first.id, "labelled", "normal", False)
    assert row.severities == ("moderate",)
    assert row.changed_ns == closed.changed_ns, "when it ended has not changed"
    assert json_of(row)["late_s"] == 0
    assert "Close the gate" not in json_of(row)["text"]["en"]
    code = str(json_of(first)["code"])
    assert day.tell("wrong", code)["seq"] == day.rows[-1].seq
    assert day.rows[-1].id == first.id
    assert day.tell("acknowledge", second.id)["result"] == "ok", "the open one is still there"
    assert day.tell("acknowledge", first.id)["result"] == "unknown"


def test_who_looked_at_an_older_change_is_told_so() -> None:
    """Given a command with a seq before the last change, of a closed alert too, then conflict."""
    day = Day()
    first = day.flood()
    assert day.tell("wrong", first.id, if_seq=first.seq)["result"] == "conflict"
    assert day.tell("wrong", first.id, if_seq=day.rows[-1].seq)["result"] == "ok"


def test_of_an_alert_that_closed_too_long_ago_nothing_is_known() -> None:
    """Given more closed alerts than are kept, then the oldest is unknown and the one after it is not."""
    day = Day()
    alerts = [day.flood() for _ in range(KEPT["city"] + 1)]
    reply = day.tell("right", alerts[0].id)
    assert (reply["result"], str(KEPT["city"]) in reply["reason"]) == ("unknown", True)
    assert day.tell("right", alerts[1].id)["result"] == "ok"
    assert day.tell("right", alerts[-1].id)["result"] == "ok"


@pytest.mark.parametrize(
    ("said", "zh", "en"),
    [
        ("", "", ""),
        (".", "。本月第 2 次。\n", ". Second this month.\n"),
        ("r", "。本月第 2 次,前 1 次属实。\n", ". Second this month; the first was real.\n"),
        ("w", "。本月第 2 次,前 1 次误报。\n", ". Second this month; the first was a false alarm.\n"),
        ("rr", "。本月第 3 次,前 2 次都属实。\n", ". Third this month; the 2 before were real.\n"),
        ("www", "。本月第 4 次,前 3 次都误报。\n", ". Fourth this month; the 3 before were false alarms.\n"),
        ("r.", "。本月第 3 次,前 2 次中 1 次属实。\n", ". Third this month; of the 2 before 1 real.\n"),
        (
            "rrw.",
            "。本月第 5 次,前 4 次中 2 次属实,1 次误报。\n",
            ". Fifth this month; of the 4 before 2 real and 1 false alarm.\n",
        ),
    ],
)
def test_the_text_says_how_often_it_came_and_how_it_was(said: str, zh: str, en: str) -> None:
    """Given alerts of one gauge this month and what people said of them, the next one says so; the first nothing."""
    day = Day()
    for verdict in said:
        alert = day.flood()
        if verdict != ".":
            day.tell("right" if verdict == "r" else "wrong", alert.id)
    day.flood("b")  # another gauge is another matter
    last = day.level(3.5)
    assert last is not None
    text: dict[str, str] = json_of(last)["text"]
    assert zh in text["zh"]
    assert en in text["en"]
    if not zh:
        assert "本月" not in text["zh"]
        assert "this month" not in text["en"]


def test_what_is_said_of_the_one_before_while_the_next_is_open_is_in_its_next_change() -> None:
    """Given the second alert, when somebody judges the first, then the second's rise tells of it."""
    day = Day()
    first = day.flood()
    day.level(3.5)
    day.tell("right", first.id)
    worse = day.level(4.5)
    assert worse is not None
    assert "前 1 次属实" in json_of(worse)["text"]["zh"]
    day.tell("wrong", worse.id)
    assert "本月第 2 次,前 1 次属实" in json_of(day.rows[-1])["text"]["zh"], "its own label is not among those before"


def test_what_is_said_of_an_open_alert_itself_is_not_among_those_before() -> None:
    """Given the second alert, marked real, then the first marked false, its next change tells of the first alone."""
    day = Day()
    first = day.flood()
    second = day.level(3.5)
    assert second is not None
    day.tell("right", second.id)
    day.tell("wrong", first.id)
    worse = day.level(4.5)
    assert worse is not None
    assert "本月第 2 次,前 1 次误报。" in json_of(worse)["text"]["zh"]


def test_a_month_is_the_local_one() -> None:
    """Given an alert in the last minute of May in Shanghai and one in the first of June, the latter is the first."""
    june = int(datetime(2026, 6, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * S
    day = Day(june - 60 * S)
    may = day.flood()
    day.tell("right", may.id)
    day.now = june + S
    second = day.level(3.5)
    assert second is not None
    assert "本月" not in json_of(second)["text"]["zh"]
    (tally,) = day.core.judged(day.now)
    assert (tally.raised, tally.right, tally.wrong, tally.said_right) == (1, 0, 0, 1)
    day.tell("wrong", may.id)
    (tally,) = day.core.judged(day.now)
    assert (tally.raised, tally.right, tally.wrong, tally.said_wrong) == (1, 0, 0, 1), "May is not June"
    day.level(1)
    day.tell("acknowledge", second.id)
    third = day.level(3.5)
    assert third is not None
    assert "本月第 2 次。" in json_of(third)["text"]["zh"]
    (tally,) = day.core.judged(day.now + 40 * 24 * HOUR)
    assert (tally.raised, tally.said_right) == (0, 1), "July has had none"


VERBS: tuple[Verb, ...] = ("right", "wrong", "unmark", "acknowledge", "right", "wrong")
ACTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.sampled_from("ab")), max_size=60)


def script(acts: list[tuple[int, int, str]]) -> list[Stamped]:
    """Readings, ticks, and commands to alerts as they would be called: found by running it."""
    core, inputs, ids = core_of(CONFIG), list[Stamped](), list[str]()
    inputs += start()
    run(core, inputs)
    now = T0
    for what, which, gauge in acts:
        now += S
        if what < len(VERBS) and ids:
            target = ids[which % len(ids)] if which < 30 else "flood-0"
            one = at(Command(f"c{len(inputs)}", target, VERBS[what], "王工", "x" * (which % 2)), now)
        elif what == 9:
            now += 8 * 86_400 * S  # the month goes by
            one = at(Tick(), now)
        else:
            one = at(Message("here", f"water/{gauge}", b'{"v": %d}' % (which % 5 + 1)), now)
        ids += [row.id for row in run(core, [one], n0=len(inputs) + 1).alerts if row.change == "raised"]
        inputs.append(one)
    return inputs


@searching(60)
@given(ACTS, jiggle(), st.floats(0, 1))
def test_labels_are_the_same_however_inputs_are_cut_and_wherever_it_restarts(
    acts: list[tuple[int, int, str]], sizes: list[int], where: float
) -> None:
    """Given any days, cut anywhere or killed and restored, then the same rows, replies and state."""
    inputs = script(acts)
    single, cut = core_of(CONFIG), core_of(CONFIG)
    whole = run(single, inputs, [1])
    parts = run(cut, inputs, sizes)
    assert (parts.alerts, parts.requests, parts.series) == (whole.alerts, whole.requests, whole.series)
    assert cut.snapshot() == single.snapshot()
    split = round(where * len(inputs))
    first = core_of(CONFIG)
    early = run(first, inputs[:split], sizes)
    second = core_of(CONFIG)
    second.restore(None, early.deltas)
    late = run(second, inputs[split:], sizes, n0=split + 1)
    assert [*early.alerts, *late.alerts] == whole.alerts
    assert second.snapshot() == single.snapshot()
    assert second.judged(inputs[-1].admitted_ns) == single.judged(inputs[-1].admitted_ns)


@searching(60)
@given(ACTS)
def test_counts_are_those_that_one_counts_by_hand(acts: list[tuple[int, int, str]]) -> None:
    """Given any days, then the rule's month has what its rows of that month come to, alert by alert."""
    core = core_of(CONFIG)
    rows = run(core, script(acts)).alerts
    if not rows:
        return
    bodies = [msgspec.json.decode(row.body) for row in rows]
    months = {body["id"]: body["changed"][:7] for body in bodies if body["change"] == "raised"}
    last = {body["id"]: body["label"] for body in bodies}
    newest = max(months.values())
    mine = Counter(last[id_]["verdict"] if last[id_] else "" for id_, month in months.items() if month == newest)
    marks = Counter(body["label"]["verdict"] for body in bodies if body["change"] == "labelled" and body["label"])
    (tally,) = core.judged(int(datetime.fromisoformat(f"{newest}-15T00:00:00+08:00").timestamp()) * S)
    assert (tally.rule, tally.raised) == ("flood", sum(month == newest for month in months.values()))
    assert (tally.right, tally.wrong) == (mine["right"], mine["wrong"])
    assert (tally.said_right, tally.said_wrong) == (marks["right"], marks["wrong"])


def test_an_alert_that_an_earlier_release_stored_is_judged_too() -> None:
    """Given the state as 0.1 wrote it, without labels and months, it is restored, judged, and its month begins anew."""
    day = Day()
    raised = day.level(3.5)
    assert raised is not None
    shorter = {"alerts": -2, "alerts/before": 2}
    parts = [
        [
            name,
            mark,
            [[key, packed(unpacked(body)[: shorter[name]])] for key, body in whole] if name in shorter else whole,
        ]
        for name, mark, whole in unpacked(day.core.snapshot())
        if name not in {"alerts/rules", "alerts/closed", "alerts/counted"}
    ]
    day.core = core_of(CONFIG)
    day.core.restore(packed(parts), [])
    assert day.tell("wrong", raised.id)["result"] == "ok"
    day.level(1)
    day.tell("acknowledge", raised.id)
    assert day.tell("right", raised.id)["result"] == "ok"
    second = day.level(3.5)
    assert second is not None
    assert "本月" not in json_of(second)["text"]["zh"]
    (tally,) = day.core.judged(day.now)
    assert (tally.raised, tally.right, tally.said_right, tally.said_wrong) == (1, 0, 1, 1)
