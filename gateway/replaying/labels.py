"""What people said of alerts: windows of time that were right or wrong, kept beside a recording, and scores by them.

`day.labels.csv` stands beside `day.mcap`, `labels.csv` in a folder of recordings:

    rule,subject,from,to,verdict,note,alert
    flood,water.level,2026-08-14T02:02:07+08:00,2026-08-14T03:10:00+08:00,right,seen on site,flood-5f1e…
    dust,,2026-08-15 06:00,2026-08-15 09:00,wrong,fog,

A window without a subject is for any of its rule, without `from` or `to` it is open on that side. A replay with another
configuration may give an alert another id or beginning: then the rule, subject and time decide, the id where it fits.
The file itself is read and written by labels_file.py.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.codecs.times import stamp_ns
from gateway.events import Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.recording.reader import Recording

Verdict = Literal["right", "wrong"]
END_NS = 2**63 - 1
HOLDING = frozenset({"raised", "raised_level", "lowered_level", "updated", "unknown", "known", "returned"})
"""Changes after which an alert's condition holds, as far as anybody knows."""


class Window(msgspec.Struct, frozen=True):
    """From when to when (UTC ns, both inclusive) the alerts of a rule and subject are right or wrong.

    subject: empty for any; alert: the id of the one that was judged, or empty; where: `day.labels.csv:3`, for people.
    """

    rule: str
    subject: str
    from_ns: int
    to_ns: int
    verdict: Verdict
    note: str = ""
    alert: str = ""
    where: str = ""

    def fits(self, alert: Span) -> bool:
        """Whether it speaks of this alert: by its id, or by rule, subject and time where both have no such id."""
        if self.alert and self.alert == alert.id:
            return True
        if not self.rule or self.rule != alert.rule or self.subject not in {"", alert.subject}:
            return False
        return self.from_ns <= alert.to_ns and alert.from_ns <= self.to_ns


class Span(msgspec.Struct, frozen=True):
    """One alert as its lines tell: from its beginning until it cleared (END_NS: it never did), and its own label."""

    id: str
    rule: str
    subject: str
    from_ns: int
    to_ns: int
    raised_ns: int
    code: str = ""
    colour: str = ""
    verdict: Verdict | None = None
    note: str = ""
    who: str = ""


class Score(msgspec.Struct, frozen=True):
    """How a rule did. right + wrong: judged alerts; found + missed: right windows with an alert or without."""

    rule: str
    raised: int
    right: int
    wrong: int
    found: int
    missed: int
    missed_windows: tuple[Window, ...] = ()

    @property
    def judged(self) -> int:
        """How many of its alerts somebody judged."""
        return self.right + self.wrong

    @property
    def precision(self) -> float | None:
        """Share of the judged alerts that were right; None where none was judged."""
        return self.right / self.judged if self.judged else None

    @property
    def recall(self) -> float | None:
        """Share of the right windows in which an alert came; None where there is no right window."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None


class Labels:
    """Windows, of which the later one has the last word where two speak of the same alert equally closely."""

    def __init__(self, windows: Sequence[Window] = ()) -> None:
        self.windows = tuple(windows)
        self._by_id: dict[str, Window] = {w.alert: w for w in self.windows if w.alert}
        self._by_rule: defaultdict[str, list[Window]] = defaultdict(list)
        for window in self.windows:
            self._by_rule[window.rule].append(window)

    def __len__(self) -> int:
        return len(self.windows)

    def of(self, alert_line: bytes) -> Verdict | None:
        """What was said of the alert in this JSON (one of its changes); None: nothing, or it is no alert."""
        found = spans([alert_line])
        if not found:
            return None
        alert, line = found[0], _LINE.decode(alert_line)
        if alert.to_ns == END_NS:  # one change alone says nothing of later
            alert = msgspec.structs.replace(alert, to_ns=max(alert.from_ns, stamp_ns(line.changed)))
        return self.of_span(alert)

    def of_span(self, alert: Span) -> Verdict | None:
        """What was said of this alert: by its id, else a window of its subject, of its rule, else its lines."""
        window = self.window_for(alert)
        return window.verdict if window else alert.verdict

    def window_for(self, alert: Span) -> Window | None:
        """The window that speaks of this alert most closely; None: none does."""
        return self._by_id.get(alert.id) or self._closest(alert)

    def _closest(self, alert: Span) -> Window | None:
        fitting = [w for w in self._by_rule.get(alert.rule, ()) if w.fits(alert)]
        return next((w for w in reversed(fitting) if w.subject), fitting[-1] if fitting else None)

    def and_then(self, *others: Labels) -> Labels:
        """These, and later ones that have the last word."""
        return Labels([*self.windows, *(window for other in others for window in other.windows)])

    @classmethod
    def of_recording(cls, recording: Recording, *, commands: bool = True) -> Labels:
        """The labels that a recording itself holds: in its alerts, and in what people commanded.

        commands=False does not look through the inputs, which takes as long as decoding them.
        """
        found = spans(recording.alerts())
        told = commanded(recording, found) if commands else {}
        windows: list[Window] = []
        for span in found:
            verdict, note = (span.verdict, span.note) if span.verdict else told.get(span.id, (None, ""))
            if verdict:
                windows.append(window_of(span, verdict, note, "the recording"))
        return cls(windows)


def window_of(span: Span, verdict: Verdict, note: str = "", where: str = "") -> Window:
    """The window of one alert that was judged."""
    return Window(span.rule, span.subject, span.from_ns, span.to_ns, verdict, note, span.id, where)


def commanded(recording: Recording, alerts: Iterable[Span]) -> dict[str, tuple[Verdict | None, str]]:
    """What people commanded of alerts, by id, the last word of each: (verdict, note); `unmark` leaves None."""
    ids = {name: span.id for span in alerts for name in (span.code, span.id) if name}
    out: dict[str, tuple[Verdict | None, str]] = {}
    for piece in recording.pieces():
        cut = getattr(piece, "cut", None)
        for item in cut.inputs if cut is not None else ():
            if isinstance(item, Command) and item.target in ids and item.verb in {"right", "wrong", "unmark"}:
                verdict: Verdict | None = "right" if item.verb == "right" else "wrong" if item.verb == "wrong" else None
                out[ids[item.target]] = (verdict, item.note)
    return out


def scores(labels: Labels, alert_lines: Iterable[bytes]) -> list[Score]:
    """How each rule did that raised an alert or should have, by name.

    alert_lines: the alerts' JSON, a line a change, in order. An alert belongs to a window where it began or held in it.
    """
    by_rule: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans(alert_lines):
        by_rule[span.rule].append(span)
    wanted: defaultdict[str, list[Window]] = defaultdict(list)
    for window in labels.windows:
        if window.verdict == "right" and window.rule:
            wanted[window.rule].append(window)
    return [_score(rule, by_rule[rule], wanted[rule], labels) for rule in sorted({*by_rule, *wanted})]


def _score(rule: str, alerts: Sequence[Span], wanted: Sequence[Window], labels: Labels) -> Score:
    verdicts = [labels.of_span(alert) for alert in alerts]
    missed = tuple(window for window in wanted if not any(window.fits(alert) for alert in alerts))
    right, wrong = verdicts.count("right"), verdicts.count("wrong")
    return Score(rule, len(alerts), right, wrong, len(wanted) - len(missed), len(missed), missed)


class _Label(msgspec.Struct, frozen=True):
    verdict: str = ""
    who: str = ""
    note: str = ""


class _Line(msgspec.Struct, frozen=True):
    """What an alert's JSON says that matters here."""

    id: str
    rule: str
    subject: str
    started: str
    changed: str
    change: str
    code: str = ""
    colour: str = ""
    label: _Label | None = None


_LINE = msgspec.json.Decoder(_Line)


def spans(alert_lines: Iterable[bytes]) -> list[Span]:
    """The alerts that these lines tell of, in order of their first; a line that is no alert is left out."""
    lines: dict[str, list[_Line]] = {}
    for line in alert_lines:
        try:
            one = _LINE.decode(line)
        except msgspec.MsgspecError:
            continue
        lines.setdefault(one.id, []).append(one)
    return [_span(told) for told in lines.values()]


def _span(told: Sequence[_Line]) -> Span:
    first, last = told[0], told[-1]
    ended_ns = END_NS
    for line in told:
        if line.change in HOLDING:
            ended_ns = END_NS
        elif line.change in {"cleared", "closed"}:  # closing a day after it cleared is not its end
            ended_ns = min(ended_ns, stamp_ns(line.changed))
    label = last.label
    verdict: Verdict | None = None
    if label is not None and label.verdict in {"right", "wrong"}:
        verdict = "right" if label.verdict == "right" else "wrong"
    raised_ns = stamp_ns(first.changed) if first.change == "raised" else stamp_ns(first.started)
    return Span(
        first.id, first.rule, first.subject, stamp_ns(first.started), ended_ns, raised_ns,
        last.code, last.colour, verdict, label.note if label else "", label.who if label else "",
    )  # fmt: skip
