"""When a frame was taken: from its presentation time stamp (PTS) and its arrival, never backwards; how many come."""

from __future__ import annotations

from collections import deque

from gateway.vision.held import Held

NS = 1_000_000_000
_WINDOW_NS = 60 * NS  # a camera's clock drifts: 100 ppm is 6 ms in a window, 9 s in a day
_JUMP_NS = 10 * NS  # a PTS that moves against arrival by more began a new count
_BACK_NS = NS // 2  # frames come in the order of their PTS: one that goes back by more began a new count, too
_RATE_WINDOW_NS = 10 * NS
_USUAL_NS = NS // 25  # between frames of a file, before two of them have told
_LEAP = 4  # a step so many times the usual one is a hole or a mistake, and not the new usual
_TOO_FEW = 3  # such windows one after another are a wrong rate, and no breath of the network
_ENOUGH = 2  # and so many of a right one are the end of it
_OF_WANTED = 0.75  # of the looks wanted
_OF_PROMISED = 0.4  # of the stream's promise: many cameras halve their rate at night, to see longer
_ADRIFT_S = 30.0
_NO_TIME_NS = 365 * 86_400 * NS
_TOLD_NS = (-10 * NS, NS)  # a sender's clock is believed within these of arrival: else its owner never set it


class LiveTime:
    """Event time of a live stream: the sender's own (RTCP sender reports), where it has one that can be believed.

    Else PTS + the smallest delay (arrival − PTS) seen in the last one to two minutes: so the jitter of network and
    decoder falls out, and a drifting camera clock cannot carry the times away. Where the sender's clock or ours was set
    back by more than half a second, times go on at half their pace until they are right, instead of standing still.
    """

    def __init__(self) -> None:
        self._windows: deque[tuple[int, int]] = deque(maxlen=2)  # (arrival its window began at, smallest delay in it)
        self._last_ns = 0
        self._last_arrival_ns = 0
        self._last_pts_ns: int | None = None

    def again(self) -> None:
        """A new connection counts its PTS anew."""
        self._windows.clear()
        self._last_pts_ns = None

    def event_ns(self, pts_ns: int | None, arrival_ns: int, told_ns: int | None = None) -> int:
        """When the frame was taken that has this PTS (None: the stream has none) and arrived at `arrival_ns` (UTC).

        `told_ns`: what the sender says about it.
        """
        if told_ns is not None and _TOLD_NS[0] <= told_ns - arrival_ns <= _TOLD_NS[1]:
            return self._forward(told_ns, arrival_ns)
        if pts_ns is None:
            return self._forward(arrival_ns, arrival_ns)
        if self._last_pts_ns is not None and pts_ns < self._last_pts_ns - _BACK_NS:
            self._windows.clear()
        self._last_pts_ns = pts_ns
        delay = arrival_ns - pts_ns
        if self._windows and abs(delay - self._windows[-1][1]) > _JUMP_NS:
            self._windows.clear()
        if not self._windows or arrival_ns - self._windows[-1][0] > _WINDOW_NS:
            self._windows.append((arrival_ns, delay))
        elif delay < self._windows[-1][1]:
            self._windows[-1] = (self._windows[-1][0], delay)
        return self._forward(pts_ns + min(smallest for _, smallest in self._windows), arrival_ns)

    def _forward(self, event_ns: int, arrival_ns: int) -> int:
        passed_ns, self._last_arrival_ns = arrival_ns - self._last_arrival_ns, arrival_ns
        if self._last_ns - event_ns > _BACK_NS:
            event_ns = self._last_ns + passed_ns // 2
        self._last_ns = max(self._last_ns + 1, event_ns)
        return self._last_ns


class FileTime:
    """Event time of a file: its start + PTS, going on over loops, never backwards."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._loop_ns = 0  # where the current turn of the file began, after the start
        self._first_pts_ns: int | None = None
        self._last_ns = -1
        self._step_ns = _USUAL_NS
        self._stepped = False  # whether the file itself has told its step

    def event_ns(self, pts_ns: int | None) -> int:
        """When the next frame was taken; a frame without a PTS, or one that goes back, follows at the usual step."""
        if self._first_pts_ns is None:
            self._first_pts_ns = pts_ns or 0
        at_ns = self._last_ns + self._step_ns if pts_ns is None else self._loop_ns + pts_ns - self._first_pts_ns
        if at_ns <= self._last_ns:
            at_ns = self._last_ns + self._step_ns
        elif self._last_ns >= self._loop_ns and pts_ns is not None:
            step_ns = at_ns - self._last_ns
            if not self._stepped or step_ns < _LEAP * self._step_ns:
                self._step_ns, self._stepped = step_ns, True
        self._last_ns = at_ns
        return self._start_ns + at_ns

    def again(self) -> None:
        """The file starts over: its first frame follows the last one at the step the last two had."""
        self._loop_ns = self._last_ns + self._step_ns if self._last_ns >= 0 else 0
        self._first_pts_ns = None


class FrameRate:
    """Frames a second as they are taken, against the looks wanted (`rate:`) and what the stream promises."""

    def __init__(self, wanted: float) -> None:
        self._wanted = wanted
        self._promised: float | None = None
        self._began_ns: int | None = None
        self._frames = 0
        self._bad = 0  # windows in a row, negative: good ones
        self.measured = 0.0  # in the last window

    def again(self, promised: float | None = None) -> None:
        """A new connection, with its own promise; or after a silence, which is no rate."""
        self._promised = promised or self._promised
        self._began_ns = None

    def frame(self, event_ns: int) -> bool | None:
        """A frame came; whether the rate is right, where a window that ends with it says so for sure, else None."""
        if self._began_ns is None:
            self._began_ns, self._frames = event_ns, 0
            return None
        self._frames += 1
        span_ns = event_ns - self._began_ns
        if span_ns < _RATE_WINDOW_NS:
            return None
        self.measured = self._frames * NS / span_ns
        self._began_ns, self._frames = event_ns, 0
        bad = self.measured < max(_OF_WANTED * self._wanted, _OF_PROMISED * (self._promised or 0.0))
        self._bad = max(self._bad, 0) + 1 if bad else min(self._bad, 0) - 1
        return False if self._bad >= _TOO_FEW else True if self._bad <= -_ENOUGH else None

    def words(self) -> str:
        """What comes and what should."""
        promised = f", the stream promises {self._promised:.3g}" if self._promised else ""
        return f"{self.measured:.2g} frames/s come; {self._wanted:g} looks/s are wanted (rate:){promised}"


class SenderClock:
    """Whether the clock by which a camera stamps its frames (RTCP sender reports) is right, judged by ours.

    A sender may also count from its start (RFC 3550, 6.4.1): what is years away states no time of day and is no fault.
    """

    def __init__(self) -> None:
        self._held = Held(_ADRIFT_S, _ADRIFT_S)
        self.ahead_ns = 0

    def told(self, told_ns: int | None, arrival_ns: int) -> bool | None:
        """A frame told its time; whether the clock is right, where that changed by it."""
        if told_ns is None or abs(told_ns - arrival_ns) > _NO_TIME_NS:
            return None
        self.ahead_ns = told_ns - arrival_ns
        bad = not _TOLD_NS[0] <= self.ahead_ns <= _TOLD_NS[1]
        return not self._held.bad if self._held.update(bad, arrival_ns) else None

    def words(self) -> str:
        """By how much it is wrong."""
        way = "ahead of" if self.ahead_ns > 0 else "behind"
        return f"its clock is {abs(self.ahead_ns) / NS:.0f} s {way} ours; frames are timed by their arrival"
