"""What an engine is to the rest: a session that runs one loaded model; and what the engines share in opening one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gateway.errors import EngineError
from gateway.vision.outputs import Shape, Signature, Tensor, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

PICTURES = ("float32", "uint8")
SIZES = ("orig_target_sizes", "im_shape", "scale_factor")  # RT-DETR and D-FINE; PaddleDetection


class Session(Protocol):
    """One model, loaded by one engine for one thread.

    `batches`: the only batch sizes that it runs, largest first; none: any. `lends`: what `run` returns is the engine's
    own memory, and holds until the next run.
    """

    @property
    def signature(self) -> Signature:
        """What the model takes and gives."""
        ...

    @property
    def batches(self) -> tuple[int, ...]:
        """See above."""
        ...

    @property
    def lends(self) -> bool:
        """See above."""
        ...

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """The outputs for inputs by name, in the signature's order. Raises EngineError."""
        ...


def signature_of(
    name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], notes: Mapping[str, str] | None = None
) -> Signature:
    """What a model takes and gives. Raises EngineError unless it takes one picture tensor, and sizes at most."""
    pictures = [entry for entry in inputs if len(entry.shape) == 4 and entry.dtype in PICTURES]
    sizes = tuple(entry for entry in inputs if entry.name in SIZES and len(entry.shape) == 2)
    if len(pictures) != 1 or len(inputs) != 1 + len(sizes):
        seen = ", ".join(f"{entry.name} {entry.dtype} {written(entry.shape)}" for entry in inputs) or "none"
        raise EngineError(
            f"{name}: found the inputs {seen}; expected one of 4 dimensions, float32 or uint8, and beside it at most "
            f"{', '.join(SIZES)}"
        )
    [picture] = pictures
    return Signature(picture.name, picture.dtype, picture.shape, tuple(outputs), sizes, dict(notes or {}))


def shape_of(raw: Sequence[object]) -> Shape:
    """A shape as an engine tells it: what is no positive number is open."""
    return tuple(size if isinstance(size, int) and size > 0 else None for size in raw)


def first_line(error: Exception) -> str:
    """What an engine said, in one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
