"""The core under guard: an input that makes it raise is found, set aside, and everything else goes on.

The Core protocol does not promise that a step which raises leaves the state as it was. So the guard keeps the last
snapshot and every delta since (bounded, since a new snapshot is due at 5,000 deltas or 8 MB), and brings the core back
to the state before the cut from these. The cut is then halved until the raising input stands alone: grouping does not
change what the core makes of the others.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import StateError
from gateway.events import Configured, Cut, DeadLetter, Message, Restart, Stepped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import Input
    from gateway.outbox import Checkpoint
    from gateway.ports import Core

log = logging.getLogger(__name__)

DELTAS_AT_MOST = 5_000  # a tenth of a second at a restart; a snapshot, with its marks, is up to 500 kB for the flash
DELTA_BYTES_AT_MOST = 8_000_000
NOTHING = Stepped(series=b"", points=0, alerts=[], requests=[], dead=[], delta=b"")


class Outcome(NamedTuple):
    """What a part of a cut came to; `error` where its one input made the core raise."""

    cut: Cut
    stepped: Stepped
    error: Exception | None = None


class Stepper:
    """Steps the core. Used by the core thread alone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._base: bytes | None = None
        self._deltas: list[bytes] = []
        self._delta_bytes = 0
        self._since_snapshot = 0
        self._bytes_since_snapshot = 0
        self.raised = 0

    def resume(self, checkpoints: Sequence[Checkpoint]) -> str:
        """Bring the core to the first checkpoint that it accepts; returns what was wrong with those before it."""
        wrong: list[str] = []
        for checkpoint in checkpoints:
            try:
                self._core.restore(checkpoint.snapshot, checkpoint.deltas)
            except StateError as error:
                wrong.append(str(error))
                continue
            self._base, self._deltas = checkpoint.snapshot, list(checkpoint.deltas)
            self._since_snapshot, self._bytes_since_snapshot = len(self._deltas), sum(map(len, self._deltas))
            return "; ".join(wrong)
        self._core.restore(None, [])
        return "; ".join(wrong)

    def step(self, cut: Cut) -> list[Outcome]:
        """Step a cut; where an input makes the core raise, the cut comes back in parts, that input alone."""
        try:
            stepped = self._core.step(cut)
        except Exception as error:  # noqa: BLE001 - a rule's or a codec's bug must not stop the other flows (STYLE 7)
            self._go_back()
            if len(cut.inputs) > 1:
                return [outcome for half in _halves(cut) for outcome in self.step(half)]
            return [self._set_aside(cut, error)]
        if stepped.delta:
            self._deltas.append(stepped.delta)
            self._since_snapshot += 1
            self._bytes_since_snapshot += len(stepped.delta)
        return [Outcome(cut, stepped)]

    def snapshot_due(self) -> bool:
        """Whether enough has changed since the last stored snapshot."""
        return self._since_snapshot >= DELTAS_AT_MOST or self._bytes_since_snapshot >= DELTA_BYTES_AT_MOST

    def changed(self) -> bool:
        """Whether anything has changed since the last stored snapshot."""
        return self._since_snapshot > 0

    def state(self) -> bytes:
        """The core's whole state now, for who begins from it; when the next is to be stored does not change by it."""
        self._rebase()
        return self._base or b""

    def snapshot(self) -> bytes:
        """The core's whole state now, for the transaction being sealed."""
        self._since_snapshot = self._bytes_since_snapshot = 0
        return self.state()

    def _rebase(self) -> None:
        self._base = self._core.snapshot()
        self._deltas = []

    def _go_back(self) -> None:
        """To the state before the cut. A fresh base makes the next returns, which halving needs, cheap."""
        self._core.restore(self._base, self._deltas)
        if self._deltas:
            self._rebase()

    def refuse(self, cut: Cut, reason: str) -> Outcome:
        """Set a cut's one input aside without stepping it."""
        log.error("input %d (%s) was set aside: %s", cut.n0, _topic(cut.inputs[0]), reason)
        return Outcome(cut, Stepped(b"", 0, [], [], [_letter(cut, reason)], b""))

    def _set_aside(self, cut: Cut, error: Exception) -> Outcome:
        self.raised += 1
        one = cut.inputs[0]
        log.error("input %d (%s) made the core raise, and was set aside", cut.n0, _topic(one), exc_info=error)
        if isinstance(one, Configured | Restart):
            return Outcome(cut, NOTHING, error)  # nothing can go on without it: who committed it is told
        letter = _letter(cut, f"{type(error).__name__}: {error}")
        return Outcome(cut, Stepped(b"", 0, [], [], [letter], b""), error)


def _letter(cut: Cut, reason: str) -> DeadLetter:
    one = cut.inputs[0]
    body = one.body if isinstance(one, Message) else repr(one)[:10_000].encode()
    where = one.source if isinstance(one, Message) else "door"
    return DeadLetter(int(cut.admitted_ns[0]), where, _topic(one), reason, body)


def _halves(cut: Cut) -> tuple[Cut, Cut]:
    middle = len(cut.inputs) // 2
    return (
        Cut(cut.n0, cut.inputs[:middle], cut.admitted_ns[:middle], cut.elapsed_ns[:middle]),
        Cut(cut.n0 + middle, cut.inputs[middle:], cut.admitted_ns[middle:], cut.elapsed_ns[middle:]),
    )


def _topic(one: Input) -> str:
    return one.topic if isinstance(one, Message) else type(one).__name__
