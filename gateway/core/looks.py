"""What a camera's look came to: its boxes, and, where the camera tracks, who is who and where they stand.

A camera tracks where a rule wants tracks, where it has lines, and where its `tracks:` says so. The looks of the others
are their detections: they pay nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from gateway.core import kalman
from gateway.core.rules.making import fingerprint
from gateway.core.track import Tracker, Tracking

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.core.plan import CameraPlan, Plan
    from gateway.core.state import State
    from gateway.core.track import Standing, Tracked
    from gateway.events import Detections


class Tracks(NamedTuple):
    """The tracks that a camera has as of a look, by id: k rows; those that were not seen in it stand where they should.

    box: the place of its box among the look's, −1 where it has none: then its place is a prediction. label: what it was
    seen as most of the time, an index into the model's labels. score: the mean of its last looks. xyxy: px, filtered.
    ground: the bottom centre (x, y) as fractions of the picture; velocity: of that point, fractions a second.
    """

    id: NDArray[np.int64]
    label: NDArray[np.int16]
    believed: NDArray[np.bool_]
    score: NDArray[np.float32]
    born_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    box: NDArray[np.intp]
    xyxy: NDArray[np.float64]
    ground: NDArray[np.float64]
    velocity: NDArray[np.float64]
    ended: NDArray[np.int64]


class Look(NamedTuple):
    """One look of one camera.

    ids (int64[n], 0: none) and believed (bool[n]) are those of its boxes. `tracks` is None where the camera does not
    track, and where the look came too late or twice: then it says nothing.
    """

    seen: Detections
    tracks: Tracks | None = None
    ids: NDArray[np.int64] | None = None
    believed: NDArray[np.bool_] | None = None


@runtime_checkable
class WantsTracks(Protocol):
    """A rule kind's struct whose rule judges tracks."""

    def tracked(self) -> str:
        """The camera whose tracks it wants."""
        ...


class Looks:
    """The trackers of the cameras that track, stepped once a look, by camera."""

    def __init__(self, plan: Plan, state: State) -> None:
        wanted = tracked_cameras(plan)
        self._eyes = {camera.name: _Eye(camera, state) for camera in plan.cameras if camera.name in wanted}

    def take(self, seen: Detections) -> Look:
        """What the look came to. One that is not later than the camera's last says nothing."""
        eye = self._eyes.get(seen.camera)
        return Look(seen) if eye is None else eye.take(seen)


class _Eye:
    """One camera's tracker."""

    def __init__(self, camera: CameraPlan, state: State) -> None:
        how = Tracking(score=camera.score)
        self._tracker = Tracker(camera.name, camera.labels, state, fingerprint([camera.labels, camera.score]), how)

    def take(self, seen: Detections) -> Look:
        if self._tracker.late(seen.event_ns):
            return Look(seen)
        tracked = self._tracker.step(seen)
        return Look(seen, _tracks(seen, tracked, self._tracker.standing), tracked.id, tracked.believed)


def _tracks(seen: Detections, tracked: Tracked, standing: Callable[[int], Standing]) -> Tracks:
    """The tracks there are, with their boxes and ground points."""
    now = standing(seen.event_ns)
    box = np.full(len(now.id), -1, np.intp)
    with_id = np.flatnonzero(tracked.id)
    box[np.searchsorted(now.id, tracked.id[with_id])] = with_id
    size = np.array([max(seen.width_px, 1), max(seen.height_px, 1)], np.float64)
    ground = np.stack([(now.xyxy[:, 0] + now.xyxy[:, 2]) * 0.5, now.xyxy[:, 3]], axis=1) / size
    return Tracks(
        now.id,
        now.label,
        now.believed,
        now.score,
        now.born_ns,
        now.seen_ns,
        box,
        now.xyxy,
        ground,
        kalman.feet_speed(now.belief) / size,
        tracked.ended,
    )


def tracked_cameras(plan: Plan) -> frozenset[str]:
    """The names of the cameras that track."""
    wanted = {camera.name for camera in plan.cameras if camera.camera.lines or camera.camera.tracks}
    rules = [rule.kind for rule in plan.rules if rule.common.mode != "off"]
    return frozenset(wanted | {kind.tracked() for kind in rules if isinstance(kind, WantsTracks)})
