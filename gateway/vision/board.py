"""Between the threads: a seat of one fresh frame for each camera, and what the engines hand over to the event loop.

    camera threads ──offer──▶ seats ──take──▶ engine threads ──done──▶ outgoing ──collect──▶ event loop ──▶ commit
                        (newest frame)  ▲                              (bounded)                  │
                                        └── room, one a frame handed over ◀───────release─────────┘

Everything is under one lock that is held for microseconds. Whoever waits here when the board closes gets Closed.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gateway.events import Detections, Health, Input, Looked
from gateway.vision.coverage import NS, Coverage
from gateway.vision.heads import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import av

    from gateway.ports import Clock

_LEAST_BOUND_NS = NS
_ROOM_S = 4  # a commit may linger for 1 s; beyond 4 s of frames the door is in trouble, and detections would only age
_LEAST_ROOM = 16
_MOST_OUTGOING = 1000  # beyond it passing time is settled later, in one piece
_NEVER_NS = -(2**62)


Counted = Literal["frames", "analysed", "skipped", "corrupt", "boxes", "retries", "asleep"]
COUNTED: tuple[Counted, ...] = ("frames", "analysed", "skipped", "corrupt", "boxes", "retries", "asleep")


NOTHING = Found(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int16))


class Closed(Exception):
    """The board was closed: the thread ends."""


class Captured(NamedTuple):
    """One frame as the camera gave it: `number` counts the camera's frames, `event_ns` is when it was taken.

    `blind`: it shows nothing that can be relied on, so no engine looks at it.
    """

    camera: str
    number: int
    event_ns: int
    frame: av.VideoFrame
    blind: bool = False


class Last(NamedTuple):
    """The frame that was last analysed, and what was found in it; or the last one, where it shows nothing."""

    captured: Captured
    found: Found


class View(NamedTuple):
    """What became of a camera's frames: the number of the newest that an engine was given, and the last answer.

    due: whether a look is; waiting: whether a frame waits for an engine; failed: the last look came to nothing.
    """

    due: bool
    waiting: bool
    failed: bool
    given: int | None
    last: Last | None


class Seat:
    """One camera's place: its newest frame, whether one is with an engine, and its counts.

    A `patient` camera (a file, headless) waits until its frame was taken; any other one's frame is replaced. `weight`:
    how its share of its rate stands to the others' where the engines cannot keep up.
    """

    def __init__(self, camera: str, rate: float, start_ns: int, patient: bool, weight: float = 1.0) -> None:
        self.camera = camera
        self.patient = patient
        self.ended = False
        self.period_ns = round(NS / rate)
        self.coverage = Coverage(camera, max(2 * self.period_ns, _LEAST_BOUND_NS), start_ns)
        self.waiting: Captured | None = None
        self.in_flight = False
        self.due_ns = _NEVER_NS
        self.turn = 0
        self.cost = self.period_ns / weight
        self.begins: float | None = None  # of the frame that waits, in the time that only taking moves on; see _in_turn
        self.after = 0.0
        self.given: int | None = None
        self.failed = False
        self.stills: list[int] = []  # event times of frames like the newest that waits or is with an engine
        self.last: Last | None = None
        self.newest_ns = start_ns  # event time of the newest frame, and the monotonic time it came at
        self.came_ns = _NEVER_NS
        self.counts: dict[Counted, int] = dict.fromkeys(COUNTED, 0)

    def is_due(self, event_ns: int) -> bool:
        """Whether a frame of that time is wanted: a quarter of a period early is near enough (jitter)."""
        return self.patient or event_ns >= self.due_ns - self.period_ns // 4

    def later(self, event_ns: int) -> None:
        """A frame like the one that is to be looked at: of many only as many are kept as leave no gap."""
        stills = self.stills
        if len(stills) > 1 and event_ns - stills[-2] < self.period_ns:
            stills[-1] = event_ns
        else:
            stills.append(event_ns)


class Board:
    """The exchange. `wake` is called, from any thread, when there is something to collect; `looks`: for each look."""

    def __init__(
        self,
        rates: Mapping[str, float],
        start_ns: int,
        clock: Clock,
        wake: Callable[[], object],
        *,
        patient: Collection[str] = (),
        weights: Mapping[str, float] | None = None,
        looks: Callable[[Last], object] = lambda _: None,
    ) -> None:
        self.seats = {
            camera: Seat(camera, rate, start_ns, camera in patient, (weights or {}).get(camera, 1.0))
            for camera, rate in rates.items()
        }
        self.closed = threading.Event()
        self._clock = clock
        self._wake = wake
        self._looks = looks
        self._room = max(_LEAST_ROOM, round(sum(rates.values()) * _ROOM_S))
        self._turn = 0
        self._begun = 0.0
        self._idle = 0
        self._outgoing: deque[Input] = deque()
        self._health: dict[tuple[str, str], bool] = {}
        self._handed = 0
        self._changed = threading.Condition()

    # ── camera threads ──

    def offer(self, captured: Captured) -> None:
        """A camera's newest frame takes the seat; one that was due and sat there is skipped. Raises Closed."""
        with self._changed:
            seat = self.seats[captured.camera]
            while seat.patient and seat.waiting is not None:
                self._wait()
            self._raise_closed()
            seat.counts["frames"] += 1
            seat.newest_ns, seat.came_ns = captured.event_ns, self._clock.monotonic_ns()
            if captured.blind:
                seat.last = Last(captured, NOTHING)  # for the page: what it shows now says why it is blind
                self._send(seat.coverage.blind(captured.event_ns))
                return
            if seat.waiting is not None and seat.is_due(seat.waiting.event_ns):
                seat.counts["skipped"] += 1
            seat.waiting = captured
            seat.stills.clear()
            self._send(seat.coverage.frame(captured.event_ns))
            self._changed.notify_all()

    def view(self, camera: str, event_ns: int) -> View:
        """How it stands, for a frame of that time. A patient camera waits for its answer. Raises Closed."""
        with self._changed:
            seat = self.seats[camera]
            while seat.patient and (seat.waiting is not None or seat.in_flight):
                self._wait()
            return View(seat.is_due(event_ns), seat.waiting is not None, seat.failed, seat.given, seat.last)

    def keep(self, camera: str, event_ns: int, *, still: bool) -> None:
        """A frame came that takes no seat: nothing has moved since the last look (`still`), or none is due.

        Raises Closed.
        """
        with self._changed:
            self._raise_closed()
            seat = self.seats[camera]
            seat.counts["frames"] += 1
            seat.newest_ns, seat.came_ns = event_ns, self._clock.monotonic_ns()
            self._send(seat.coverage.frame(event_ns))
            if still and (seat.in_flight or seat.waiting is not None):
                seat.later(event_ns)  # it answers once that look did
            elif still:
                self._send(seat.coverage.still(event_ns))

    def count(self, camera: str, what: Counted) -> int:
        """Count something of a camera (corrupt, retries); returns the count."""
        with self._changed:
            self.seats[camera].counts[what] += 1
            return self.seats[camera].counts[what]

    def end(self, camera: str) -> None:
        """A camera's file has ended for good; a patient camera waits until its last frame was looked at."""
        with self._changed:
            seat = self.seats[camera]
            while seat.patient and (seat.waiting is not None or seat.in_flight):
                self._wait()
            seat.ended = True

    def pause(self, seconds: float) -> None:
        """Wait, or raise Closed as soon as the board closes."""
        if self.closed.wait(max(0.0, seconds)):
            raise Closed

    def tell(self, component: str, condition: str, ok: bool, detail: str = "") -> bool:
        """Hand over a Health where it changed; returns whether it did."""
        with self._changed:
            if self._health.get((component, condition)) is ok:
                return False
            self._health[component, condition] = ok
            self._send([Health(component, condition, ok, detail)])
            return True

    # ── engine threads ──

    def take(self) -> Captured:
        """The newest frame of the camera whose turn it is, as soon as one is due and there is room. Raises Closed."""
        with self._changed:
            while True:
                self._raise_closed()
                if ready := self._in_turn():
                    return self._give(ready[0])
                self._idle += 1
                try:
                    self._wait()
                finally:
                    self._idle -= 1

    def more(self, cameras: Collection[str], most: int) -> list[Captured]:
        """Further frames of these cameras that are there now, at most so many: for the same run of the model.

        As many are left as engines wait for one.
        """
        if most < 1:
            return []
        with self._changed:
            ready = self._in_turn()
            spare = min(most, len(ready) - self._idle, self._room)
            alike = [seat for seat in ready if seat.camera in cameras]
            return [self._give(seat) for seat in alike[: max(0, spare)]]

    def _in_turn(self) -> list[Seat]:
        """Those whose frame is due and waits, where there is room: whose turn comes first, first.

        Start-time fair queueing (Goyal, Vin, Cheng 1996): a look costs a camera its period ÷ its weight, so that all
        keep the same share of their rates times their weights; whoever had nothing due saves nothing up.
        """
        if self._room <= 0:
            return []
        ready = [seat for seat in self.seats.values() if self._is_ready(seat)]
        for seat in ready:
            if seat.begins is None:
                seat.begins = max(self._begun, seat.after)
        return sorted(ready, key=lambda seat: (seat.begins, seat.turn))

    def _is_ready(self, seat: Seat) -> bool:
        waiting = seat.waiting
        return waiting is not None and not seat.in_flight and seat.is_due(waiting.event_ns)

    def _give(self, seat: Seat) -> Captured:
        captured = seat.waiting
        assert captured is not None and seat.begins is not None  # noqa: S101, PT018 - _in_turn said so under the lock
        self._begun, seat.after, seat.begins = seat.begins, seat.begins + seat.cost, None
        seat.waiting, seat.in_flight, seat.given = None, True, captured.number
        late = captured.event_ns - seat.due_ns > seat.period_ns
        seat.due_ns = captured.event_ns + seat.period_ns if late else seat.due_ns + seat.period_ns
        self._turn += 1
        seat.turn = self._turn
        self._room -= 1
        self._changed.notify_all()
        return captured

    def done(self, captured: Captured, found: Found | None) -> None:
        """The engine is through with a frame; `found` is None where the model failed on it."""
        if found is not None:
            self._looks(Last(captured, found))  # first: what the core makes of it may ask for its picture
        with self._changed:
            seat = self.seats[captured.camera]
            seat.in_flight, seat.failed = False, found is None
            if found is None:
                self._room += 1
            else:
                seat.last = Last(captured, found)
                seat.counts["analysed"] += 1
                seat.counts["boxes"] += len(found.score)
                self._handed += 1
                size = (captured.frame.width, captured.frame.height)
                self._send(seat.coverage.look(captured.event_ns))  # first: rules count in time looked at up to here
                self._send([Detections(captured.camera, captured.number, captured.event_ns, *size, *found)])
                for still_ns in seat.stills if seat.waiting is None else ():
                    self._send(seat.coverage.still(still_ns))
            if seat.waiting is None:
                seat.stills.clear()
            self._changed.notify_all()

    # ── event loop ──

    def collect(self) -> tuple[list[Input], int]:
        """All that was handed over since, in order, and how many frames' room it holds until `release`."""
        with self._changed:
            batch, handed = list(self._outgoing), self._handed
            self._outgoing.clear()
            self._handed = 0
            return batch, handed

    def release(self, frames: int) -> None:
        """The door has these frames' detections durable."""
        with self._changed:
            self._room += frames
            self._changed.notify_all()

    def passed(self) -> None:
        """Time passed: settle each camera's up to now, where nothing looked at it.

        A patient camera's time is its file's, until that has ended.
        """
        with self._changed:
            for seat in self.seats.values():
                if len(self._outgoing) > _MOST_OUTGOING or (seat.patient and not seat.ended):
                    continue
                if seat.came_ns == _NEVER_NS:
                    now_ns = self._clock.now_ns()
                else:
                    now_ns = seat.newest_ns + self._clock.monotonic_ns() - seat.came_ns
                self._send(seat.coverage.passed(now_ns))

    def close(self) -> None:
        """Everyone who waits, or comes later, gets Closed."""
        with self._changed:
            self.closed.set()
            self._changed.notify_all()

    # ── under the lock ──

    def _send(self, inputs: Iterable[Input | Looked]) -> None:
        before = len(self._outgoing)
        self._outgoing.extend(inputs)
        if len(self._outgoing) > before and not self.closed.is_set():
            self._wake()

    def _wait(self) -> None:
        self._raise_closed()
        self._changed.wait()

    def _raise_closed(self) -> None:
        if self.closed.is_set():
            raise Closed
