"""OpenVINO on the CPU: one stream of one thread; bf16 where the CPU computes in it.

OpenVINO's errors become EngineError here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import EngineError
from gateway.vision.engine_session import first_line, shape_of, signature_of
from gateway.vision.outputs import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import openvino as ov
    from numpy.typing import NDArray

    from gateway.vision.outputs import Signature

_CPU = "CPU"
_DTYPES = {"f32": "float32", "f16": "float16", "f64": "float64", "u8": "uint8", "i32": "int32", "i64": "int64"}


class OpenVinoSession:
    """Session over OpenVINO. `precision`: f32, bf16, or auto: bf16 where the CPU has it.

    Raises EngineError when the package is missing, the CPU lacks what is asked for, or the model does not load.
    """

    lends = True

    def __init__(self, path: Path, slots: int = 1, precision: str = "auto") -> None:
        try:
            import openvino  # noqa: PLC0415 - an extra, loaded only where it is asked for
        except ImportError as error:
            raise EngineError(f"openvino is not installed ({error}): pip install 'zhiwang[openvino]'") from error
        self._ov = openvino
        self._name = path.name
        try:
            core = openvino.Core()
            self.precision = _precision(core, precision)
            model = core.read_model(str(path))
            self.signature = _signature(model, path.name)
            fixed = self.signature.input_shape[0] is not None
            self.batches = (1,) if fixed or slots == 1 else (slots, 1)
            # Compiled for a fixed batch: with an open one the same model takes 1.3 to 1.6 times as long.
            self._requests = {size: self._request(core, path, size, fixed=fixed) for size in self.batches}
        except RuntimeError as error:
            raise EngineError(f"{path.name}: openvino cannot load it ({first_line(error)})") from error

    def _request(self, core: ov.Core, path: Path, batch: int, *, fixed: bool) -> ov.InferRequest:
        model = core.read_model(str(path))
        if not fixed:
            named = {entry.get_any_name(): entry.get_partial_shape() for entry in model.inputs}
            for shape in named.values():
                shape[0] = batch
            model.reshape(named)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,  # engines' threads share the cores with decoders and the event loop
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        return core.compile_model(model, _CPU, settings).create_infer_request()

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """As Session."""
        request = self._requests[len(feeds[self.signature.input_name])]
        try:
            for name, array in feeds.items():
                request.set_tensor(name, self._ov.Tensor(array, shared_memory=True))
            request.infer()
            return [request.get_output_tensor(at).data for at in range(len(self.signature.outputs))]
        except RuntimeError as error:
            raise EngineError(f"{self._name}: inference failed ({first_line(error)})") from error


def _precision(core: ov.Core, wanted: str) -> str:
    has = "BF16" in core.get_property(_CPU, "OPTIMIZATION_CAPABILITIES")
    if wanted == "bf16" and not has:
        raise EngineError(
            "openvino: this CPU does not compute in bf16 (AVX512_BF16 or AMX); write precision: auto or f32"
        )
    return "bf16" if has and wanted != "f32" else "f32"


def _signature(model: ov.Model, name: str) -> Signature:
    def told(entry: ov.Output) -> Tensor:
        dtype = entry.get_element_type().get_type_name()
        raw = [size.get_length() if size.is_static else None for size in entry.get_partial_shape()]
        return Tensor(entry.get_any_name(), _DTYPES.get(dtype, dtype), shape_of(raw))

    return signature_of(name, [told(entry) for entry in model.inputs], [told(entry) for entry in model.outputs])
