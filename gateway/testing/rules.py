"""`check_rule`: whether a rule is pure, and if it is not, which property broke and the fewest messages that show it."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.config.kinds import Kind
from gateway.testing import properties
from gateway.testing.cores import Maker, Recipe, run, whole_text
from gateway.testing.elsewhere import CannotGo, Elsewhere, digest_of
from gateway.testing.of_recordings import Recorded
from gateway.testing.properties import Broken, fewest, said
from gateway.testing.said import opening, shown, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.testing.said import Say, Step

LABELS = ("person", "car")  # of a model that nobody runs
TRIES = 200  # runs while looking for the fewest messages
SEEDS = (1, 2)  # of hashes, in other processes: two orders besides this one's
SHOWN = 8  # rows of what was said, on each side
HINTS = {
    "raises": "a rule that raises is set aside until the next configuration",
    "world": "time and chance reach a rule only inside its inputs: use event times, admitted_ns and elapsed_ns",
    "again": "something it uses is left from the run before: a global, a cache, a default argument, chance",
    "grouping": "a batch is no unit of time: go through readings in their order, and keep what lasts in declared state",
    "restart": "what it remembers lives in an attribute: declare a table or book in `making.state`",
    "twice": "a repeated reading or look must change nothing: compare its time with what was seen last",
    "late": "what is older than what was seen must change nothing: compare its time with what was seen last",
    "hashes": "the order of a set differs between processes: sort it, or use a dict",
}


class ImpureRule(AssertionError):
    """A rule that is not pure: which property broke, the fewest messages found, and what was said either way."""


class Checked(msgspec.Struct, frozen=True):
    """A rule that passed. `alerts`: the bodies of what it said of the messages; `untried`: what could not be tried."""

    alerts: list[dict[str, object]]
    untried: tuple[str, ...] = ()


def check_rule(
    rule: str | Path | Kind | Sequence[Kind],
    messages: Iterable[Say],
    *,
    config: str | Path = "",
    labels: Sequence[str] = (),
    settle_s: float = 60.0,
    quiet: bool = False,
) -> Checked:
    """Check that rules are pure: the same whatever happens to their inputs on the way. Raises ImpureRule, ConfigError.

    `rule`: a configuration (text, or its file) whose rules are checked, or one's own Kind (or several) with `config`,
    a configuration that uses it. A text without `gateway:` or `brokers:` gets them. `messages`: inputs, (topic,
    payload) or (topic, payload, seconds), or what `recorded` gives; give some that raise the rule and some that clear
    it. `labels`: of the cameras' model; else those that `recorded` found, or person and car. `settle_s`: time that
    passes after the last. `quiet`: it is right that no rule says anything.

    Checked: it raises nothing; reads no clock, file or chance; says the same again, in any cuts of its inputs, killed
    and restored anywhere, in a process with another order of hashes, and where messages come twice, late or shuffled.
    """
    kinds = (rule,) if isinstance(rule, Kind) else () if isinstance(rule, str | Path) else tuple(rule)
    given = config if kinds else rule
    assert isinstance(given, str | Path)  # noqa: S101 - without kinds it is the configuration itself
    if not str(given):
        raise ValueError("check_rule: give config=, a configuration with a rule of this kind")
    text = given.read_text(encoding="utf-8") if isinstance(given, Path) else given
    base = str(given.parent if isinstance(given, Path) else Path())
    known = tuple(labels) or (messages.labels if isinstance(messages, Recorded) else ()) or LABELS
    maker = Maker(Recipe(whole_text(text), base, kinds, known))
    names = frozenset(one.name for one in maker.plan.rules)
    steps = steps_of(messages, next(iter(maker.brokers), ""), settle_s)
    return _Checking(maker, names, opening(maker.brokers, steps), steps).check(quiet=quiet)


class _Checking:
    """One check: properties from the plainest to the dearest."""

    def __init__(self, maker: Maker, names: frozenset[str], start: list[Step], steps: list[Step]) -> None:
        self._maker, self._names, self._start, self._steps = maker, names, start, steps

    def check(self, *, quiet: bool) -> Checked:
        log = logging.getLogger("gateway")
        level = log.level
        log.setLevel(logging.CRITICAL)  # a rule that raises says so in the exception, once
        try:
            rows = [
                row for row in run(self._maker.core(), [*self._start, *self._steps]).alerts if row.rule in self._names
            ]
            if not rows and not quiet:
                self._search("raises", lambda steps: properties.raises(self._maker, steps, self._names))
                rules = ", ".join(sorted(self._names)) or "no rule"
                do = "give some that raise it and some that clear it, or quiet=True"
                raise ImpureRule(f"{rules}: says nothing of these messages, so nothing was checked: {do}")
            self._hold()
            return Checked([msgspec.json.decode(row.body) for row in rows], self._hashes())
        finally:
            log.setLevel(level)

    def _hold(self) -> None:
        """Raise for the first property that does not hold."""
        maker, names, first = self._maker, self._names, len(self._start)
        self._search("raises", lambda steps: properties.raises(maker, steps, names))
        self._search("world", lambda steps: properties.asks_the_world(maker, steps))
        self._search("again", lambda steps: properties.again(maker, steps))
        self._search("grouping", lambda steps: properties.grouping(maker, steps))
        self._search("restart", lambda steps: properties.restart(maker, steps, first))
        self._search("twice", lambda steps: properties.twice(maker, steps, names))
        self._search("late", lambda steps: properties.late(maker, steps, names))

    def _search(self, name: str, search: Callable[[list[Step]], Broken | None]) -> None:
        whole = search([*self._start, *self._steps])
        if whole is None:
            return

        def broken_too(part: list[Step]) -> bool:
            found = search([*self._start, *part])
            return found is not None and found.shows() >= whole.shows()

        left = fewest(self._steps, broken_too, TRIES)
        broken = search([*self._start, *left])
        if broken is None:  # what is broken by chance is not broken every time
            left, broken = self._steps, Broken("it says something else each time", [], [], {})
        raise ImpureRule(self._told(name, broken, left))

    def _hashes(self) -> tuple[str, ...]:
        """The order of hashes does not matter; what could not be tried."""
        try:
            with contextlib.ExitStack() as stack:
                there = [stack.enter_context(Elsewhere(self._maker.recipe, seed)) for seed in SEEDS]
                self._search("hashes", lambda steps: self._otherwise(there, steps))
        except CannotGo as error:
            return (f"another order of hashes: {error}; put the rule into a module",)
        return ()

    def _otherwise(self, there: Sequence[Elsewhere], steps: list[Step]) -> Broken | None:
        here = run(self._maker.core(), steps)
        if all(one.digest(steps) == digest_of(here) for one in there):
            return None
        what = "in another process, where text is hashed in another order, it says something else"
        return Broken(what, said(here.alerts), [], {})

    def _told(self, name: str, broken: Broken, steps: Sequence[Step]) -> str:
        lines = [f"{', '.join(sorted(self._names))}: {broken.what}"]
        many = f"{len(steps)} of {len(self._steps)} inputs, ticks among them"
        lines.append(f"the fewest inputs found ({many}):")
        offset = len(self._start)
        for place, step in enumerate(steps):
            mark = broken.marks.get(place + offset, "")
            if mark.startswith("──"):
                lines.append(f"    {mark}")
            after = broken.marks.get(place + offset + 1, "")
            lines.append(f"    {shown(step)}{after if after.startswith(' ') else ''}")
        if broken.usual or broken.other:
            lines += ["  it says:", *_rows(broken.usual), "  and then:", *_rows(broken.other)]
        return "\n".join([*lines, f"do: {HINTS[name]}"])


def _rows(rows: Sequence[str]) -> list[str]:
    more = [f"    … {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return [f"    {row}" for row in rows[:SHOWN]] + more if rows else ["    nothing"]
