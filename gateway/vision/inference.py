"""One engine's thread: take the freshest frames of the cameras whose turn it is, look, hand over."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING

from gateway.errors import ModelError
from gateway.vision import tiles
from gateway.vision.board import Board, Closed
from gateway.vision.timing import NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config.manifest import Manifest
    from gateway.ports import Clock
    from gateway.vision.board import Captured
    from gateway.vision.detector import Detector
    from gateway.vision.engine_choice import EngineChoice
    from gateway.vision.heads import Found
    from gateway.vision.tiles import Aim

LOG = logging.getLogger(__name__)
_NICE = 5  # engines give way to the event loop and to the decoders
_RELOAD_NS = 60 * NS  # a model that could not be loaded is tried again: it may have been fetched meanwhile


class EngineThread:
    """What the thread `engine-<n>` runs: a session for each model its cameras use, loaded when first needed.

    aims: what of the pictures is looked at, where that is not all of it as one.
    """

    def __init__(
        self,
        number: int,
        board: Board,
        manifests: Mapping[str, Manifest],
        clock: Clock,
        engines: EngineChoice,
        aims: Mapping[str, Aim] | None = None,
    ) -> None:
        self._component = f"engine/{number}"
        self._board = board
        self._manifests = manifests
        self._clock = clock
        self._engines = engines
        self._aims = aims or {}
        self._alike: dict[str, set[str]] = {}  # the cameras of each model: their frames may go through it together
        for camera, manifest in manifests.items():
            self._alike.setdefault(manifest.name, set()).add(camera)
        self._detectors: dict[str, Detector] = {}
        self._broken_ns: dict[str, int] = {}

    def run(self) -> None:
        """Until the board closes."""
        with contextlib.suppress(OSError):  # niceness is a courtesy: not every container allows it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        with contextlib.suppress(Closed):
            while True:
                first = self._board.take()
                alike = self._alike[self._manifests[first.camera].name]
                batch = [first, *self._board.more(alike, self._engines.vision.batch - 1)]
                for captured, found in zip(batch, self._look(batch), strict=True):
                    self._board.done(captured, found)

    def _look(self, batch: Sequence[Captured]) -> Sequence[Found | None]:
        manifest = self._manifests[batch[0].camera]
        nothing = [None] * len(batch)
        try:
            detector = self._detector(manifest)
            if detector is None:
                return nothing
            aims = [self._aims.get(captured.camera, tiles.EVERYTHING) for captured in batch]
            found = tiles.look(detector, [captured.frame for captured in batch], aims)
            self._engines.heard(detector)
        except ModelError as error:
            self._broken_ns[manifest.name] = self._clock.monotonic_ns()
            if self._board.tell(self._component, "model", ok=False, detail=str(error)):
                LOG.warning("%s: %s", self._component, error)
            return nothing
        self._board.tell(self._component, "model", ok=not self._broken_ns)
        return found

    def _detector(self, manifest: Manifest) -> Detector | None:
        """The model's detector, or None while it is known not to load."""
        broken_ns = self._broken_ns.get(manifest.name)
        if broken_ns is not None and self._clock.monotonic_ns() - broken_ns < _RELOAD_NS:
            return None
        detector = self._detectors.get(manifest.name)
        if detector is None or broken_ns is not None:
            detector = self._detectors[manifest.name] = self._engines.detector(manifest)
        self._broken_ns.pop(manifest.name, None)
        return detector
