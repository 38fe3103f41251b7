"""Reads a TensorFlow.js graph model: model.json and its weight shards, float or quantised.

Format: https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts (weightsManifest, quantization).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from gateway.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|b1", "uint8": "|u1", "uint16": "<u2", "float16": "<f2"}


class Quantization(msgspec.Struct, frozen=True):
    """How a weight was stored: value = stored × scale + min; float16 has neither."""

    dtype: str
    scale: float = 1.0
    min: float = 0.0


class WeightSpec(msgspec.Struct, frozen=True):
    """One weight in the shards, in order."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None


class WeightGroup(msgspec.Struct, frozen=True):
    """Shards that are read as one run of bytes, and the weights in it."""

    paths: tuple[str, ...]
    weights: tuple[WeightSpec, ...]


class IntList(msgspec.Struct, frozen=True):
    """A list attribute; 64-bit integers are strings in protobuf's JSON."""

    i: tuple[int | str, ...] = ()


class Attr(msgspec.Struct, frozen=True):
    """A node's attribute; only the kinds that the converter reads."""

    s: str | tuple[int, ...] | None = None
    f: float | None = None
    b: bool | None = None
    list: IntList | None = None


class Node(msgspec.Struct, frozen=True):
    """One operation of the TensorFlow graph."""

    name: str
    op: str
    input: tuple[str, ...] = ()
    attr: dict[str, Attr] = {}

    def text(self, key: str, default: str) -> str:
        """A string attribute: plain, base64 or a list of byte values, as different tfjs converters write it."""
        attr = self.attr.get(key)
        if attr is None or attr.s is None:
            return default
        if not isinstance(attr.s, str):
            return bytes(attr.s).decode("ascii")
        try:
            return base64.b64decode(attr.s, validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            return attr.s

    def ints(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of integers."""
        attr = self.attr.get(key)
        return default if attr is None or attr.list is None else tuple(int(i) for i in attr.list.i)

    def number(self, key: str, default: float) -> float:
        """A float attribute."""
        attr = self.attr.get(key)
        return default if attr is None or attr.f is None else attr.f


class Topology(msgspec.Struct, frozen=True):
    """The graph's nodes."""

    node: tuple[Node, ...]


class GraphFile(msgspec.Struct, frozen=True):
    """The file model.json."""

    modelTopology: Topology  # noqa: N815 — the file's own key
    weightsManifest: tuple[WeightGroup, ...]  # noqa: N815 — the file's own key


class Graph(msgspec.Struct, frozen=True):
    """Nodes and constants by name; constants are float32, int32 or bool arrays."""

    nodes: dict[str, Node]
    weights: dict[str, NDArray[np.generic]]

    def node(self, name: str) -> Node:
        """The node that makes tensor `name` (`name` or `name:0`)."""
        found = self.nodes.get(name.split(":", maxsplit=1)[0].removeprefix("^"))
        if found is None:
            raise ModelError(f"the TensorFlow.js graph has no node {name!r}: this is not a model the converter knows")
        return found

    def weight(self, name: str) -> NDArray[np.float32]:
        """The float constant `name`, looking through Identity."""
        node = self.node(name)
        while node.op == "Identity":
            node = self.node(node.input[0])
        found = self.weights.get(node.name)
        if found is None:
            raise ModelError(f"{name!r} is computed by {node.op}, where the converter expects a constant")
        return found.astype(np.float32)

    def is_weight(self, name: str) -> bool:
        """Whether `name` is a constant."""
        return self.node(name).name in self.weights


def read_graph(folder: Path) -> Graph:
    """The graph in `folder`/model.json with every weight. Raises ModelError when cut off or not of this format."""
    try:
        file = msgspec.json.decode((folder / "model.json").read_bytes(), type=GraphFile)
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ModelError(f"{folder / 'model.json'} is not a TensorFlow.js graph model: {error}") from error
    weights: dict[str, NDArray[np.generic]] = {}
    for group in file.weightsManifest:
        weights.update(_read_group(folder, group))
    return Graph({node.name: node for node in file.modelTopology.node}, weights)


def _read_group(folder: Path, group: WeightGroup) -> dict[str, NDArray[np.generic]]:
    try:
        blob = b"".join((folder / path).read_bytes() for path in group.paths)
    except OSError as error:
        raise ModelError(f"a weight shard is missing: {error.filename}: {error.strerror}") from error
    weights: dict[str, NDArray[np.generic]] = {}
    offset = 0
    for spec in group.weights:
        stored = DTYPES.get(spec.quantization.dtype if spec.quantization else spec.dtype)
        if stored is None:
            raise ModelError(f"weight {spec.name!r} has dtype {spec.dtype!r}; known are {', '.join(DTYPES)}")
        count = int(np.prod(spec.shape, dtype=np.int64))
        size = count * np.dtype(stored).itemsize
        if offset + size > len(blob):
            raise ModelError(f"the weight shards end after {len(blob)} bytes, inside {spec.name!r}: fetch them again")
        values = np.frombuffer(blob, stored, count, offset).reshape(spec.shape)
        offset += size
        weights[spec.name] = _dequantise(values, spec)
    if offset != len(blob):
        raise ModelError(f"the weight shards hold {len(blob)} bytes, model.json describes {offset}")
    return weights


def _dequantise(values: NDArray[np.generic], spec: WeightSpec) -> NDArray[np.generic]:
    if spec.quantization is None:
        return values
    if spec.quantization.dtype == "float16":
        return values.astype(np.float32)
    real = values.astype(np.float64) * spec.quantization.scale + spec.quantization.min
    return real.astype(np.float32) if spec.dtype == "float32" else np.rint(real).astype(np.int32)
