"""onnxruntime: on the CPU, where it runs in the calling thread, and on NVIDIA cards by CUDA or TensorRT.

onnxruntime's errors become EngineError here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import onnxruntime as ort
from onnxruntime.capi import (
    onnxruntime_pybind11_state as ort_errors,  # pyright: ignore[reportAttributeAccessIssue] - compiled, without stubs
)

from gateway.errors import EngineError
from gateway.vision.engine_session import first_line, shape_of, signature_of
from gateway.vision.outputs import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_ERRORS: tuple[type[Exception], ...] = tuple(
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


class _Entry(Protocol):
    """An input or output as onnxruntime tells of it."""

    name: str
    type: str
    shape: Sequence[object]


class OrtSession:
    """Session over onnxruntime. `provider`: CPU, CUDA or TENSORRT; what it cannot do of a model the next lower does.

    Raises EngineError when the provider is not there, or the model does not load.
    """

    lends = False

    def __init__(self, path: Path, provider: str = CPU) -> None:
        self.inference = _open(path, provider)
        notes = self.inference.get_modelmeta().custom_metadata_map
        inputs = [_tensor(entry) for entry in self.inference.get_inputs()]
        outputs = [_tensor(entry) for entry in self.inference.get_outputs()]
        self.signature = signature_of(path.name, inputs, outputs, notes)
        self.batches = () if self.signature.input_shape[0] is None else (1,)
        self._name = path.name

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """As Session."""
        try:
            return cast("list[NDArray[np.generic]]", self.inference.run(None, feeds))
        except _ERRORS as error:
            raise EngineError(f"{self._name}: inference failed ({first_line(error)})") from error


def _open(path: Path, provider: str) -> ort.InferenceSession:
    """A session of one thread that never spins."""
    there = ort.get_available_providers()
    if provider not in there:
        raise EngineError(
            f"onnxruntime {ort.__version__} has no {provider} (it has {', '.join(there)}); install onnxruntime-gpu, "
            "and NVIDIA's driver and libraries, instead of onnxruntime"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what matters comes back as an error
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    below = {CPU: [], CUDA: [CPU], TENSORRT: [CUDA, CPU]}[provider]
    try:
        session = ort.InferenceSession(
            str(path), options, providers=[provider, *(one for one in below if one in there)]
        )
    except _ERRORS as error:
        raise EngineError(
            f"{path.name}: not a model that onnxruntime can load ({first_line(error)}); expected an .onnx file"
        ) from error
    session.disable_fallback()  # a card that fails is told, and what takes over is chosen by us
    if provider not in session.get_providers():  # onnxruntime takes the CPU instead, with a line in its log
        raise EngineError(
            f"{path.name}: onnxruntime could not start {provider}; see that NVIDIA's driver and libraries fit"
        )
    return session


def _tensor(entry: _Entry) -> Tensor:
    return Tensor(entry.name, _DTYPES.get(entry.type, entry.type), shape_of(entry.shape))
