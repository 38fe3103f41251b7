"""Which boxes of a look an alert is about, where its rule judges tracks: not everybody in its zone.

A case (`stopped`, `abandoned`, `near_miss`) has its visitors in its row. `dwell`, `speed` and `wrong_way` come to one
number for a zone; which tracks make it is found by asking for the number of each alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.core.rules.several import SeveralRule
from gateway.core.rules.tracked import TrackRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.looks import Look
    from gateway.core.rule import Speaker

    Rows = NDArray[np.bool_]

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2, fractions of the picture."""
ALONE = frozenset({"dwell", "speed", "slow", "wrong_way"})
"""What `TrackRule.kind` is where the zone's number is one track's, or counts tracks, and reading it changes nothing."""
VISITORS = ("thing", "one", "other")
"""The columns of a case's row that name visitors."""
MOST = 16
"""Boxes that are named at most: where more do the same at once it is no longer about one of them."""
DIGITS = 5  # of a fraction: a 25th of a pixel of 4K


class About(msgspec.Struct, frozen=True, array_like=True):
    """The last look in which somebody made a rule's number what it is, and their boxes in it."""

    frame: int
    event_ns: int
    boxes: tuple[Box, ...]


def names_tracks(rule: Speaker) -> bool:
    """Whether its alerts are about tracks that can be told apart."""
    return isinstance(rule, SeveralRule) or (isinstance(rule, TrackRule) and rule.kind in ALONE)


def about(rule: Speaker, slot: int, look: Look) -> About | None:
    """Whom the rule's subject is about in this look; None where none of them has a box in it."""
    if look.tracks is None:
        return None
    if isinstance(rule, SeveralRule):
        return _boxed(look, _case(rule, slot, look))
    return _boxed(look, _alone(rule, look)) if isinstance(rule, TrackRule) and rule.kind in ALONE else None


def _case(rule: SeveralRule, row: int, look: Look) -> Rows:
    """The visitors of a case, bool[k]."""
    assert look.tracks is not None  # noqa: S101 - `about` asks of no other
    table = rule.table
    things = [int(table[column][row]) for column in VISITORS if column in (table.dtype.names or ())]
    return np.isin(look.tracks.thing, things)


def _alone(rule: TrackRule, look: Look) -> Rows:
    """Those whose number alone comes to the highest level that one of them comes to, if all together do to one."""
    meter, visits = rule.meter, look.zones[rule.where]
    mine = np.zeros(len(visits.here), np.bool_)
    assert meter is not None  # noqa: S101 - every build gives one
    if not visits.here.any() or not _level(rule, meter.read(look)):
        return mine

    def number(place: int | None) -> float:
        here = np.zeros(len(mine), np.bool_)
        if place is not None:
            here[place] = True
        return meter.read(look._replace(zones={**look.zones, rule.where: visits._replace(here=here)}))

    nobodys = number(None)
    numbers = {place: number(place) for place in np.flatnonzero(visits.here).tolist()}
    levels = {place: _level(rule, one) for place, one in numbers.items() if one != nobodys and not np.isnan(one)}
    worst = max(levels.values(), default=0)
    mine[[place for place, level in levels.items() if level == worst]] = True
    return mine


def _level(rule: TrackRule, number: float) -> int:
    """How many of the rule's limits a number comes to."""
    falling = rule.kind == "slow"
    return len([limit for limit in rule.limits if (number <= limit if falling else number >= limit)])


def _boxed(look: Look, mine: Rows) -> About | None:
    """The boxes of these tracks in this look, in its order."""
    seen, tracks = look.seen, look.tracks
    assert tracks is not None  # noqa: S101 - `about` asks of no other
    with_box = np.sort(tracks.box[mine & (tracks.box >= 0)], kind="stable")[:MOST]
    if not len(with_box):
        return None
    size = np.array([max(seen.width_px, 1), max(seen.height_px, 1)] * 2, np.float64)
    found = np.clip(seen.xyxy[with_box].astype(np.float64) / size, 0.0, 1.0).tolist()
    boxes = ((round(x1, DIGITS), round(y1, DIGITS), round(x2, DIGITS), round(y2, DIGITS)) for x1, y1, x2, y2 in found)
    return About(seen.frame, seen.event_ns, tuple(boxes))
