"""`abandoned`: something stands in a zone, and no person has been near it for so long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Distance, Duration
from gateway.core.rules import standing
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.several import Cases, SeveralRule
from gateway.core.rules.stopped import seconds
from gateway.events import Colour

if TYPE_CHECKING:
    from gateway.config.names import Names, Problems
    from gateway.core.rules.making import Making


class Abandoned(Struct, frozen=True):
    """One of these labels has stood in a zone, without a `person` within `away`, for so long; `in` as in `stopped`.

    away: metres, which need the camera's `ground`, or heights of the person's box. Without levels, `for:` says how
    long, and it is yellow. It stays until the thing is gone, also when somebody comes: hold, as in `stopped`.
    """

    abandoned: str | tuple[str, ...]
    in_: str
    away: Distance = Distance(1.5, metres=False)
    person: str | tuple[str, ...] = "person"
    levels: dict[Colour, Duration] = {}
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def moving(self) -> str:
        """The zone."""
        return self.in_

    def check(self, names: Names) -> Problems:
        """A place and labels that exist, a ground for metres, and levels in order."""
        problems = check_place(names, self.in_)
        problems += check_labels(names, "abandoned", self.in_, self.abandoned)
        problems += check_labels(names, "person", self.in_, self.person)
        if self.away.metres:
            problems += [
                (key, f"{why}; or write it in heights of a person, such as 1.5 heights")
                for key, why in names.ground("away", self.in_)
            ]
        levels: dict[Colour, float] = {colour: int(level) / 1e9 for colour, level in self.levels.items()}
        return problems + (check_levels(levels, 1, "yellow: 60 s") if levels else [])


def build(making: Making) -> SeveralRule:
    """The rule of an abandoned's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Abandoned)  # noqa: S101 - the registry pairs this function with that struct
    labels, persons = labels_of(kind.abandoned), labels_of(kind.person)
    levels = seconds(kind.levels, making.config.common.for_)
    rule = SeveralRule(making, kind.in_, (*labels, *persons), levels, "s")
    rule.cases = Cases(making, rule.owner, standing.COLUMNS)
    how = standing.Still(rule.limits, int(kind.hold), kind.away.number, kind.away.metres)
    rule.judge = standing.Standers(
        rule.cases, rule.where, indices(labels, rule.known), indices(persons, rule.known), how
    )
    return rule


ABANDONED = Kind("abandoned", Abandoned, build)
