"""When a frame was taken: from its presentation time stamp (PTS) and its arrival, never backwards."""

from __future__ import annotations

from collections import deque

NS = 1_000_000_000
_WINDOW_NS = 60 * NS  # a camera's clock drifts: 100 ppm is 6 ms in a window, 9 s in a day
_JUMP_NS = 10 * NS  # a PTS that moves against arrival by more began a new count
_TOLD_NS = (-10 * NS, NS)  # a sender's clock is believed within these of arrival: else its owner never set it


class LiveTime:
    """Event time of a live stream: the sender's own (RTCP sender reports), where it has one that can be believed.

    Else PTS + the smallest delay (arrival − PTS) seen in the last one to two minutes: so the jitter of network and
    decoder falls out, and a drifting camera clock cannot carry the times away.
    """

    def __init__(self) -> None:
        self._windows: deque[tuple[int, int]] = deque(maxlen=2)  # (arrival its window began at, smallest delay in it)
        self._last_ns = 0

    def again(self) -> None:
        """A new connection counts its PTS anew."""
        self._windows.clear()

    def event_ns(self, pts_ns: int | None, arrival_ns: int, told_ns: int | None = None) -> int:
        """When the frame was taken that has this PTS (None: the stream has none) and arrived at `arrival_ns` (UTC).

        `told_ns`: what the sender says about it.
        """
        if told_ns is not None and _TOLD_NS[0] <= told_ns - arrival_ns <= _TOLD_NS[1]:
            return self._forward(told_ns)
        if pts_ns is None:
            return self._forward(arrival_ns)
        delay = arrival_ns - pts_ns
        if self._windows and abs(delay - self._windows[-1][1]) > _JUMP_NS:
            self._windows.clear()
        if not self._windows or arrival_ns - self._windows[-1][0] > _WINDOW_NS:
            self._windows.append((arrival_ns, delay))
        elif delay < self._windows[-1][1]:
            self._windows[-1] = (self._windows[-1][0], delay)
        return self._forward(pts_ns + min(smallest for _, smallest in self._windows))

    def _forward(self, event_ns: int) -> int:
        self._last_ns = max(self._last_ns + 1, event_ns)
        return self._last_ns


class FileTime:
    """Event time of a file: its start + PTS, going on over loops, never backwards."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._loop_ns = 0  # where the current turn of the file began, after the start
        self._first_pts_ns: int | None = None
        self._last_ns = -1
        self._step_ns = NS // 25

    def event_ns(self, pts_ns: int | None) -> int:
        """When the next frame was taken; a frame without a PTS, or one that goes back, follows at the usual step."""
        if self._first_pts_ns is None:
            self._first_pts_ns = pts_ns or 0
        at_ns = self._last_ns + self._step_ns if pts_ns is None else self._loop_ns + pts_ns - self._first_pts_ns
        if at_ns <= self._last_ns:
            at_ns = self._last_ns + self._step_ns
        elif self._last_ns >= self._loop_ns and pts_ns is not None:
            self._step_ns = at_ns - self._last_ns
        self._last_ns = at_ns
        return self._start_ns + at_ns

    def again(self) -> None:
        """The file starts over: its first frame follows the last one at the step the last two had."""
        self._loop_ns = self._last_ns + self._step_ns if self._last_ns >= 0 else 0
        self._first_pts_ns = None
