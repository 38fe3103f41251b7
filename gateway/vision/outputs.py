"""What a model takes and gives, what a head makes of it, and the grids that anchor-free heads share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.config.manifest import Manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shape = tuple[int | None, ...]
Outputs = Sequence["NDArray[np.generic]"]


class Tensor(NamedTuple):
    """One input or output of a model. None stands for a dimension the caller chooses."""

    name: str
    dtype: str
    shape: Shape


class Signature(msgspec.Struct, frozen=True):
    """What a model takes and gives: one picture, perhaps the pictures' sizes beside it, its outputs, its notes.

    `notes` is what its exporter wrote into the file (ONNX metadata): Ultralytics' hold `names`, `imgsz`, `task`,
    `description` and `head`.
    """

    input_name: str
    input_dtype: str
    input_shape: Shape
    outputs: tuple[Tensor, ...]
    sizes: tuple[Tensor, ...] = ()
    notes: dict[str, str] = {}

    @property
    def output_shapes(self) -> list[Shape]:
        """The outputs' shapes, in order."""
        return [output.shape for output in self.outputs]

    @property
    def described(self) -> str:
        """The exporter's description and head, small letters and digits alone: "ultralyticsyolo11nmodeldetect"."""
        told = self.notes.get("description", "") + self.notes.get("head", "")
        return "".join(letter for letter in told.lower() if letter.isalnum())

    def takes(self, name: str) -> bool:
        """Whether there is an input of that name beside the picture."""
        return any(size.name == name for size in self.sizes)


class Candidates(NamedTuple):
    """Boxes at or above the floor before NMS, over the whole batch: slot int64[n], xyxy float32[n, 4] input px.

    `chosen`: the model has done its own choosing (NMS in the graph, or a transformer's queries), so none follows.
    """

    slot: NDArray[np.intp]
    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]
    chosen: bool = False


class Scored(NamedTuple):
    """Rows of an output with objectness: where they stand, the rows, their best class and its score."""

    slot: NDArray[np.intp]
    anchor: NDArray[np.intp]
    rows: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]


class Head(msgspec.Struct, frozen=True):
    """One output family.

    `form(signature, width_px, height_px)` names the form of the family that these outputs have, "" where they have
    none; two families with one form decode it alike. `labels(shapes)`: how many classes the outputs have, None where
    they do not say. `decode(outputs, n, manifest, floor)`: the candidates of the first n slots.
    """

    name: str
    expects: str
    form: Callable[[Signature, int, int], str]
    labels: Callable[[Sequence[Shape]], int | None]
    decode: Callable[[Outputs, int, Manifest, float], Candidates]


@lru_cache(maxsize=16)
def grid(width_px: int, height_px: int, strides: tuple[int, ...]) -> NDArray[np.float32]:
    """The cell (x, y) and stride of every anchor of an anchor-free head, row by row: float32[A, 3]. Read-only.

    A stride that does not divide the input has a cell more, as a convolution with padding leaves one.
    """
    rows = []
    for stride in strides:
        y, x = np.mgrid[: -(-height_px // stride), : -(-width_px // stride)]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    cells = np.concatenate(rows).astype(np.float32)
    cells.flags.writeable = False
    return cells


def cells(width_px: int, height_px: int, strides: Sequence[int]) -> int:
    """How many anchors `grid` has."""
    return sum(-(-width_px // stride) * -(-height_px // stride) for stride in strides)


def around(centre: NDArray[np.floating], size: NDArray[np.floating]) -> NDArray[np.float32]:
    """Boxes, xyxy float32[n, 4], given by centre and size, float[n, 2] each."""
    half = size / 2
    return np.concatenate([centre - half, centre + half], axis=1, dtype=np.float32)


def scored(raw: NDArray[np.float32], floor: float) -> Scored:
    """Of [n, A, 5 + C], box, objectness and classes, those whose objectness × best class is at or above the floor."""
    flat = raw.reshape(-1, raw.shape[2])
    at = np.flatnonzero(flat[:, 4] >= floor)  # score = objectness × class, so this loses none
    rows = flat[at]
    classes = rows[:, 5:]
    label = classes.argmax(axis=1)
    score = rows[:, 4] * classes.max(axis=1)
    good = np.flatnonzero(score >= floor)
    slot, anchor = np.divmod(at[good], raw.shape[1])
    return Scored(slot, anchor, rows[good], score[good], label[good].astype(np.int16))


def whole(labels: NDArray[np.generic]) -> NDArray[np.int16]:
    """Labels that a model gives as numbers of any kind, int16; what is none of int16's becomes −1 or 32767."""
    return np.clip(np.asarray(labels, np.float64), -1, np.iinfo(np.int16).max).astype(np.int16)


def written(shape: Shape) -> str:
    """A shape for people: [N, 3549, 85]."""
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"


def listed(outputs: Sequence[Tensor]) -> str:
    """Outputs for people: boxes [N, 1917, 4], scores [N, 1917, 90]."""
    return ", ".join(f"{output.name} {written(output.shape)}" for output in outputs) or "no output"
