"""The configured engine for all threads, and what is said where another one had to take over."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from gateway.vision.detector import Detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.box import VisionConfig
    from gateway.config.manifest import Manifest

LOG = logging.getLogger(__name__)
COMPONENT, CONDITION = "engine/0", "engine"  # one alert, however many threads fall: the cause is one


class EngineChoice:
    """Makes detectors, for any thread, and tells once what of the engines could not be used.

    `tell(component, condition, ok, detail)` hands over a Health where it changed.
    """

    def __init__(self, vision: VisionConfig, tell: Callable[[str, str, bool, str], object]) -> None:
        self.vision = vision
        self._tell = tell
        self._lock = threading.Lock()
        self._falls: dict[tuple[str, str], str] = {}

    def detector(self, manifest: Manifest) -> Detector:
        """A detector on the first engine that can run the model. Raises ModelError."""
        detector = Detector(manifest, self.vision.batch, vision=self.vision)
        self.heard(detector)
        return detector

    def heard(self, detector: Detector) -> None:
        """Call it after each look: says what is new. A fall lasts until the next start, and so does its alert."""
        engine, model = detector.engine, detector.manifest.name
        with self._lock:
            for fall in engine.falls:
                if (fall.engine, model) not in self._falls:
                    said = f"{fall.engine} cannot run {model} ({fall.why}); {engine.name} runs it instead"
                    self._falls[fall.engine, model] = said
                    LOG.warning("%s", said)
            self._tell(COMPONENT, CONDITION, not self._falls, "; ".join(self._falls.values()))
