"""Which engines there are, and which are tried in which order. A new engine is one module and one entry here."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gateway.vision import engine_onnxruntime as ort
from gateway.vision.engine_openvino import OpenVinoSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.config.box import VisionConfig
    from gateway.vision.engine_session import Session

LAST = "onnxruntime"


class Kind(NamedTuple):
    """One engine by name: how it opens (file, slots, precision), and what is tried where it cannot."""

    open: Callable[[Path, int, str], Session]
    then: str = ""


def _onnxruntime(provider: str, path: Path, _slots: int, _precision: str) -> Session:
    return ort.OrtSession(path, provider)


KINDS: dict[str, Kind] = {
    LAST: Kind(partial(_onnxruntime, ort.CPU)),
    "openvino": Kind(OpenVinoSession, LAST),
    "cuda": Kind(partial(_onnxruntime, ort.CUDA), LAST),
    "tensorrt": Kind(partial(_onnxruntime, ort.TENSORRT), "cuda"),
}


class Fall(NamedTuple):
    """An engine that could not do it, and why."""

    engine: str
    why: str


def order(vision: VisionConfig) -> list[str]:
    """The names of the engines to try, the one that is asked for first."""
    names = [LAST if vision.engine == "auto" else vision.engine]
    while then := KINDS[names[-1]].then:
        names.append(then)
    return names
