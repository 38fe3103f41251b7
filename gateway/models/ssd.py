"""Converts an SSD of the TensorFlow Object Detection API, as TensorFlow.js stores it, to ONNX.

In: `image` uint8[N, size, size, 3] RGB, any N; normalised inside. Out: `boxes` float32[N, anchors, 4] as ymin, xmin,
ymax, xmax in fractions of the input, decoded with the model's own anchors, and `scores` float32[N, anchors, classes],
sigmoid, without the background class. What comes before (resizing) and after (NMS) is cut off.
Box coding: https://github.com/tensorflow/models/blob/master/research/object_detection/box_coders/faster_rcnn_box_coder.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.errors import ModelError
from gateway.models.layers import Emitter, Layers, Tensor
from gateway.models.tfjs import read_graph

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.models.tfjs import Graph, Node

OPSET = 17  # read by every onnxruntime since 1.12; Split and Clip take what they need as inputs
IR_VERSION = 8  # opset 17's own


def convert_ssd(folder: Path, size_px: int) -> bytes:
    """The finished .onnx of the TensorFlow.js graph in `folder`, the same bytes each time. Raises ModelError."""
    try:
        from onnx import TensorProto, helper  # noqa: PLC0415 — optional: only converting needs it
    except ImportError as error:
        raise ModelError(
            "converting a model needs the package onnx, which is not installed: pip install 'zhiwang[demo]'"
        ) from error
    graph = read_graph(folder)
    emitter = Emitter()
    layers = Layers(graph, emitter, {"Preprocessor/sub": _normalised(graph, emitter, size_px)})
    anchors = _anchors(graph)
    classes = _boxes(graph, emitter, layers, anchors)
    onnx_graph = helper.make_graph(
        emitter.nodes,
        "ssd",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size_px, size_px, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", anchors.shape[0], 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", anchors.shape[0], classes]),
        ],
        emitter.initialisers,
    )
    model = helper.make_model(
        onnx_graph,
        producer_name="zhiwang",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    return model.SerializeToString(deterministic=True)


def _normalised(graph: Graph, emitter: Emitter, size_px: int) -> Tensor:
    """uint8 NHWC to float NCHW, as Preprocessor/mul and /sub do it; transposed while it is still bytes."""
    scale, shift = graph.weight("Preprocessor/mul/x"), graph.weight("Preprocessor/sub/y")
    turned = emitter.node("Transpose", ["image"], "input/nchw", perm=[0, 3, 1, 2])
    cast = emitter.node("Cast", [turned], "input/float", to=1)
    scaled = emitter.node("Mul", [cast, emitter.constant("input/scale", scale.reshape(()))], "input/scaled")
    name = emitter.node("Sub", [scaled, emitter.constant("input/shift", shift.reshape(()))], "input")
    return Tensor(name, 3, size_px, size_px)


def _anchors(graph: Graph) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """float64[anchors, 4]: ymin, xmin, ymax, xmax."""
    anchors = graph.weight("Postprocessor/ExpandDims").astype(np.float64)
    if anchors.ndim != 3 or anchors.shape[0] != 1 or anchors.shape[2] != 4:
        raise ModelError(f"the anchors have shape {list(anchors.shape)}, expected [1, anchors, 4]")
    return anchors[0]


def _boxes(graph: Graph, emitter: Emitter, layers: Layers, anchors: np.ndarray) -> int:
    """Emits both heads and the decoding of the boxes; returns how many classes are left."""
    raw_boxes = graph.node(graph.node("Squeeze").input[0])
    raw_scores = graph.node(graph.node("Postprocessor/convert_scores").input[0])
    if graph.node("Postprocessor/convert_scores").op != "Sigmoid":
        raise ModelError("the class scores are not made by a Sigmoid: the converter knows no other SSD head")
    box_parts: list[str] = []
    score_parts: list[str] = []
    count, classes = 0, 0
    for boxes, scores in zip(_maps(graph, raw_boxes), _maps(graph, raw_scores), strict=True):
        box, per_cell = _head(emitter, layers, boxes, 4, None)
        columns = _columns(layers, scores, per_cell)
        score, _ = _head(emitter, layers, scores, columns - 1, columns)
        box_parts.append(box.name)
        score_parts.append(score.name)
        count += per_cell * box.height_px * box.width_px
        classes = columns - 1
    if count != anchors.shape[0]:
        raise ModelError(f"the heads give {count} boxes, the model has {anchors.shape[0]} anchors")
    logits = emitter.node("Concat", score_parts, "scores/logits", axis=1)
    emitter.node("Sigmoid", [logits], "scores")
    _decode(graph, emitter, emitter.node("Concat", box_parts, "boxes/raw", axis=1), anchors)
    return classes


def _maps(graph: Graph, concat: Node) -> list[str]:
    """What each feature map's Reshape takes, in the order of the anchors."""
    if concat.op != "ConcatV2":
        raise ModelError(f"{concat.name!r} is {concat.op}, expected a ConcatV2 of the feature maps")
    reshapes = [graph.node(name) for name in concat.input[:-1]]
    wrong = next((node for node in reshapes if node.op != "Reshape"), None)
    if wrong is not None:
        raise ModelError(f"{wrong.name!r} is {wrong.op}, expected the Reshape of a feature map")
    return [node.input[0] for node in reshapes]


def _columns(layers: Layers, name: str, per_cell: int) -> int:
    layer = layers.convolution(name)
    channels = 0 if layer is None else layer.bias.shape[0]
    if channels == 0 or channels % per_cell:
        raise ModelError(f"{name!r} has {channels} channels, which {per_cell} anchors a cell do not divide")
    return channels // per_cell


def _head(emitter: Emitter, layers: Layers, name: str, width: int, columns: int | None) -> tuple[Tensor, int]:
    """One predictor as [N, cells × anchors, width]; `columns`: with the background, whose channels are left out."""
    layer = layers.convolution(name)
    if layer is None:
        raise ModelError(f"{name!r} is not a convolution, expected a box or class predictor")
    channels = np.arange(layer.bias.shape[0])
    made = layers.emit(name, layer if columns is None else layer.keep(channels[channels % columns != 0]))
    turned = emitter.node("Transpose", [made.name], f"{name}/nhwc", perm=[0, 2, 3, 1])
    shape = emitter.constant(f"{name}/shape", np.array([0, -1, width], np.int64))
    flat = emitter.node("Reshape", [turned, shape], f"{name}/flat")
    return Tensor(flat, width, made.height_px, made.width_px), made.channels // width


def _decode(graph: Graph, emitter: Emitter, raw: str, anchors: np.ndarray) -> None:
    """Boxes are centre ∓ half size, with everything that does not depend on the picture computed here."""
    scale_yx = graph.weight("ConstantFolding/Postprocessor/Decode/div_recip").astype(np.float64)
    scale_hw = graph.weight("ConstantFolding/Postprocessor/Decode/div_2_recip")
    size = anchors[:, 2:] - anchors[:, :2]
    centre = anchors[:, :2] + size / 2
    from onnx import helper  # noqa: PLC0415 — optional: only converting needs it

    split = emitter.constant("boxes/split", np.array([2, 2], np.int64))
    emitter.nodes.append(helper.make_node("Split", [raw, split], ["boxes/yx", "boxes/hw"], name="boxes/split", axis=2))
    by = emitter.constant("boxes/yx_scale", (size * scale_yx)[None].astype(np.float32))
    offset = emitter.node("Mul", ["boxes/yx", by], "boxes/offset")
    middle = emitter.constant("boxes/anchor", centre[None].astype(np.float32))
    at = emitter.node("Add", [offset, middle], "boxes/centre")
    grown = emitter.node("Mul", ["boxes/hw", emitter.constant("boxes/hw_scale", scale_hw.reshape(()))], "boxes/log")
    factor = emitter.node("Exp", [grown], "boxes/factor")
    half_anchor = emitter.constant("boxes/half_anchor", (size / 2)[None].astype(np.float32))
    half = emitter.node("Mul", [factor, half_anchor], "boxes/half")
    low = emitter.node("Sub", [at, half], "boxes/low")
    high = emitter.node("Add", [at, half], "boxes/high")
    emitter.node("Concat", [low, high], "boxes", axis=2)
