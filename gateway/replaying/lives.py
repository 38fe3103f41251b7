"""Alert lines folded into alerts: when each was active and at which severity, its worst value, how often it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.codecs.times import stamp_ns
from gateway.errors import ConfigError
from gateway.events import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

RAISES = frozenset({"raised", "returned"})
ENDS = frozenset({"cleared", "closed"})


class Span(NamedTuple):
    """A time at one severity, UTC ns; `to_ns` None: still active when the lines ended."""

    from_ns: int
    to_ns: int | None
    severity: str


class Life(msgspec.Struct, frozen=True):
    """One alert, by its id. Times UTC ns.

    raised, ended: when it was first raised and last cleared (None: it is active) as the gateway tells it; `times`: how
    often it was raised or returned; value, limit: when it was first at its highest severity.
    """

    id: str
    code: str
    rule: str
    subject: str
    camera: str
    raised: str
    raised_ns: int
    ended: str | None
    ended_ns: int | None
    severity_max: str
    value: float | None
    limit: float | None
    unit: str
    times: int
    spans: tuple[Span, ...]


class _Said(msgspec.Struct):
    """What of a line an alert's life is made of."""

    id: str
    rule: str
    subject: str
    change: str
    changed: str
    severity: str
    code: str = ""
    state: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    camera: str | None = None


class _Growing:
    """An alert while its lines are read."""

    def __init__(self, said: _Said) -> None:
        self._first = self._worst = said
        self._ended: str | None = None
        self._times = 0
        self._spans: list[Span] = []
        self._since: tuple[int, str] | None = None
        if said.change not in RAISES and said.state.startswith("active"):  # it was raised before the first line
            self._since, self._times = (stamp_ns(said.changed), said.severity), 1

    def take(self, said: _Said) -> None:
        at_ns = stamp_ns(said.changed)
        if SEVERITIES.index(said.severity) > SEVERITIES.index(self._worst.severity):
            self._worst = said
        if said.change in RAISES:
            self._times += 1
            self._since, self._ended = (at_ns, said.severity), None
        elif said.change in ENDS:
            if self._since is not None:
                self._end(at_ns)
                self._ended = said.changed
        elif self._since is not None and self._since[1] != said.severity:
            self._end(at_ns)
            self._since = (at_ns, said.severity)

    def _end(self, at_ns: int) -> None:
        assert self._since is not None  # noqa: S101 - who calls has looked
        since_ns, severity = self._since
        self._spans.append(Span(since_ns, max(at_ns, since_ns), severity))
        self._since = None

    def life(self) -> Life:
        first, worst = self._first, self._worst
        spans = [*self._spans, *([Span(self._since[0], None, self._since[1])] if self._since else [])]
        return Life(
            id=first.id,
            code=first.code,
            rule=first.rule,
            subject=first.subject,
            camera=first.camera or "",
            raised=first.changed,
            raised_ns=stamp_ns(first.changed),
            ended=self._ended,
            ended_ns=stamp_ns(self._ended) if self._ended else None,
            severity_max=worst.severity,
            value=worst.value,
            limit=worst.limit,
            unit=worst.unit or "",
            times=self._times,
            spans=tuple(spans),
        )


def active_s(life: Life, until_ns: int) -> dict[str, float]:
    """How many seconds it was active at each severity; what is still active is until then."""
    total: dict[str, int] = {}
    for span in life.spans:
        ended_ns = max(until_ns, span.from_ns) if span.to_ns is None else span.to_ns
        total[span.severity] = total.get(span.severity, 0) + ended_ns - span.from_ns
    return {severity: total[severity] / 1e9 for severity in SEVERITIES if severity in total}


def lives(lines: Iterable[bytes], name: str = "alerts") -> list[Life]:
    """The alerts of these lines, in the order in which they were first told.

    Raises ConfigError for a line that is no alert's change; `name`: where the lines come from.
    """
    decoder, growing = msgspec.json.Decoder(_Said), dict[str, _Growing]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = decoder.decode(line)
            if said.id not in growing:
                growing[said.id] = _Growing(said)
            growing[said.id].take(said)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            shown = line[:60].decode("utf-8", "replace")
            wanted = "an alert's JSON object is expected, as zhiwang replay --alerts writes it"
            raise ConfigError([f"{name}:{number}  found {shown!r}: {wanted} ({error})"]) from error
    return [one.life() for one in growing.values()]
