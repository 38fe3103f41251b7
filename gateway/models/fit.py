"""The same weights for pictures of another shape: a square input spends up to half of its computing on the letterbox.

A convolution does not mind how large its picture is; what does are the sizes that an export wrote into Reshape nodes.
They are the map's at one of the model's strides, and become those of the new input. A graph that has its size built in
elsewhere (anchors, a decoded grid) does not fit together afterwards, which ONNX's own shape inference finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import GatewayError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from gateway.config.manifest import Manifest

STEP_PX = 32  # the coarsest stride of every family that has a grid: an input is a multiple of it
_STRIDES = (2, 4, 8, 16, 32, 64)


class Size(NamedTuple):
    """Of a picture or a map."""

    width: int
    height: int


def fitting(model: Manifest, picture: Size) -> Size:
    """The smallest input that shows such a picture as large as the model's own does, px.

    Raises ModelError where the model does not keep a picture's shape: it has no letterbox to save.
    """
    if not model.letterbox:
        raise ModelError(
            f"{model.name}: stretches every picture to {model.width_px}×{model.height_px}, so that nothing is wasted; "
            "only a model with a letterbox can be fitted"
        )
    scale = min(model.width_px / picture.width, model.height_px / picture.height)
    width, height = (max(STEP_PX, _up(side * scale)) for side in picture)
    return Size(min(width, model.width_px), min(height, model.height_px))


def fit(model: Manifest, size: Size) -> bytes:
    """The model's file for an input of that size. Raises ModelError where its graph cannot be fitted."""
    try:
        import onnx  # noqa: PLC0415 - an extra: only this verb needs it
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with it
    except ImportError as error:
        raise GatewayError("fitting a model needs onnx: pip install 'zhiwang[demo]'") from error
    if model.path is None:
        raise ModelError(f"{model.name}: no model file; fetch it: zhiwang models pull {model.name}")
    try:
        graph = onnx.load(str(model.path))
    except (DecodeError, OSError) as error:
        raise ModelError(f"{model.path}: cannot be read as ONNX ({error})") from error
    _resize_input(graph, model, size)
    _resize_shapes(graph, Size(model.width_px, model.height_px), size)
    del graph.graph.value_info[:]
    for output in graph.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        fitted = onnx.shape_inference.infer_shapes(graph, check_type=True, strict_mode=True, data_prop=True)
        onnx.checker.check_model(fitted)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{model.name}: its graph has {model.width_px}×{model.height_px} built in and does not fit "
            f"{size.width}×{size.height} ({' '.join(str(error).split())[:200]}); export it again at that size"
        ) from error
    return fitted.SerializeToString()


def _up(side: float) -> int:
    return -(-round(side) // STEP_PX) * STEP_PX


def _resize_input(graph: onnx.ModelProto, model: Manifest, size: Size) -> None:
    stored = {constant.name for constant in graph.graph.initializer}  # old exports list their weights as inputs too
    own = [one for one in graph.graph.input if one.name not in stored]
    rows = 2 if model.layout == "nchw" else 1
    for one in own:
        dims = one.type.tensor_type.shape.dim
        if len(dims) == 4:
            dims[rows].dim_value, dims[rows + 1].dim_value = size.height, size.width
            return
    raise ModelError(f"{model.name}: none of its inputs is a batch of pictures; found {[one.name for one in own]}")


def _resize_shapes(graph: onnx.ModelProto, old: Size, new: Size) -> None:
    """Give Reshape nodes the sizes that the maps have now."""
    import numpy as np  # noqa: PLC0415 - `--help` must not pay for it
    from onnx import numpy_helper  # noqa: PLC0415 - as above

    shapes = {node.input[1] for node in graph.graph.node if node.op_type == "Reshape"}
    constants = [(one, one.name) for one in graph.graph.initializer]
    for node in graph.graph.node:
        if node.op_type == "Constant":
            constants += [(attribute.t, node.output[0]) for attribute in node.attribute if attribute.name == "value"]
    maps = [(_at(old, stride), _at(new, stride)) for stride in _STRIDES]
    for tensor, name in constants:
        if name in shapes:
            shape = numpy_helper.to_array(tensor)
            resized = np.array(_resized(shape.tolist(), maps), shape.dtype)
            tensor.CopyFrom(numpy_helper.from_array(resized, tensor.name))


def _resized(shape: Sequence[int], maps: Sequence[tuple[Size, Size]]) -> list[int]:
    """A shape's last two sizes where they are a map's height and width, or one that is a map's cells."""
    for old, new in maps:
        if tuple(shape[-2:]) == (old.height, old.width):
            return [*shape[:-2], new.height, new.width]
        if old.width * old.height in shape:
            return [new.width * new.height if side == old.width * old.height else side for side in shape]
    return list(shape)


def _at(size: Size, stride: int) -> Size:
    return Size(-(-size.width // stride), -(-size.height // stride))
