"""The detector session: onnxruntime on the CPU, one thread each, over a preallocated batch.

onnxruntime's errors become ModelError here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import cv2
import msgspec
import numpy as np
import onnxruntime as ort
from onnxruntime.capi import (
    onnxruntime_pybind11_state as ort_errors,  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs
)

from gateway.errors import ModelError
from gateway.vision.heads import head_of
from gateway.vision.outputs import Shape, Signature, Tensor, listed, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest

_ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    getattr(ort_errors, name)
    for name in (
        "EngineError",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NoSuchFile",
        "NotFound",
        "NotImplemented",
        "RuntimeException",
        "EPFail",
    )
)
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
_PICTURES = ("float32", "uint8")
_SIZES = ("orig_target_sizes", "im_shape", "scale_factor")  # RT-DETR and D-FINE; PaddleDetection


class _Entry(Protocol):
    """An input or output as onnxruntime tells of it."""

    name: str
    type: str
    shape: Sequence[object]


def open_session(path: Path) -> ort.InferenceSession:
    """A session that runs in the calling thread only and never spins. Raises ModelError."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what matters comes back as an error
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path.name}: not a model that onnxruntime can load ({why}); expected an .onnx file"
        ) from error


def signature_of(session: ort.InferenceSession, name: str) -> Signature:
    """What the session takes and gives. Raises ModelError unless it takes one picture tensor, and sizes at most."""
    inputs = [_tensor(entry) for entry in session.get_inputs()]
    pictures = [entry for entry in inputs if len(entry.shape) == 4 and entry.dtype in _PICTURES]
    sizes = tuple(entry for entry in inputs if entry.name in _SIZES and len(entry.shape) == 2)
    if len(pictures) != 1 or len(inputs) != 1 + len(sizes):
        seen = ", ".join(f"{entry.name} {entry.dtype} {written(entry.shape)}" for entry in inputs) or "none"
        raise ModelError(
            f"{name}: found the inputs {seen}; expected one of 4 dimensions, float32 or uint8, and beside it at most "
            f"{', '.join(_SIZES)}"
        )
    return Signature(
        pictures[0].name,
        pictures[0].dtype,
        pictures[0].shape,
        tuple(_tensor(output) for output in session.get_outputs()),
        sizes,
        dict(session.get_modelmeta().custom_metadata_map),
    )


def _tensor(entry: _Entry) -> Tensor:
    return Tensor(entry.name, _DTYPES.get(entry.type, entry.type), _shape(entry.shape))


def _shape(raw: Sequence[object]) -> Shape:
    return tuple(size if isinstance(size, int) and size > 0 else None for size in raw)


class OnnxEngine:
    """Engine of ports.py over onnxruntime: write pictures into `batch` (uint8[slots, h, w, 3] RGB), then `infer(n)`."""

    def __init__(self, manifest: Manifest, slots: int = 1) -> None:
        if manifest.path is None or not manifest.path.is_file():
            where = manifest.path or "nothing was fetched"
            raise ModelError(f"{manifest.name}: no model file ({where}); fetch it: zhiwang models pull {manifest.name}")
        self._manifest = manifest
        self.session = open_session(manifest.path)
        self.signature = signature_of(self.session, manifest.name)
        _check_input(self.signature, manifest)
        _check_outputs(self.signature, manifest)
        self._open = any(None in shape[1:] for shape in self.signature.output_shapes)
        self.batch: NDArray[np.uint8] = np.full(
            (slots, manifest.height_px, manifest.width_px, 3), manifest.pad, np.uint8
        )
        self._tensor = self.batch if self._takes_batch() else np.zeros((slots, *input_shape(manifest)), manifest.dtype)
        self._sizes = {size.name: _told(size, manifest, slots) for size in self.signature.sizes}
        self._planes = [np.zeros(self.batch.shape[1:3], np.uint8) for _ in range(3)]
        self._offset = np.array(manifest.mean, np.float32)
        self._divisor = np.array(manifest.std, np.float32)

    def infer(self, n: int) -> Sequence[NDArray[np.generic]]:
        """The raw outputs for the first `n` slots. Raises ModelError when the model fails on them."""
        tensor = self.tensor(n)
        try:
            if self.signature.input_shape[0] is None:
                outputs = self._run(tensor)
            else:
                parts = [self._run(tensor[at : at + 1]) for at in range(n)]
                outputs = [_joined(columns) for columns in zip(*parts, strict=True)]
        except _ORT_ERRORS as error:
            raise ModelError(f"{self._manifest.name}: inference failed ({str(error).splitlines()[0]})") from error
        if self._open:
            self._check_what_came(outputs)
        return outputs

    def _check_what_came(self, outputs: Sequence[NDArray[np.generic]]) -> None:
        """Outputs whose sizes a model leaves open are known only now; a head would read wrong ones wrongly."""
        came = tuple(
            Tensor(output.name, array.dtype.name, array.shape)
            for output, array in zip(self.signature.outputs, outputs, strict=True)
        )
        _check_outputs(msgspec.structs.replace(self.signature, outputs=came), self._manifest)

    def tensor(self, n: int) -> NDArray[np.generic]:
        """The model's own input for the first `n` slots: the batch itself where the model takes uint8 NHWC RGB."""
        if self._tensor is not self.batch:
            for slot in range(n):
                self._normalise(slot)
        return self._tensor[:n]

    def _run(self, tensor: NDArray[np.generic]) -> list[NDArray[np.generic]]:
        feeds = {name: told[: len(tensor)] for name, told in self._sizes.items()}
        feeds[self.signature.input_name] = tensor
        return cast("list[NDArray[np.generic]]", self.session.run(None, feeds))

    def _takes_batch(self) -> bool:
        manifest = self._manifest
        return manifest.dtype == "uint8" and manifest.layout == "nhwc" and manifest.colour == "rgb"

    def _normalise(self, slot: int) -> None:
        manifest, tensor = self._manifest, self._tensor[slot]
        planes = cv2.split(self.batch[slot], self._planes)
        for channel in range(3):
            plane = tensor[channel] if manifest.layout == "nchw" else tensor[:, :, channel]
            source = channel if manifest.colour == "rgb" else 2 - channel
            np.copyto(plane, planes[source])
            if manifest.dtype == "float32" and self._offset[channel] != 0:
                plane -= self._offset[channel]
            if manifest.dtype == "float32" and self._divisor[channel] != 1:
                plane /= self._divisor[channel]


def _told(size: Tensor, manifest: Manifest, slots: int) -> NDArray[np.generic]:
    """What a model that asks for its pictures' sizes is told: the input's own, so that its boxes are in input px."""
    row = {
        "orig_target_sizes": (manifest.width_px, manifest.height_px),
        "im_shape": (manifest.height_px, manifest.width_px),
        "scale_factor": (1, 1),
    }[size.name]
    return np.tile(np.array(row, size.dtype), (slots, 1))


def input_shape(manifest: Manifest) -> tuple[int, int, int]:
    """One picture of the model's input, without the batch."""
    size = (manifest.height_px, manifest.width_px)
    return (3, *size) if manifest.layout == "nchw" else (*size, 3)


def _joined(parts: tuple[NDArray[np.generic], ...]) -> NDArray[np.generic]:
    """One output of runs with a picture each; where NMS in the graph left fewer boxes, zeros (score 0) follow."""
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    most = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, [(0, 0), (0, most - part.shape[1])] + [(0, 0)] * (part.ndim - 2)) for part in parts]
    )


def _check_input(signature: Signature, manifest: Manifest) -> None:
    wanted = input_shape(manifest)
    given = signature.input_shape
    batch_ok = given[0] in (None, 1)
    fits = all(have is None or have == want for have, want in zip(given[1:], wanted, strict=True))
    if signature.input_dtype != manifest.dtype or not fits or not batch_ok:
        raise ModelError(
            f"{manifest.name}: found the input {signature.input_dtype} {written(given)}; its manifest says "
            f"{manifest.dtype} {written((None, *wanted))}: correct the manifest or take its own model"
        )


def _check_outputs(signature: Signature, manifest: Manifest) -> None:
    head = head_of(manifest.family)
    if not head.form(signature, manifest.width_px, manifest.height_px):
        seen = listed(signature.outputs)
        raise ModelError(f"{manifest.name}: found the outputs {seen}; the family {head.name} has {head.expects}")
    classes = head.labels(signature.output_shapes)
    if classes is not None and classes != len(manifest.labels):
        raise ModelError(
            f"{manifest.name}: found {classes} classes in its outputs and {len(manifest.labels)} labels in its "
            "manifest: give one label a class, empty where a class is unused"
        )
