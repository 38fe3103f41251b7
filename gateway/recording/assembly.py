"""Puts pieces together from what stands in files: trims what counts twice, says what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.recording import columns
from gateway.recording.parts import Begin, Checkpoint, Gap, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.events import Cut
    from gateway.recording.parts import About, Piece

JOINED_BYTES = 1 << 20  # small cuts are given as one up to so many bytes: a cut has a price of its own


class Assembly:
    """Takes what files hold in order, gives pieces. `ended`: nothing more is wanted; `skip`: not of this file."""

    def __init__(self, to_ns: int | None, *, most: int, whole: bool) -> None:
        self.ended = False
        self.skip = False
        self._to_ns, self._most, self._whole = to_ns, most, whole
        self._about: About | None = None
        self._fresh: About | None = None
        self._limit = 0
        self._next_n: int | None = None
        self._next_seq = 1
        self._last_ns = 0
        self._seen = (0, 0)  # the number after the last input that was there, also beyond a hole, and its admission
        self._damage: list[str] = []
        self._suspected: list[str] = []
        self._hole = ""  # why inputs are missing, while the next checkpoint is waited for
        self._cuts: list[Cut] = []
        self._count = self._weight = self._done = 0

    def file(self, about: About, limit: int, suspected: Sequence[str] = ()) -> None:
        """A file begins, whose inputs count below `limit`; `suspected`: what is the reason should inputs be missing."""
        self._fresh, self._limit, self.skip = about, limit, False
        self._suspected = [*self._suspected, *suspected]

    def damaged(self, why: str) -> None:
        """Something could not be read: it is the reason if inputs are missing next."""
        self._damage.append(why)

    def missing(self, gap: Gap) -> None:
        """A gap was recorded: the recorder had to let go of inputs."""
        self._damage = [gap.why]

    def state(self, checkpoint: Checkpoint) -> Iterator[Piece]:
        """A checkpoint."""
        if self.skip or checkpoint.n >= self._limit:
            self.skip = True
            return
        self._next_seq = checkpoint.next_seq
        before, fresh = self._about, self._fresh
        if before is None or self._next_n is None:
            yield from self._begin(checkpoint, f"hole: {self._hole}" if self._hole else "")
        elif fresh is not None and fresh.epoch != before.epoch:
            yield from self._begin(checkpoint, f"epoch: {fresh.epoch} after {before.epoch}; the gateway began anew")
        elif self._hole or checkpoint.n > self._next_n:
            why = self._hole or self._why(checkpoint.n)
            yield from self.flush()
            if checkpoint.n > self._next_n:
                yield Gap(self._next_n, checkpoint.n, self._last_ns, checkpoint.admitted_ns, why)
            yield from self._begin(checkpoint, f"hole: {why}")
        else:
            yield from self._carry_on()
        self._fresh = None

    def inputs(self, cut: Cut, weight: int, done_bytes: int, *, follows: bool) -> Iterator[Piece]:
        """Inputs; `weight`: of how many bytes; `follows`: a checkpoint comes after them."""
        if self.skip:
            return
        if cut.n0 + len(cut.inputs) > self._limit:
            cut, self.skip = columns.part_of(cut, 0, self._limit - cut.n0), True
        same_epoch = self._fresh is None or self._about is None or self._fresh.epoch == self._about.epoch
        if self._next_n is not None and same_epoch and cut.n0 < self._next_n:
            cut = columns.part_of(cut, self._next_n - cut.n0, len(cut.inputs))
        cut = self._until(cut)
        if not cut.inputs:
            return
        self._seen = (cut.n0 + len(cut.inputs), int(cut.admitted_ns[-1]))
        if cut.n0 != self._next_n or not same_epoch:
            yield from self._lost(cut, follows=follows)
            if self._hole and not self._whole:
                return
        elif not self._hole:
            yield from self._carry_on()
        self._cuts.append(cut)
        self._count += len(cut.inputs)
        self._weight += weight
        self._next_n, self._last_ns = self._seen
        self._done = done_bytes
        if self._count >= self._most or self._weight >= JOINED_BYTES:
            yield from self.flush(rest=self._weight >= JOINED_BYTES)

    def finish(self, last_n: int, last_ns: int) -> Iterator[Piece]:
        """Nothing more comes; the last file should hold inputs below `last_n`, the last admitted at `last_ns`."""
        yield from self.flush()
        to_n, to_ns = self._seen if self.ended or self._seen[0] > last_n else (last_n, last_ns)
        if self._next_n is not None and self._next_n < to_n:
            yield Gap(self._next_n, to_n, self._last_ns, to_ns, self._hole or self._why(to_n))

    def flush(self, *, rest: bool = True) -> Iterator[Piece]:
        """What was taken and not given yet; without `rest` a last part that is not full waits for more."""
        if not self._cuts:
            return
        cut, most = columns.joined(self._cuts), self._most
        end = len(cut.inputs) if rest else len(cut.inputs) // most * most
        left = columns.part_of(cut, end, len(cut.inputs)) if end < len(cut.inputs) else None
        self._weight = self._weight * (len(cut.inputs) - end) // len(cut.inputs)
        self._cuts, self._count = ([left], len(left.inputs)) if left is not None else ([], 0)
        for start in range(0, end, most):
            yield Part(columns.part_of(cut, start, min(start + most, end)), self._done)

    def _until(self, cut: Cut) -> Cut:
        if self._to_ns is None:
            return cut
        behind = np.flatnonzero(cut.admitted_ns >= self._to_ns)
        if not len(behind):
            return cut
        self.ended = True
        return columns.part_of(cut, 0, int(behind[0]))

    def _carry_on(self) -> Iterator[Piece]:
        """The state is carried over into this file, if it is new."""
        fresh, self._fresh = self._fresh, None
        if fresh is not None and self._about is not None and not _same(self._about, fresh):
            yield from self.flush()
            self._about = fresh
            yield Begin(fresh, None, "restart")

    def _lost(self, cut: Cut, *, follows: bool) -> Iterator[Piece]:
        """Inputs come whose state is not known: wait for the next checkpoint, or where there is none begin anew."""
        self._hole = why = self._hole or self._why(cut.n0)
        if follows and not self._whole:
            return
        yield from self.flush()
        admitted_ns, elapsed_ns = int(cut.admitted_ns[0]), int(cut.elapsed_ns[0])
        if self._next_n is not None and cut.n0 > self._next_n:
            yield Gap(self._next_n, cut.n0, self._last_ns, admitted_ns, why)
        nothing = Checkpoint(cut.n0, admitted_ns, elapsed_ns, self._next_seq, None)
        yield from self._begin(nothing, f"hole: {why}; no checkpoint comes after it: nothing is known of before")
        self._hole = why if follows else ""

    def _begin(self, checkpoint: Checkpoint, why: str) -> Iterator[Piece]:
        yield from self.flush()
        about = self._fresh or self._about
        if about is None:
            return
        self._about, self._fresh, self._hole = about, None, ""
        self._damage, self._suspected = [], []
        self._next_n, self._last_ns = checkpoint.n, checkpoint.admitted_ns
        yield Begin(about, checkpoint, why)

    def _why(self, to_n: int) -> str:
        if reasons := self._damage or self._suspected:
            return "; ".join(dict.fromkeys(reasons))
        if self._next_n is None:
            return "no checkpoint"
        return f"no file given holds {self._next_n} to {to_n - 1}; a gateway that is killed loses its last 5 s"


def _same(one: About, other: About) -> bool:
    return (one.config_sha, one.models, one.epoch) == (other.config_sha, other.models, other.epoch)
