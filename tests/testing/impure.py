"""Rules that are each impure in one way, and one that is pure: a threshold whose lens shows something else."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from gateway.config.kinds import Kind
from gateway.core.lens import Lens, Plain
from gateway.core.rules.count import COUNT
from gateway.core.rules.threshold import THRESHOLD, Threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.core.lens import Asked, Seen
    from gateway.core.looks import Look
    from gateway.core.machine import Transition
    from gateway.core.rule import Moment, Rule
    from gateway.core.rules.making import Making
    from gateway.core.state import Table
    from gateway.core.watch import Run

    Figures = Callable[[Asked], NDArray[np.float64]]


class Odd:
    """A lens's glass that shows figures of its own."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def meet(self, series: NDArray[np.int32]) -> None:
        """It keeps nothing of one."""

    def show(self, asked: Asked) -> Seen:
        """Its figures."""
        readings = asked.readings._replace(value=self._figures(asked))
        return Plain().show(asked._replace(readings=readings))


def threshold(figures: Callable[[], Figures]) -> Kind:
    """A threshold that sees these figures; made anew for each core."""

    def build(making: Making) -> Rule:
        making.lenses["value"] = Lens(Odd(figures()))
        return THRESHOLD.build(making)

    return Kind("threshold", Threshold, build)


def with_attribute() -> Figures:
    """The largest value so far, in an attribute."""
    largest = [0.0]

    def figures(asked: Asked) -> NDArray[np.float64]:
        shown = list[float]()
        for value in asked.readings.value.tolist():
            largest[0] = max(largest[0], value)
            shown.append(largest[0])
        return np.array(shown)

    return figures


def with_clock() -> Figures:
    """Nothing at night."""
    return lambda asked: asked.readings.value * (1 if time.time() > 0 else 0)


def with_now() -> Figures:
    """The same, by another clock."""
    return lambda asked: asked.readings.value * (1 if datetime.now(UTC).year > 2000 else 0)


def with_chance() -> Figures:
    """One in many is left out."""
    return lambda asked: asked.readings.value * (random.random() > 0)


STARTED: list[int] = []


def with_a_global() -> Figures:
    """How many cores there have been."""
    STARTED.append(1)
    count = len(STARTED)
    return lambda asked: asked.readings.value + count


def with_batches() -> Figures:
    """The largest of what came together."""
    return lambda asked: np.full(len(asked.readings.value), asked.readings.value.max())


def with_hashes() -> Figures:
    """By the order that a set happens to have."""
    order = [len(word) for word in frozenset(("a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"))]
    figure = sum(place * length for place, length in enumerate(order))
    return lambda asked: asked.readings.value + float(figure)


def raising() -> Figures:
    """Of a value it did not think of."""

    def figures(asked: Asked) -> NDArray[np.float64]:
        if asked.readings.value.max() > 100:
            raise ZeroDivisionError("one over nothing")
        return asked.readings.value

    return figures


ATTRIBUTE, CLOCK, NOW, CHANCE = (threshold(one) for one in (with_attribute, with_clock, with_now, with_chance))
GLOBAL, BATCHES, RAISING = (threshold(one) for one in (with_a_global, with_batches, raising))


def by_hashes(making: Making) -> Rule:
    """As HASHES, so that another process finds it."""
    making.lenses["value"] = Lens(Odd(with_hashes()))
    return THRESHOLD.build(making)


HASHES = Kind("threshold", Threshold, by_hashes)


def pure(making: Making) -> Rule:
    """The shipped one under another name."""
    return THRESHOLD.build(making)


PURE = Kind("threshold", Threshold, pure)


class Frames:
    """A count that first looks at a frame in its own way; what it remembers is declared."""

    def __init__(self, rule: Rule, table: Table, *, by_number: bool) -> None:
        self._rule, self._row, self._touch, self._by_number = rule, table.rows[0], table.touch_one, by_number

    def __getattr__(self, name: str) -> object:
        return getattr(self._rule, name)

    def detections(self, look: Look, moment: Moment, run: Run) -> list[Transition]:
        """Every third one; or, by number, any that is not the one before, as if it were the newest."""
        self._touch(0)
        seen = look.seen
        if not self._by_number:
            self._row["frames"] += 1
            return [] if self._row["frames"] % 3 else self._rule.detections(look, moment, run)
        if self._row["frames"] == seen.frame:
            return []
        self._row["frames"], self._row["at"] = seen.frame, max(int(self._row["at"]) + 1, seen.event_ns)
        later = msgspec.structs.replace(seen, event_ns=int(self._row["at"]))
        return self._rule.detections(look._replace(seen=later), moment, run)


def frames(*, by_number: bool) -> Kind:
    """A count of people that does so."""

    def build(making: Making) -> Rule:
        rule = COUNT.build(making)
        table = making.state.table(f"frames/{making.config.name}", {"frames": (np.int64, 0), "at": (np.int64, 0)})
        table.grow(1)
        return cast("Rule", Frames(rule, table, by_number=by_number))

    return Kind("count", COUNT.struct, build)


EVERY_THIRD, ANY_ORDER = frames(by_number=False), frames(by_number=True)
