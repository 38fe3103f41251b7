"""Whether a replay says what was expected: alert lines against a file of them, to the byte (SEMANTICS.md §10).

An expectation is JSONL, an alert's change a line, as `zhiwang replay --alerts` and a live `file` sink write it.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

import msgspec

from gateway.codecs.times import stamp_ns
from gateway.errors import ConfigError
from gateway.replaying.difference import NUMBERS, Changed, Difference, Line
from gateway.replaying.pairing import nearest_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gateway.config.model import Config

LEFT_OUT = ("status", "published", "prev", "durable", "evidence", "config_sha")
"""What sinks and replay add, and what a configuration's spelling changes: not compared."""
SAME_CHANGE_NS = 600 * 10**9  # a change of the same rule, subject and kind so near is the same one, moved
SHOWN_BROKEN = 10
RESERVED = frozenset({"health", "silent", "stuck"})  # rules of the gateway's own


class Against(msgspec.Struct, frozen=True):
    """What is replayed, where that is known: so that an expectation of something else is recognised as such.

    `shadow`: rules whose alerts a live `file` sink leaves out.
    """

    gateway: str
    config_sha: str
    rules: frozenset[str]
    shadow: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *configs: Config) -> Against:
        """What replaying with this configuration makes; several: one after another, as a recording has them."""
        rules = {name: rule.common.mode for config in configs for name, rule in config.rules.items()}
        shadow = frozenset(name for name, mode in rules.items() if mode == "shadow")
        return cls(configs[-1].gateway, configs[-1].sha, frozenset(rules), shadow)


class _Head(msgspec.Struct):
    """What a line must have to be an alert's change."""

    rule: str
    subject: str
    change: str
    changed: str
    severity: str
    gateway: str
    seq: int
    id: str
    config_sha: str = ""
    status: str = ""
    value: float | None = None
    unit: str | None = None


class _Said(NamedTuple):
    """A line: its number in its file, what it says, and the bytes."""

    number: int
    head: _Head
    body: bytes

    def shown(self) -> Line:
        head = self.head
        at = (head.rule, head.subject, head.change, head.changed, head.severity, head.value, head.unit)
        return Line(self.number, *at)


def comparable(line: bytes) -> dict[str, object]:
    """What of an alert line is compared: its JSON object without what sinks add, evidence and config_sha.

    Raises msgspec.MsgspecError where it is no JSON object.
    """
    body = msgspec.json.decode(line, type=dict[str, object])
    return {key: value for key, value in body.items() if key not in LEFT_OUT}


def expect(path: Path, lines: Iterable[bytes], against: Against | None = None) -> Difference:
    """How what a replay says (`lines`) differs from the expectation in a file. Equal beginnings are not kept.

    Raises ConfigError with every broken line, OSError where the file cannot be read.
    """
    comparing = _Comparing(str(path), against)
    with path.open("rb") as file:
        expected = comparing.expectation(file)
        came = comparing.replayed(lines)
        for old, new in zip_longest(expected, came):
            comparing.take(old, new)
    if comparing.broken:
        more = comparing.broken_lines - len(comparing.broken)
        raise ConfigError([*comparing.broken, *([f"{path}: … and {more} more broken lines"] if more else [])])
    return comparing.difference()


class Origin(TypedDict, total=False):
    """See Difference."""

    other_gateway: tuple[str, str]
    other_config: tuple[str, str]


class _Comparing:
    """What two sequences of lines have come to."""

    def __init__(self, file: str, against: Against | None) -> None:
        self.broken: list[str] = []
        self.broken_lines = 0
        self._file, self._against = file, against
        self._live = False
        self._gateways: dict[str, None] = {}
        self._shas: dict[str, None] = {}
        self._rules: Counter[str] = Counter()
        self._came_of: tuple[set[str], set[str]] = (set(), set())
        self._expected = self._came = self._same = 0
        self._span = (2**63, 0)
        self._old: list[_Said] = []
        self._new: list[_Said] = []

    def expectation(self, file: Iterable[bytes]) -> Iterator[_Said]:
        """The lines of the file that can be read."""
        for number, raw in enumerate(file, 1):
            body = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
            if not body:
                continue
            said = self._read(number, body, whole=raw.endswith(b"\n"))
            if said is None:
                continue
            self._expected += 1
            self._live |= said.head.status == "actual"
            self._gateways[said.head.gateway] = None
            self._shas[said.head.config_sha] = None
            self._rules[said.head.rule] += 1
            yield said

    def _read(self, number: int, body: bytes, *, whole: bool) -> _Said | None:
        try:
            head = msgspec.json.decode(body, type=_Head)
            stamp_ns(head.changed)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
            self.broken_lines += 1
            if len(self.broken) < SHOWN_BROKEN:
                cut = "" if whole else "; the file ends in the middle of it"
                shown = body[:60].decode("utf-8", "replace")
                wanted = "an alert's JSON object is expected, as zhiwang replay --alerts writes it"
                self.broken.append(f"{self._file}:{number}  found {shown!r}{cut}: {wanted} ({error})")
            return None
        return _Said(number, head, body)

    def replayed(self, lines: Iterable[bytes]) -> Iterator[_Said]:
        """What was replayed, less what the expectation cannot hold."""
        for number, body in enumerate(lines, 1):
            said = _Said(number, msgspec.json.decode(body, type=_Head), body)
            self._came_of[0].add(said.head.gateway)
            self._came_of[1].add(said.head.config_sha)
            if self._live and self._against and said.head.rule in self._against.shadow:
                continue
            self._came += 1
            at_ns = stamp_ns(said.head.changed)
            self._span = (min(self._span[0], at_ns), max(self._span[1], at_ns))
            yield said

    def take(self, old: _Said | None, new: _Said | None) -> None:
        """The next of each; equal ones are counted, the others kept."""
        if old and new and not self._old and not self._new and comparable(old.body) == comparable(new.body):
            self._same += 1
            return
        self._old += [old] if old else []
        self._new += [new] if new else []

    def difference(self) -> Difference:
        """What differs, and what there is to say of where the expectation comes from."""
        base = Difference(self._file, self._expected, self._came, self._same, **self._origin())
        if base.other_gateway:
            return base
        gone = set[str]() if self._against is None else set(self._rules) - self._against.rules - RESERVED
        same, changed, missing, unexpected = _pair(
            [said for said in self._old if said.head.rule not in gone], self._new
        )
        numbers = [NUMBERS.issuperset(one.fields) for one in changed]
        return msgspec.structs.replace(
            base,
            same=self._same + same,
            gone={rule: self._rules[rule] for rule in sorted(gone)},
            missing=tuple(missing),
            unexpected=tuple(unexpected),
            outside=sum(not self._span[0] <= stamp_ns(one.changed) <= self._span[1] for one in missing)
            if self._came
            else 0,
            changed=tuple(one for one, only in zip(changed, numbers, strict=True) if not only),
            renumbered=tuple(one for one, only in zip(changed, numbers, strict=True) if only),
        )

    def _origin(self) -> Origin:
        """The gateways and the configurations of both, where they are others."""
        gateways, shas = self._came_of
        if self._against:
            gateways, shas = {self._against.gateway}, {self._against.config_sha}
        known, origin = {sha for sha in self._shas if sha}, Origin()
        if gateways and self._gateways and not gateways & set(self._gateways):
            origin["other_gateway"] = ", ".join(self._gateways), ", ".join(sorted(gateways))
        if known and shas and not shas & known:
            ours, theirs = (", ".join(sorted(sha[:12] for sha in each)) for each in (known, shas))
            origin["other_config"] = ours, theirs
        return origin


def _pair(old: Sequence[_Said], new: Sequence[_Said]) -> tuple[int, list[Changed], list[Line], list[Line]]:
    """(how many are the same, the changed, the missing, the unexpected ones), each in order."""
    pairs, old_left, new_left = _equal_keys(old, new)
    pairs += _moved(old_left, new_left)
    paired = ({id(one) for one, _ in pairs}, {id(two) for _, two in pairs})
    same, changed = 0, list[Changed]()
    for one, two in sorted(pairs, key=lambda pair: pair[0].number):
        fields = _fields(comparable(one.body), comparable(two.body))
        if fields:
            changed.append(Changed(one.shown(), two.number, fields))
        else:
            same += 1
    missing = [one.shown() for one in old_left if id(one) not in paired[0]]
    unexpected = [two.shown() for two in new_left if id(two) not in paired[1]]
    return same, changed, missing, unexpected


Pairs = list[tuple[_Said, _Said]]


def _equal_keys(old: Sequence[_Said], new: Sequence[_Said]) -> tuple[Pairs, list[_Said], list[_Said]]:
    """Those of the same rule, subject, change and time; and what is left."""
    waiting: dict[tuple[str, ...], list[_Said]] = {}
    for said in reversed(old):
        waiting.setdefault(_key(said), []).append(said)
    pairs: Pairs = []
    left: list[_Said] = []
    for said in new:
        if same := waiting.get(_key(said)):
            pairs.append((same.pop(), said))
        else:
            left.append(said)
    return pairs, sorted(said for group in waiting.values() for said in group), left


def _key(said: _Said) -> tuple[str, ...]:
    return said.head.rule, said.head.subject, said.head.change, said.head.changed


def _moved(old: Sequence[_Said], new: Sequence[_Said]) -> Pairs:
    """Those of the same rule, subject and change that are near in time."""
    groups: dict[tuple[str, ...], tuple[list[_Said], list[_Said]]] = {}
    for place, side in enumerate((old, new)):
        for said in side:
            groups.setdefault(_key(said)[:3], ([], []))[place].append(said)
    pairs: Pairs = []
    for one, two in groups.values():
        a, b = (sorted(side, key=lambda said: stamp_ns(said.head.changed)) for side in (one, two))
        times = [[stamp_ns(said.head.changed) for said in side] for side in (a, b)]
        pairs += [(a[i], b[j]) for i, j in nearest_pairs(times[0], times[1], SAME_CHANGE_NS)]
    return pairs


def _fields(old: dict[str, object], new: dict[str, object], under: str = "") -> dict[str, tuple[object, object]]:
    """What differs, field by field: old, new."""
    fields: dict[str, tuple[object, object]] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        one, two = old.get(key), new.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            fields |= _fields(cast("dict[str, object]", one), cast("dict[str, object]", two), f"{under}{key}.")
        elif one != two or (key in old) != (key in new):
            fields[f"{under}{key}"] = (one, two)
    return fields
