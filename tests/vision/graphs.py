"""Models whose raw outputs are known: graphs that give the same arrays whatever the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from gateway.vision.outputs import Signature, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 64  # of the input: not square, and 96 is no multiple of the stride 64
_DTYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "int32": TensorProto.INT32}


def known(
    path: Path,
    outputs: Mapping[str, NDArray[np.generic]],
    sizes: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    *,
    sized: bool = True,
) -> Path:
    """A model of one float32 picture [1, 3, 64, 96] that gives `outputs`; `sizes` are inputs [1, 2] beside it.

    Not `sized`: it leaves the outputs' sizes open.
    """
    constants = {f"{name} constant": array for name, array in outputs.items()}
    if sized:
        nodes = [helper.make_node("Identity", [f"{name} constant"], [name]) for name in outputs]
    else:  # cut at ends that depend on the picture, if only by zero times it: onnxruntime would see through less
        nodes = [
            helper.make_node("ReduceMin", ["images"], ["least"], keepdims=0),
            helper.make_node("Mul", ["least", "zero"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["none"], to=TensorProto.INT64),
        ]
        constants["zero"] = np.array(0, np.float32)
        for name, array in outputs.items():
            constants |= {f"{name} ends": np.array(array.shape), f"{name} starts": np.zeros(array.ndim, np.int64)}
            nodes += [
                helper.make_node("Add", [f"{name} ends", "none"], [f"{name} to"]),
                helper.make_node("Slice", [f"{name} constant", f"{name} starts", f"{name} to"], [name]),
            ]
    return save(path, nodes, constants, outputs, sizes, notes, sized=sized)


def in_given_sizes(path: Path, labels: NDArray, boxes: NDArray, scores: NDArray) -> Path:
    """As RT-DETR and D-FINE export: boxes (xyxy in fractions) times the width and height that come in beside."""
    nodes = [
        helper.make_node("Identity", ["l"], ["labels"]),
        helper.make_node("Identity", ["s"], ["scores"]),
        helper.make_node("Cast", ["orig_target_sizes"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["f", "f"], ["whwh"], axis=1),
        helper.make_node("Unsqueeze", ["whwh", "one"], ["u"]),
        helper.make_node("Mul", ["b", "u"], ["boxes"]),
    ]
    constants = {"l": labels, "b": boxes, "s": scores, "one": np.array([1], np.int64)}
    outputs = {"labels": labels, "boxes": boxes, "scores": scores}
    return save(path, nodes, constants, outputs, ("orig_target_sizes",))


def over_the_scale(path: Path, rows: NDArray, sizes: Sequence[str]) -> Path:
    """As PaddleDetection exports with its post-processing: rows' boxes divided by the scale factor (y, x).

    With im_shape (height, width) they are given in fractions and multiplied by it.
    """
    if "im_shape" in sizes:
        given = [
            helper.make_node("Squeeze", ["im_shape"], ["hw"]),
            helper.make_node("Gather", ["hw", "xyxy"], ["whwh"]),
            helper.make_node("Concat", ["ones", "whwh"], ["factor"], axis=0),
            helper.make_node("Mul", ["r", "factor"], ["in px"]),
        ]
    else:
        given = [helper.make_node("Identity", ["r"], ["in px"])]
    nodes = [
        *given,
        helper.make_node("Squeeze", ["scale_factor"], ["yx"]),
        helper.make_node("Gather", ["yx", "xyxy"], ["scale"]),
        helper.make_node("Concat", ["ones", "scale"], ["divisor"], axis=0),
        helper.make_node("Div", ["in px", "divisor"], ["rows"]),
        helper.make_node("Identity", ["n"], ["counts"]),
    ]
    constants = {"r": rows, "xyxy": np.array([1, 0, 1, 0]), "ones": np.ones(2, np.float32)}
    constants["n"] = np.array([len(rows)], np.int32)
    return save(path, nodes, constants, {"rows": rows, "counts": constants["n"]}, sizes)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, NDArray],
    outputs: Mapping[str, NDArray],
    sizes: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    *,
    sized: bool = True,
) -> Path:
    """The model of such nodes, written; outputs are declared as the arrays are, or by rank alone."""
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])]
    for name in sizes:
        dtype = TensorProto.INT64 if name == "orig_target_sizes" else TensorProto.FLOAT
        inputs.append(helper.make_tensor_value_info(name, dtype, [1, 2]))
    declared = [
        helper.make_tensor_value_info(
            name, _DTYPES[array.dtype.name], array.shape if sized else [f"{name}_{at}" for at in range(array.ndim)]
        )
        for name, array in outputs.items()
    ]
    graph = helper.make_graph(
        nodes, "known", inputs, declared, [numpy_helper.from_array(array, name) for name, array in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, dict(notes or {}))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def signature(
    *shapes: tuple[int | None, ...],
    side: int | None = 640,
    names: Sequence[str] = (),
    sizes: Sequence[str] = (),
    **notes: str,
) -> Signature:
    """What a model says of itself: float32 NCHW pictures, and outputs of these shapes."""
    outputs = tuple(
        Tensor(names[at] if names else f"output{at}", "int64" if names and names[at] == "labels" else "float32", shape)
        for at, shape in enumerate(shapes)
    )
    beside = tuple(Tensor(name, "float32", (None, 2)) for name in sizes)
    return Signature("images", "float32", (None, 3, side, side), outputs, beside, notes)
