"""What would have been different: the alerts of two replays side by side, by rule and by cause.

Alerts are matched by rule, subject and time: two that were raised within the tolerance are the same one, and of those
left over two that were active at the same time, or nearly, are one that moved.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from gateway.replaying.causes import Cause, Key, Why
from gateway.replaying.diff_text import text_of
from gateway.replaying.lives import Life, active_s, lives
from gateway.replaying.pairing import nearest_pairs
from gateway.replaying.shown import MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.language import Language
    from gateway.recording.parts import About, Gap

Kind = Literal["same", "appeared", "vanished", "moved", "changed"]
NEAR_NS = 60 * 10**9  # two alerts of one subject that are no further apart are one that moved
BESIDE = 4  # alerts of one subject come one after another, so that no more can be near
TIMES = frozenset({"raised", "ended"})


class Pair(msgspec.Struct, frozen=True):
    """An alert in A and in B. `fields`: what of it is otherwise, (in A, in B); `cause`: why, where something is."""

    kind: Kind
    rule: str
    subject: str
    a: Life | None
    b: Life | None
    fields: dict[str, tuple[object, object]] = {}
    cause: Cause | None = None

    def at_ns(self) -> int:
        """When it was raised, in A where it was."""
        return (self.a or self.b).raised_ns  # pyright: ignore[reportOptionalMemberAccess] - one of them is there


class Side(msgspec.Struct, frozen=True):
    """What one side is of, where that is known, and how many alerts it has."""

    alerts: int
    gateway: str = ""
    version: str = ""
    config_sha: str = ""


class Explained(msgspec.Struct, frozen=True):
    """A cause, and how many differences it explains."""

    cause: Cause
    differences: int


class OfRule(msgspec.Struct, frozen=True):
    """One rule's alerts: in A, in B, and what became of them."""

    rule: str
    a: int
    b: int
    counts: dict[str, int]
    causes: tuple[Explained, ...]


class Diff(msgspec.Struct, frozen=True):
    """Two replays. `pairs` in the order in which they were raised; `keys`: what is configured otherwise at all."""

    a: Side
    b: Side
    within_ns: int
    pairs: tuple[Pair, ...]
    keys: tuple[Key, ...]

    @property
    def same(self) -> bool:
        """Whether nothing is different, but for times within the tolerance."""
        return all(pair.kind == "same" for pair in self.pairs)

    def differences(self) -> list[Pair]:
        """Those that are not the same."""
        return [pair for pair in self.pairs if pair.kind != "same"]

    def rules(self) -> list[OfRule]:
        """By rule, in the order of their names."""
        groups: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            groups.setdefault(pair.rule, []).append(pair)
        return [_of_rule(rule, pairs) for rule, pairs in sorted(groups.items())]

    def text(self, language: Language = "en", *, colour: bool = False, most: int = MOST) -> str:
        """A table by rule, why, and at most so many of the differences."""
        return text_of(self, language, colour=colour, most=most)

    def json(self) -> bytes:
        """One object: `same`, the sides, `rules`, `differences`."""
        whole = {
            "same": self.same,
            "within_s": self.within_ns / 1e9,
            "a": self.a,
            "b": self.b,
            "configuration": self.keys,
            "rules": self.rules(),
            "differences": self.differences(),
        }
        return msgspec.json.encode(whole)


def diff(
    a: Sequence[bytes],
    b: Sequence[bytes],
    within_ns: int,
    a_about: About | None = None,
    b_about: About | None = None,
    *,
    holes: Sequence[Gap] = (),
) -> Diff:
    """The alerts of two sequences of alert lines, side by side. `holes`: what either recording lacks.

    Raises ConfigError for a line that is no alert's change.
    """
    sides, why = (lives(a, "A"), lives(b, "B")), Why(a_about, b_about, holes)
    groups: dict[tuple[str, str], tuple[list[Life], list[Life]]] = {}
    for place, side in enumerate(sides):
        for life in sorted(side, key=lambda life: life.raised_ns):
            groups.setdefault((life.rule, life.subject), ([], []))[place].append(life)
    judging = _Judging(within_ns, max((_last_ns(life) for side in sides for life in side), default=0), why)
    pairs = [judging.pair(one, two) for group in groups.values() for one, two in _matched(*group, within_ns)]
    pairs.sort(key=lambda pair: (pair.at_ns(), pair.rule, pair.subject))
    return Diff(_side(sides[0], a_about), _side(sides[1], b_about), within_ns, tuple(pairs), tuple(why.keys))


def _side(side: Sequence[Life], about: About | None) -> Side:
    return Side(len(side), about.gateway, about.version, about.config_sha) if about else Side(len(side))


def _matched(a: list[Life], b: list[Life], within_ns: int) -> Iterable[tuple[Life | None, Life | None]]:
    """Which alert of A is which of B, of one rule and subject; each side by time."""
    at = nearest_pairs([life.raised_ns for life in a], [life.raised_ns for life in b], within_ns)
    yield from ((a[i], b[j]) for i, j in at)
    taken = {i for i, _ in at}, {j for _, j in at}
    left = [life for i, life in enumerate(a) if i not in taken[0]]
    free = [life for j, life in enumerate(b) if j not in taken[1]]
    for life in left:
        at = bisect_left(free, life.raised_ns, key=lambda other: other.raised_ns)
        beside = free[max(0, at - BESIDE) : at + BESIDE]
        near = min(
            beside, key=lambda other: (_apart_ns(life, other), abs(other.raised_ns - life.raised_ns)), default=None
        )
        if near is not None and _apart_ns(life, near) <= max(NEAR_NS, within_ns):
            free.remove(near)
            yield life, near
        else:
            yield life, None
    yield from ((None, life) for life in free)


def _apart_ns(a: Life, b: Life) -> int:
    """How long lies between two alerts; 0: they are active at the same time."""
    first, second = (a, b) if a.raised_ns <= b.raised_ns else (b, a)
    return 0 if first.ended_ns is None else max(0, second.raised_ns - first.ended_ns)


def _last_ns(life: Life) -> int:
    return max([life.raised_ns, *(span.to_ns or span.from_ns for span in life.spans)])


class _Judging(NamedTuple):
    """What it takes to say how two alerts differ. `until_ns`: when the last thing was told on either side."""

    within_ns: int
    until_ns: int
    why: Why

    def pair(self, a: Life | None, b: Life | None) -> Pair:
        one = a or b
        assert one is not None  # noqa: S101 - a match has at least one side
        if a is None or b is None:
            kind: Kind = "appeared" if a is None else "vanished"
            return Pair(kind, one.rule, one.subject, a, b, cause=self.why.cause([one]))
        fields = self._differing(a, b)
        kind = "same" if not fields else "moved" if TIMES.issuperset(fields) else "changed"
        return Pair(kind, one.rule, one.subject, a, b, fields, self.why.cause([a, b]) if fields else None)

    def _differing(self, a: Life, b: Life) -> dict[str, tuple[object, object]]:
        fields: dict[str, tuple[object, object]] = {}
        if self._apart(a.raised_ns, b.raised_ns):
            fields["raised"] = a.raised, b.raised
        if (a.ended_ns is None) != (b.ended_ns is None) or self._apart(a.ended_ns or 0, b.ended_ns or 0):
            fields["ended"] = a.ended, b.ended
        for name in ("severity_max", "times", "value", "limit"):
            if getattr(a, name) != getattr(b, name):
                fields[name] = getattr(a, name), getattr(b, name)
        one, two = active_s(a, self.until_ns), active_s(b, self.until_ns)
        longer = [abs(one.get(name, 0.0) - two.get(name, 0.0)) for name in {*one, *two}]
        if not TIMES & fields.keys() and max(longer, default=0.0) > self.within_ns / 1e9 * max(a.times, b.times):
            fields["active_s"] = one, two
        return fields

    def _apart(self, a_ns: int, b_ns: int) -> bool:
        return abs(a_ns - b_ns) > self.within_ns


def _of_rule(rule: str, pairs: Sequence[Pair]) -> OfRule:
    causes: Counter[bytes] = Counter(msgspec.json.encode(pair.cause) for pair in pairs if pair.cause)
    return OfRule(
        rule,
        sum(pair.a is not None for pair in pairs),
        sum(pair.b is not None for pair in pairs),
        dict(Counter(pair.kind for pair in pairs)),
        tuple(Explained(msgspec.json.decode(cause, type=Cause), count) for cause, count in causes.most_common()),
    )
