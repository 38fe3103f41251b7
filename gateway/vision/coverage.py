"""What time a camera really covered: the run of Looked intervals, without gap or overlap."""

from __future__ import annotations

from gateway.events import Looked, Why

NS = 1_000_000_000


class Coverage:
    """One camera's coverage, in capture time.

    A look answers for the time until the next one, up to `bound_ns`; so does a frame in which nothing had moved since
    (`still`). Beyond it the camera was `overloaded` while frames
    came (a frame, too, answers for `bound_ns`), and `blind` while none did, or only such as show nothing: these answer
    for no time, and end that of the ones before. Each call returns what is settled by it; the intervals of one camera
    join without gap or overlap.
    """

    def __init__(self, camera: str, bound_ns: int, start_ns: int) -> None:
        self._camera = camera
        self._bound_ns = bound_ns
        self._settled_ns = start_ns
        self._seen_until_ns = start_ns  # how long the last look answers
        self._fed_until_ns = start_ns  # how long the last frame answers
        self._blind_ns: int | None = None  # since when frames show nothing
        self._why: Why = "analysed"  # how it answers: itself, or by a frame in which nothing had moved since

    def frame(self, event_ns: int) -> list[Looked]:
        """A frame came. After a time without any, that time is settled first."""
        self._blind_ns = None
        settled = self.passed(event_ns) if event_ns > self._fed_until_ns else []
        self._fed_until_ns = max(self._fed_until_ns, event_ns + self._bound_ns)
        return settled

    def look(self, event_ns: int) -> list[Looked]:
        """A frame was analysed."""
        settled = self._settle(event_ns)
        self._why = "analysed"
        until_ns = event_ns + self._bound_ns
        if self._blind_ns is not None:
            until_ns = min(until_ns, self._blind_ns)  # it was taken before, and came back from the engine only now
        self._seen_until_ns = max(self._seen_until_ns, until_ns)
        return settled

    def still(self, event_ns: int) -> list[Looked]:
        """A frame came in which nothing had moved since the last look: settled at the first, and each second."""
        first = self._why != "still" or event_ns > self._seen_until_ns
        settled = self._settle(event_ns) if first or event_ns - self._settled_ns >= NS else []
        self._why = "still"
        self._seen_until_ns = max(self._seen_until_ns, event_ns + self._bound_ns)
        return settled

    def blind(self, event_ns: int) -> list[Looked]:
        """A frame came that shows nothing: settled at the first, and each second."""
        if self._blind_ns is None:
            self._blind_ns = event_ns
            settled = self._settle(event_ns)
            self._seen_until_ns = min(self._seen_until_ns, event_ns)
            self._fed_until_ns = min(self._fed_until_ns, event_ns)
            return settled
        return self._settle(event_ns) if event_ns - self._settled_ns >= NS else []

    def passed(self, now_ns: int) -> list[Looked]:
        """Time passed without a look: settles nothing while the last look still answers for it."""
        return self._settle(now_ns) if now_ns > self._seen_until_ns else []

    def _settle(self, until_ns: int) -> list[Looked]:
        seen = min(max(self._seen_until_ns, self._settled_ns), until_ns)
        fed = min(max(self._fed_until_ns, seen), until_ns)
        parts: list[Looked] = []
        spans: tuple[tuple[Why, int], ...] = ((self._why, seen), ("overloaded", fed), ("blind", until_ns))
        for why, to_ns in spans:
            if to_ns > self._settled_ns:
                parts.append(Looked(self._camera, self._settled_ns, to_ns, why))
                self._settled_ns = to_ns
        return parts
