"""The detector's engine: pictures in a preallocated batch, and the first of the engines that can run the model.

batch ─▶ tensor ─▶ session (engine_openvino, engine_onnxruntime …) ─▶ outputs, all of them finite
                      └─ raises, or gives NaN ─▶ the next engine takes over, with the same pictures
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np

from gateway.config.box import VisionConfig
from gateway.errors import EngineError, ModelError
from gateway.vision.engine_kinds import KINDS, Fall, order
from gateway.vision.heads import head_of
from gateway.vision.outputs import Signature, Tensor, listed, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.engine_session import Session


_SPOILT = 0.95  # share of an output; fewer, where no other engine is left, are boxes that the head drops


class OnnxEngine:
    """Engine of ports.py for an .onnx file: write pictures into `batch` (uint8[slots, h, w, 3] RGB), then `infer(n)`.

    `name`: the engine that runs; `falls`: those before it that could not, and why. Raises ModelError when none can.
    """

    def __init__(self, manifest: Manifest, slots: int = 1, vision: VisionConfig | None = None) -> None:
        if manifest.path is None or not manifest.path.is_file():
            where = manifest.path or "nothing was fetched"
            raise ModelError(f"{manifest.name}: no model file ({where}); fetch it: zhiwang models pull {manifest.name}")
        self._manifest = manifest
        self._path = manifest.path
        self._vision = vision or VisionConfig()
        self.batch: NDArray[np.uint8] = np.full(
            (slots, manifest.height_px, manifest.width_px, 3), manifest.pad, np.uint8
        )
        self._tensor = self.batch if self._takes_batch() else np.zeros((slots, *input_shape(manifest)), manifest.dtype)
        self._planes = [np.zeros(self.batch.shape[1:3], np.uint8) for _ in range(3)]
        self._offset = np.array(manifest.mean, np.float32)
        self._divisor = np.array(manifest.std, np.float32)
        self.falls: tuple[Fall, ...] = ()
        self._choose(order(self._vision), self.tensor(1), [])

    def infer(self, n: int) -> Sequence[NDArray[np.generic]]:
        """The raw outputs for the first `n` slots; they hold until the next call.

        Raises ModelError when no engine can give them.
        """
        tensor = self.tensor(n)
        try:
            return self._run(self.session, tensor, strict=bool(self._left))
        except EngineError as error:
            if not self._left:
                raise
            return self._choose(self._left, tensor, [Fall(self.name, str(error))])

    def _choose(
        self, names: Sequence[str], tensor: NDArray[np.generic], falls: list[Fall]
    ) -> Sequence[NDArray[np.generic]]:
        """The outputs of the first engine that can give them, which is the one from here on. Raises what the last said.

        Where none can, it is the model's fault or the pictures', and everything stays as it was.
        """
        for at, name in enumerate(names):
            try:
                session = self._opened(name)
                outputs = self._run(session, tensor, strict=at + 1 < len(names))
            except ModelError as error:
                if at + 1 == len(names):
                    raise
                falls.append(Fall(name, str(error)))
                continue
            self.session, self.name, self._left = session, name, names[at + 1 :]
            self.falls += tuple(falls)
            return outputs
        raise AssertionError(names)  # order() names one at least

    def _opened(self, name: str) -> Session:
        session = KINDS[name].open(self._path, len(self.batch), self._vision.precision)
        _check_input(session.signature, self._manifest)
        _check_outputs(session.signature, self._manifest)
        return session

    def _run(self, session: Session, tensor: NDArray[np.generic], *, strict: bool) -> Sequence[NDArray[np.generic]]:
        signature = session.signature
        sizes = {size.name: _told(size, self._manifest, len(tensor)) for size in signature.sizes}
        parts: list[list[NDArray[np.generic]]] = []
        cuts = _cuts(len(tensor), session.batches)
        for begin, end in cuts:
            feeds = {name: told[begin:end] for name, told in sizes.items()}
            feeds[signature.input_name] = tensor[begin:end]
            outputs = session.run(feeds)
            parts.append([output.copy() for output in outputs] if session.lends and len(cuts) > 1 else outputs)
        outputs = parts[0] if len(parts) == 1 else [_joined(columns) for columns in zip(*parts, strict=True)]
        self._check_what_came(signature, outputs, strict=strict)
        return outputs

    def _check_what_came(self, signature: Signature, outputs: Sequence[NDArray[np.generic]], *, strict: bool) -> None:
        """NaN compares with nothing, so that it would pass for "nothing seen"; wrong sizes would be read wrongly."""
        for output, array in zip(signature.outputs, outputs, strict=True):
            if _spoilt(array) > (0 if strict else _SPOILT):
                raise EngineError(
                    f"{self._manifest.name}: its output {output.name} holds NaN or infinite numbers: the file is "
                    "damaged, no detector, or computed wrongly"
                )
        if any(None in shape[1:] for shape in signature.output_shapes):  # left open by the model: known only now
            came = tuple(
                Tensor(output.name, array.dtype.name, array.shape)
                for output, array in zip(signature.outputs, outputs, strict=True)
            )
            _check_outputs(msgspec.structs.replace(signature, outputs=came), self._manifest)

    def tensor(self, n: int) -> NDArray[np.generic]:
        """The model's own input for the first `n` slots: the batch itself where the model takes uint8 NHWC RGB."""
        if self._tensor is not self.batch:
            for slot in range(n):
                self._normalise(slot)
        return self._tensor[:n]

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


def _spoilt(array: NDArray[np.generic]) -> float:
    """The share of an output that is NaN or +∞; −∞ stands for "certainly not" in some models."""
    if array.dtype.kind != "f" or not array.size or np.isfinite(array.max()):
        return 0.0
    numbers = array.astype(np.float32)
    return float(np.mean(np.isnan(numbers) | np.isposinf(numbers)))


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


def _cuts(n: int, batches: tuple[int, ...]) -> list[tuple[int, int]]:
    """How n pictures are cut for an engine that runs these batch sizes only, largest first, 1 last."""
    cuts: list[tuple[int, int]] = []
    at = 0
    while at < n:
        size = next((size for size in batches if size <= n - at), n - at)
        cuts.append((at, at + size))
        at += size
    return cuts


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
