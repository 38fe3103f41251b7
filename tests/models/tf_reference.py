"""Runs a TensorFlow graph node by node in plain NHWC numpy: slow, unfolded, and written apart from the converter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.models.tfjs import Graph, Node

Array = NDArray[np.float32]


def evaluate(graph: Graph, wanted: list[str], given: dict[str, Array]) -> list[Array]:
    """The tensors `wanted`, with the tensors `given` as they are."""
    known: dict[str, Array] = dict(given)

    def value(name: str) -> Array:
        base = name.partition(":")[0]
        if base not in known:
            known[base] = graph.weights[base] if base in graph.weights else run(graph.nodes[base])
        return known[base]

    def run(node: Node) -> Array:
        inputs = node.input[:1] if node.op == "Reshape" else node.input  # its shape is worked out from the picture's
        return OPERATIONS[node.op](node, *(value(name) for name in inputs))

    return [value(name) for name in wanted]


def convolve(x: Array, weight: Array, stride: int, *, depthwise: bool) -> Array:
    """TensorFlow's convolution with padding SAME: the odd pixel goes after."""
    n, height, width, _ = x.shape
    kh, kw = weight.shape[:2]
    out_h, out_w = -(-height // stride), -(-width // stride)
    pad_h = max((out_h - 1) * stride + kh - height, 0)
    pad_w = max((out_w - 1) * stride + kw - width, 0)
    around = ((pad_h // 2, pad_h - pad_h // 2), (pad_w // 2, pad_w - pad_w // 2))
    x = np.pad(x, ((0, 0), *around, (0, 0)))
    out = np.zeros((n, out_h, out_w, weight.shape[2] if depthwise else weight.shape[3]), np.float32)
    for row in range(kh):
        for column in range(kw):
            part = x[:, row : row + out_h * stride : stride, column : column + out_w * stride : stride]
            part = part[:, :out_h, :out_w]
            out += part * weight[row, column, :, 0] if depthwise else part @ weight[row, column]
    return out


def batch_norm(node: Node, x: Array, *learned: Array) -> Array:
    """As TensorFlow documents FusedBatchNorm for inference."""
    gamma, beta, mean, variance = learned
    return gamma * (x - mean) / np.sqrt(variance + node.number("epsilon", 0)) + beta


def flatten(node: Node, x: Array) -> Array:
    """[N, h, w, anchors × width] to [N, boxes, width]: 4 numbers a box, 91 a class prediction."""
    return x.reshape(x.shape[0], -1, 91 if "Reshape_1" in node.name else 4)


OPERATIONS: dict[str, Callable[..., Array]] = {
    "Conv2D": lambda node, x, weight: convolve(x, weight, node.ints("strides", ())[1], depthwise=False),
    "DepthwiseConv2dNative": lambda node, x, weight: convolve(x, weight, node.ints("strides", ())[1], depthwise=True),
    "Mul": lambda _, a, b: a * b,
    "Add": lambda _, a, b: a + b,
    "AddN": lambda _, a, b: a + b,
    "BiasAdd": lambda _, a, b: a + b,
    "Relu6": lambda _, x: np.clip(x, 0, 6),
    "FusedBatchNorm": batch_norm,
    "Reshape": flatten,
    "ConcatV2": lambda _, *parts: np.concatenate(parts[:-1], axis=1),
}
