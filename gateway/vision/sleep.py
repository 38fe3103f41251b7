"""When a camera sleeps (only key frames are decoded) and what wakes it: packets that are larger than in quiet times.

What moves must be coded: the packet of one who walks in has several times the bytes of one of noise. How large a quiet
one is depends on its place after the key frame, so each place has its own mean. Nothing is decoded for this. What it
does not tell, the next key frame does, which is compared with the last look as any other frame: so a camera wakes after
the distance of two key frames at the latest, and none sleeps whose key frames are further apart than 4 s.
"""

from __future__ import annotations

from enum import Enum, auto

NS = 1_000_000_000
LONGEST_NS = 4 * NS  # between two key frames
_SHORTEST_NS = 9 * NS // 10  # where all frames are key frames, one a second is enough
_PLACES = 128  # after the key frame that are told apart; the last stands for all further ones
_SHARE = 0.25  # by which a place's mean follows a quiet packet
_KNOWN = 3  # quiet groups of pictures before packets tell anything
_AT_ONCE = 4.0  # times the mean: one packet is enough
_FOR_A_WHILE = 2.0  # the mean of half a second
_WHILE_NS = NS // 2
_HEADERS_BYTES = 32  # of a packet: so little is no picture
_MOST_BYTES = 8_000_000  # kept since the key frame, so that decoding can go on from there
_WARIER, _WARIEST = 1.3, 4.0  # a wake for nothing raises the bar by this, up to this


class Step(Enum):
    """What is to be done with a packet."""

    DECODE = auto()
    SKIP = auto()
    KEY = auto()
    """Decode it alone: the camera sleeps, or falls asleep with it."""


class Sleep:
    """One camera's. Times are the stream's own (ns). `after_ns`: how long it must have been quiet and awake."""

    def __init__(self, after_ns: int) -> None:
        self._after_ns = after_ns
        self._means: list[float] = []
        self._groups = 0
        self._bar = 1.0
        self.again()

    def again(self) -> None:
        """A new connection: awake."""
        self.asleep = False
        self.woken = False
        """Whether it woke since the camera last asked (`woke`)."""
        self._wanted = False
        self._quiet = False
        self._now_ns: int | None = None
        self._awake_ns: int | None = None
        self._key_ns: int | None = None  # of the last key frame, and of the last one decoded
        self._decoded_ns: int | None = None
        self._distance_ns: int | None = None
        self._place = 0
        self._bytes = 0
        self._ratio = 1.0

    def packet(self, at_ns: int | None, size: int, *, key: bool) -> Step:
        """A packet came, of that decoding time; what to do with it."""
        if at_ns is None:
            self._wake()
            return Step.DECODE
        elapsed_ns = 0 if self._now_ns is None else max(0, at_ns - self._now_ns)
        self._now_ns = at_ns
        if self._awake_ns is None:
            self._awake_ns = at_ns
        if key:
            return self._key(at_ns, size)
        self._place = min(self._place + 1, _PLACES)
        self._bytes += size
        late = self._key_ns is None or at_ns - self._key_ns > LONGEST_NS or self._bytes > _MOST_BYTES
        if late:
            self._distance_ns, self._wanted = None, False
        tells = self._tells(size, elapsed_ns)
        if self._quiet and not tells:
            self._learn(size)
        if self.asleep and (tells or late):
            self._bar = min(self._bar * _WARIER, _WARIEST)
            self._wake()
        return Step.SKIP if self.asleep else Step.DECODE

    def saw(self, quiet_ns: int, *, moved: bool) -> None:
        """A frame was judged. `moved`: since the last look, or it is blind; `quiet_ns`: since something was found."""
        self._quiet = not moved
        if self._now_ns is None or self._awake_ns is None:
            return
        awake_ns = self._now_ns - self._awake_ns
        if not self.asleep and quiet_ns < awake_ns:
            self._bar = 1.0  # what it is awake for is something
        regular = self._distance_ns is not None and 0 < self._distance_ns <= LONGEST_NS
        self._wanted = regular and not moved and min(quiet_ns, awake_ns) >= self._after_ns
        if self.asleep and moved:
            self._wake()

    def woke(self) -> bool:
        """Whether it woke since this was last asked."""
        woken, self.woken = self.woken, False
        return woken

    def _key(self, at_ns: int, size: int) -> Step:
        self._distance_ns = None if self._key_ns is None else at_ns - self._key_ns
        self._key_ns, self._place, self._bytes = at_ns, 0, size
        self._groups += self._quiet
        if not self.asleep and self._wanted:
            self.asleep, self._wanted, self._ratio, self._decoded_ns = True, False, 1.0, None
        if not self.asleep:
            return Step.DECODE
        if self._decoded_ns is not None and 0 <= at_ns - self._decoded_ns < _SHORTEST_NS:
            return Step.SKIP
        self._decoded_ns = at_ns
        return Step.KEY

    def _wake(self) -> None:
        if self.asleep:
            self.asleep, self.woken, self._wanted, self._awake_ns = False, True, False, self._now_ns

    def _tells(self, size: int, elapsed_ns: int) -> bool:
        if self._groups < _KNOWN or self._place >= len(self._means):
            return False
        ratio = (size + _HEADERS_BYTES) / (self._means[self._place] + _HEADERS_BYTES)
        self._ratio += (ratio - self._ratio) * min(1.0, elapsed_ns / _WHILE_NS)
        return ratio > _AT_ONCE * self._bar or self._ratio > _FOR_A_WHILE * self._bar

    def _learn(self, size: int) -> None:
        while len(self._means) <= self._place:
            self._means.append(float(size))
        self._means[self._place] += _SHARE * (size - self._means[self._place])
