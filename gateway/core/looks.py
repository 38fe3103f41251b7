"""What a camera's look came to: its boxes, and, where the camera tracks, who is who and where they stand.

    Detections ─▶ Tracker ─▶ Visitors ─▶ Look: boxes, tracks, who is in which zone, who crossed which line ─▶ rules
    Looked ─────▶ watched time ──┘

A camera tracks where a rule wants tracks, where it has lines, and where its `tracks:` says so. The looks of the others
are their detections: they pay nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from gateway.core import kalman
from gateway.core.flow import Flow
from gateway.core.minutes import Minutes
from gateway.core.moves import Moves
from gateway.core.rules.making import fingerprint
from gateway.core.track import Tracker, Tracking
from gateway.core.visitors import Visitors
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gateway.core.moves import Motion
    from gateway.core.plan import CameraPlan, Plan
    from gateway.core.rule import Moment
    from gateway.core.state import State
    from gateway.core.track import Standing, Tracked
    from gateway.core.visitors import Crossing, Stood, Visits
    from gateway.events import Detections, Looked

CLOCK = {"watched": (np.int64, 0), "to": (np.int64, NO_TIME)}
WHOLE = ""
"""The name of the zone that is all of the picture."""


class Tracks(NamedTuple):
    """The tracks that a camera has as of a look, by id: k rows; those that were not seen in it stand where they should.

    thing: whose track it is: a visitor that was lost and came back where it stood has the number of its first track.
    box: the place of its box among the look's, −1 where it has none: then its place is a prediction. label: what it was
    seen as most of the time, an index into the model's labels. score: the mean of its last looks. xyxy: px, filtered.
    ground: where it stands (x, y), fractions of the picture; velocity: of that point, fractions a second; height: px,
    what is usual of it.
    """

    id: NDArray[np.int64]
    thing: NDArray[np.int64]
    label: NDArray[np.int16]
    believed: NDArray[np.bool_]
    score: NDArray[np.float32]
    born_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    box: NDArray[np.intp]
    xyxy: NDArray[np.float64]
    ground: NDArray[np.float64]
    velocity: NDArray[np.float64]
    height: NDArray[np.float64]
    ended: NDArray[np.int64]


class Look(NamedTuple):
    """One look of one camera.

    ids (int64[n], 0: none) and believed (bool[n]) are those of its boxes. `tracks` is None where the camera does not
    track, and where the look came too late or twice: then it says nothing. zones: by name, those that are watched;
    lines: who crossed each with this look. moves: where the tracks stand and how fast they go, at a camera with a
    ground and where a rule wants it.
    """

    seen: Detections
    tracks: Tracks | None = None
    ids: NDArray[np.int64] | None = None
    believed: NDArray[np.bool_] | None = None
    zones: Mapping[str, Visits] = {}
    lines: Mapping[str, list[Crossing]] = {}
    watched_ns: int = 0
    moves: Motion | None = None


@runtime_checkable
class WantsTracks(Protocol):
    """A rule kind's struct whose rule judges tracks."""

    def tracked(self) -> str:
        """The camera, zone or line whose tracks it wants: `camera`, `camera.zone`, `camera.line`."""
        ...


@runtime_checkable
class WantsMoves(Protocol):
    """A rule kind's struct whose rule judges how tracks move."""

    def moving(self) -> str:
        """The camera or zone where it does."""
        ...


class Looks:
    """What the cameras that track see, by camera."""

    def __init__(self, plan: Plan, state: State) -> None:
        wanted = tracked_cameras(plan)
        moving = moving_cameras(plan)
        self._eyes = {
            c.name: _Eye(c, wanted[c.name], state, moving=c.name in moving) for c in plan.cameras if c.name in wanted
        }

    def take(self, seen: Detections) -> Look:
        """What the look came to. One that is not later than the camera's last says nothing."""
        eye = self._eyes.get(seen.camera)
        return Look(seen) if eye is None else eye.take(seen)

    def looked(self, looked: Looked) -> None:
        """The camera covered some time."""
        eye = self._eyes.get(looked.camera)
        if eye is not None:
            eye.looked(looked)

    def tick(self, moment: Moment) -> list[str]:
        """The points of the minutes that are over."""
        return [line for eye in self._eyes.values() for line in eye.tick(moment.admitted_ns)]


class _Eye:
    """One camera's tracker, visitors and watched time."""

    def __init__(self, camera: CameraPlan, places: frozenset[str], state: State, *, moving: bool) -> None:
        how = Tracking(score=camera.score)
        self._tracker = Tracker(camera.name, camera.labels, state, fingerprint([camera.labels, camera.score]), how)
        self._visitors = Visitors(camera, [*camera.camera.zones, *([WHOLE] if WHOLE in places else [])], state)
        self._clock = state.table(f"visitors/{camera.name}/clock", CLOCK)
        self._clock.grow(1)
        self.minutes = Minutes(camera, state)
        self._moves = Moves(camera, state) if moving else None
        self._flow = Flow(camera, state) if moving and camera.camera.zones else None

    def take(self, seen: Detections) -> Look:
        if self._tracker.late(seen.event_ns):
            return Look(seen)
        tracked = self._tracker.step(seen)
        now = self._tracker.standing(seen.event_ns)
        box = np.full(len(now.id), -1, np.intp)
        with_id = np.flatnonzero(tracked.id)
        box[np.searchsorted(now.id, tracked.id[with_id])] = with_id
        watched = int(self._clock["watched"][0])
        stood = self._visitors.step(seen, now, box, watched)
        tracks = _tracks(seen, tracked, now, box, stood)
        believed = np.zeros(len(tracked.id), np.bool_)
        believed[box[box >= 0]] = stood.believed[box >= 0]
        moves = self._moves.step(seen, tracks) if self._moves else None
        look = Look(seen, tracks, tracked.id, believed, stood.zones, stood.lines, watched, moves)
        self.minutes.take(look)
        if self._flow:
            self._flow.take(look)
        return look

    def tick(self, admitted_ns: int) -> list[str]:
        """The points of the minutes that are over."""
        return self.minutes.tick(admitted_ns) + (self._flow.tick(admitted_ns) if self._flow else [])

    def looked(self, looked: Looked) -> None:
        clock = self._clock.rows[0]
        begin = max(looked.from_ns, int(clock["to"]))
        if looked.to_ns <= begin:
            return
        clock["to"] = looked.to_ns
        if looked.why in {"analysed", "still"}:
            clock["watched"] += looked.to_ns - begin
        self._clock.touch_one(0)
        self.minutes.looked(begin, looked.to_ns, looked.why)
        if self._flow:
            self._flow.looked(begin, looked.to_ns, looked.why)


def _tracks(seen: Detections, tracked: Tracked, now: Standing, box: NDArray[np.intp], stood: Stood) -> Tracks:
    """The tracks there are, with their boxes and ground points."""
    size = np.array([max(seen.width_px, 1), max(seen.height_px, 1)], np.float64)
    return Tracks(
        now.id,
        stood.thing,
        now.label,
        stood.believed,
        now.score,
        now.born_ns,
        now.seen_ns,
        box,
        now.xyxy,
        np.clip(stood.ground / size, 0.0, 1.0),
        kalman.feet_speed(now.belief) / size,
        stood.height,
        tracked.ended,
    )


def tracked_cameras(plan: Plan) -> dict[str, frozenset[str]]:
    """The cameras that track, and what of each is wanted by rules: names of zones and lines, WHOLE."""
    cameras = [camera.name for camera in plan.cameras]
    found = {camera.name: set[str]() for camera in plan.cameras if _of_itself(camera)}
    for rule in plan.rules:
        if rule.common.mode != "off" and isinstance(rule.kind, WantsTracks):
            camera, place = place_of(rule.kind.tracked(), cameras)
            found.setdefault(camera, set()).add(place)
    return {camera: frozenset(places) for camera, places in found.items()}


def _of_itself(camera: CameraPlan) -> bool:
    """Whether it tracks also where no rule wants it."""
    return bool(camera.camera.lines or camera.camera.tracks or camera.camera.ground)


def moving_cameras(plan: Plan) -> frozenset[str]:
    """The cameras of which it is worked out how tracks move: those with a ground, and those where rules want it."""
    cameras = [camera.name for camera in plan.cameras]
    found = {camera.name for camera in plan.cameras if camera.camera.ground is not None}
    live = [rule.kind for rule in plan.rules if rule.common.mode != "off"]
    return frozenset(found | {place_of(kind.moving(), cameras)[0] for kind in live if isinstance(kind, WantsMoves)})


def place_of(text: str, cameras: list[str]) -> tuple[str, str]:
    """(camera, zone or line) of `camera.zone`; of a camera's name alone, all of its picture."""
    if text in cameras:
        return text, WHOLE
    camera, _, place = text.rpartition(".")
    return camera, place
