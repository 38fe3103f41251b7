"""TensorFlow's convolutional layers as ONNX nodes in NCHW: scales, biases and batch norms folded into the weights.

A convolution is held back until something other than a fold asks for it; so one Conv (and one Clip) is left per layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from gateway.models.tfjs import Graph, Node

FOLDABLE = ("Mul", "Add", "AddV2", "BiasAdd", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
SUMS = ("Add", "AddV2", "AddN")
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")


class Emitter:
    """Collects ONNX nodes and initialisers, in the order they are asked for: the same graph gives the same bytes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initialisers: list[onnx.TensorProto] = []

    def node(self, op: str, inputs: Sequence[str], name: str, **attributes: int | list[int]) -> str:
        """Adds one node with one output, called `name`; returns that."""
        from onnx import helper  # noqa: PLC0415 — optional: only `models pull` needs it

        made = helper.make_node(op, list(inputs), [name], name=name)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(made)
        return name

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Adds one initialiser; returns its name."""
        from onnx import numpy_helper  # noqa: PLC0415 — optional: only `models pull` needs it

        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


class Tensor(msgspec.Struct, frozen=True):
    """A tensor of the new graph: [N, channels, height_px, width_px] under `name`."""

    name: str
    channels: int
    height_px: int
    width_px: int


class Convolution(msgspec.Struct, frozen=True):
    """A convolution not yet emitted: weight float64[out, in / groups, kh, kw], bias float64[out]."""

    source: Tensor
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    same: bool
    groups: int

    def scaled(self, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> Convolution:
        """The convolution whose output is `scale` × this + `shift`, by output channel."""
        return msgspec.structs.replace(
            self, weight=self.weight * scale.reshape(-1, 1, 1, 1), bias=self.bias * scale + shift
        )

    def keep(self, channels: NDArray[np.intp]) -> Convolution:
        """The convolution with only these output channels."""
        return msgspec.structs.replace(self, weight=self.weight[channels], bias=self.bias[channels])


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """TensorFlow's SAME: (output size, padding before, padding after); the odd pixel goes after.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    out = -(-size // stride)
    total = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return out, total // 2, total - total // 2


class Layers:
    """Translates what a tensor of the TensorFlow graph depends on, each node once."""

    def __init__(self, graph: Graph, emitter: Emitter, inputs: dict[str, Tensor]) -> None:
        """`inputs` are the tensors to stop at, by the TensorFlow node's name."""
        self._graph = graph
        self._emitter = emitter
        self._tensors = dict(inputs)
        self._pending: dict[str, Convolution] = {}

    def tensor(self, name: str) -> Tensor:
        """The tensor `name`, emitting what it needs first (five Python frames a layer: a hundred layers at most)."""
        node = self._graph.node(name)
        while node.op == "Identity" and node.name not in self._tensors:
            node = self._graph.node(node.input[0])
        found = self._tensors.get(node.name)
        if found is None:
            pending = self.convolution(name)
            found = self._emit_convolution(node.name, pending) if pending is not None else self._emit(node)
            self._tensors[node.name] = found
        return found

    def convolution(self, name: str) -> Convolution | None:
        """The convolution, with everything folded, that makes tensor `name`; None where it is none."""
        node = self._graph.node(name)
        if node.name in self._tensors:
            return None
        if node.name not in self._pending:
            made = self._fold(node)
            if made is None:
                return None
            self._pending[node.name] = made
        return self._pending[node.name]

    def _fold(self, node: Node) -> Convolution | None:
        if node.op in CONVOLUTIONS:
            return self._convolve(node)
        if node.op == "Identity":
            return self.convolution(node.input[0])
        if node.op not in FOLDABLE:
            return None
        where = 1 if self._graph.is_weight(node.input[0]) else 0
        if not all(self._graph.is_weight(other) for other in node.input[1 - where : 2 - where]):
            return None
        inner = self.convolution(node.input[where])
        return None if inner is None else self._scale(node, inner, where)

    def _scale(self, node: Node, inner: Convolution, where: int) -> Convolution:
        out = inner.bias.shape[0]
        if node.op.startswith("FusedBatchNorm"):
            gamma, beta, mean, variance = (self._graph.weight(name).astype(np.float64) for name in node.input[1:5])
            scale = gamma / np.sqrt(variance + node.number("epsilon", 1e-4))
            return inner.scaled(scale, beta - mean * scale)
        by = np.broadcast_to(self._graph.weight(node.input[1 - where]).astype(np.float64).reshape(-1), (out,))
        return inner.scaled(by, np.zeros(out)) if node.op == "Mul" else inner.scaled(np.ones(out), by)

    def _convolve(self, node: Node) -> Convolution:
        if node.text("data_format", "NHWC") != "NHWC":
            raise ModelError(f"{node.name!r} is {node.text('data_format', '')}; the converter reads NHWC graphs")
        padding = node.text("padding", "SAME")
        if padding not in {"SAME", "VALID"}:
            raise ModelError(f"{node.name!r} has padding {padding!r}; the converter knows SAME and VALID")
        source = self.tensor(node.input[0])
        weight = self._graph.weight(node.input[1]).astype(np.float64)  # HWIO, or HWIM where depthwise
        depthwise = node.op == "DepthwiseConv2dNative"
        if depthwise:
            kh, kw, channels, multiplier = weight.shape
            weight = weight.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, kh, kw)
        else:
            weight = weight.transpose(3, 2, 0, 1)
        strides = node.ints("strides", (1, 1, 1, 1))
        dilations = node.ints("dilations", (1, 1, 1, 1))
        made = Convolution(
            source=source,
            weight=weight,
            bias=np.zeros(weight.shape[0]),
            strides=(strides[1], strides[2]),
            dilations=(dilations[1], dilations[2]),
            same=padding == "SAME",
            groups=source.channels if depthwise else 1,
        )
        if made.weight.shape[1] * made.groups != source.channels:
            raise ModelError(
                f"{node.name!r} wants {made.weight.shape[1] * made.groups} channels, has {source.channels}"
            )
        return made

    def _emit_convolution(self, name: str, layer: Convolution) -> Tensor:
        sides = zip(
            (layer.source.height_px, layer.source.width_px),
            layer.weight.shape[2:],
            layer.strides,
            layer.dilations,
            strict=True,
        )
        (height, top, bottom), (width, left, right) = (
            same_padding(*side) if layer.same else _valid(*side) for side in sides
        )
        inputs = [
            layer.source.name,
            self._emitter.constant(f"{name}/weight", layer.weight.astype(np.float32)),
            self._emitter.constant(f"{name}/bias", layer.bias.astype(np.float32)),
        ]
        self._emitter.node(
            "Conv",
            inputs,
            name,
            kernel_shape=list(layer.weight.shape[2:]),
            strides=list(layer.strides),
            dilations=list(layer.dilations),
            pads=[top, left, bottom, right],
            group=layer.groups,
        )
        return Tensor(name, layer.weight.shape[0], height, width)

    def emit(self, name: str, layer: Convolution) -> Tensor:
        """Emits a convolution the caller has changed, under its own name."""
        return self._emit_convolution(name, layer)

    def _emit(self, node: Node) -> Tensor:
        if node.op == "Relu6":
            source = self.tensor(node.input[0])
            limits = [self._limit("relu6/min", 0.0), self._limit("relu6/max", 6.0)]
            self._emitter.node("Clip", [source.name, *limits], node.name)
            return msgspec.structs.replace(source, name=node.name)
        if node.op == "Relu":
            source = self.tensor(node.input[0])
            self._emitter.node("Relu", [source.name], node.name)
            return msgspec.structs.replace(source, name=node.name)
        if node.op in SUMS and len(node.input) == 2:
            return self._sum(node)
        raise ModelError(f"the converter does not know the operation {node.op!r} ({node.name!r})")

    def _sum(self, node: Node) -> Tensor:
        """A residual connection; a bias that was added after it goes into the convolution before it."""
        inner, shift = node, None
        constants = [name for name in node.input if self._graph.is_weight(name)]
        if constants:
            (other,) = set(node.input) - set(constants)
            inner, shift = self._graph.node(other), self._graph.weight(constants[0]).astype(np.float64)
            if inner.op not in SUMS or len(inner.input) != 2:
                raise ModelError(f"{node.name!r} adds a constant to {inner.op}, expected a convolution or a residual")
        first, second = inner.input
        layer = self.convolution(first)
        if shift is None:
            left = self.tensor(first)
        elif layer is None:
            raise ModelError(f"{node.name!r} adds a constant to a sum whose first part is not a convolution")
        else:
            left = self.emit(f"{node.name}/conv", layer.scaled(np.ones_like(shift), shift))
        self._emitter.node("Add", [left.name, self.tensor(second).name], node.name)
        return msgspec.structs.replace(left, name=node.name)

    def _limit(self, name: str, value: float) -> str:
        if all(tensor.name != name for tensor in self._emitter.initialisers):
            self._emitter.constant(name, np.array(value, np.float32))
        return name


def _valid(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    return (size - (kernel - 1) * dilation - 1) // stride + 1, 0, 0
