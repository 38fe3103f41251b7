"""`cross`: so many crossed a line within a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.rules.places import check_labels, check_levels, indices, labels_of
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.rules.making import Making
    from gateway.core.state import State

WAYS = {"in": (1,), "out": (-1,), "both": (1, -1)}
MOST = 1000
"""The crossings that are remembered: no level may ask for more."""


class Cross(Struct, frozen=True):
    """So many of these labels crossed a line within a time. `over`: `camera.line`.

    `direction: in` is from the left hand to the right of who walks along the line from its first point. `per`: the
    time, of which only what the camera really watched counts.
    """

    cross: str | tuple[str, ...]
    over: str
    levels: dict[Colour, int]
    direction: Literal["in", "out", "both"] = "both"
    per: Duration = Duration(60 * NS)

    def tracked(self) -> str:
        """The line."""
        return self.over

    def check(self, names: Names) -> Problems:
        """A line and labels that exist, and levels in order."""
        problems = names.line("over", self.over) + check_labels(names, "cross", self.over, self.cross)
        problems += check_levels({c: float(n) for c, n in self.levels.items()}, 1, "yellow: 20")
        if self.per < NS:
            problems.append(("per", f"found {self.per}; at least 1 s"))
        return problems + [
            (f"levels.{colour}", f"found {number}; at most {MOST}")
            for colour, number in self.levels.items()
            if number > MOST
        ]


class _Recent:
    """How many crossed within the last watched time: a ring of the moments, in the table `<rule>/crossed`."""

    def __init__(self, line: str, labels: NDArray[np.int16], kind: Cross, state: State, name: str, owner: str) -> None:
        self._line, self._ways, self._per_ns = line, WAYS[kind.direction], int(kind.per)
        self._labels = frozenset(labels.tolist())
        self._ring = state.table(f"{name}/crossed", {"at": (np.int64, -1)}, owner)
        self._next = state.table(f"{name}/crossed/next", {"row": (np.int64, 0)}, owner)
        self._ring.grow(min(MOST, 2 * max(kind.levels.values())))
        self._next.grow(1)

    def read(self, look: Look) -> float:
        at = self._ring["at"]
        for crossing in look.lines[self._line]:
            if crossing.way in self._ways and crossing.label in self._labels:
                row = int(self._next["row"][0])
                at[row] = look.watched_ns
                self._next["row"][0] = (row + 1) % self._ring.n
                self._ring.touch_one(row)
                self._next.touch_one(0)
        recent = at[: self._ring.n]
        return float(np.count_nonzero((recent >= 0) & (recent > look.watched_ns - self._per_ns)))


def build(making: Making) -> TrackRule:
    """The rule of a cross's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Cross)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.cross)
    levels: dict[Colour, float] = {colour: float(n) for colour, n in kind.levels.items()}
    rule = TrackRule(making, kind.over, labels, levels, Scale(0))
    name = f"rule/{rule.name}"
    rule.meter = _Recent(rule.where, indices(labels, rule.known), kind, making.state, name, rule.owner)
    return rule


CROSS = Kind("cross", Cross, build)
