"""The session: what it loads, what it refuses, and that pictures reach the model as it wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from gateway.errors import ModelError
from gateway.vision.detector import Detector, manifest_of
from gateway.vision.engine import OnnxEngine
from tests.vision.conftest import manifest, street

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.manifest import Manifest

RED_AT = (32, 16, 64, 64)  # of a 128 × 96 picture: exactly cells of the input at half size


def test_yolox_finds_the_red_block_where_it_is(yolox: Manifest) -> None:
    """Letterbox, channel order, layout, decoding and mapping back, end to end."""
    [found] = Detector(yolox).detect([street(red=RED_AT)])
    assert len(found.score) == 2 * 3  # cells of 16 px of the picture
    outline = [*found.xyxy[:, :2].min(axis=0), *found.xyxy[:, 2:].max(axis=0)]
    assert outline == list(RED_AT)
    assert set(found.label.tolist()) == {0}
    np.testing.assert_allclose(found.score, 1.0, atol=0.01)


def test_ssd_finds_the_red_quarter_where_it_is(ssd: Manifest) -> None:
    """Stretched, uint8, boxes as fractions with y first."""
    [found] = Detector(ssd).detect([street(red=(64, 0, 128, 48))])
    assert found.xyxy.tolist() == [[64, 0, 128, 48]]


@pytest.mark.parametrize("name", ["yolox.onnx", "yolox1.onnx"])
def test_a_batch_is_its_pictures_one_by_one(models: Path, name: str) -> None:
    """Given pictures of several sizes, with a model of open batch and of batch 1, then the boxes are the same."""
    pictures = [street(red=RED_AT), street(200, 60, (0, 0, 50, 60)), street(64, 64)]
    together = Detector(manifest(models / name), slots=3).detect(pictures)
    one = Detector(manifest(models / "yolox.onnx"))
    for picture, found in zip(pictures, together, strict=True):
        [alone] = one.detect([picture])
        for a, b in zip(alone, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_mean_and_deviation_are_by_the_inputs_own_channels(models: Path) -> None:
    """Given a manifest with mean and std, then the tensor is (pixel − mean) / std in the input's channel order."""
    engine = OnnxEngine(manifest(models / "yolox.onnx", mean=(10.0, 20.0, 30.0), std=(1.0, 2.0, 4.0)))
    engine.batch[0] = (200, 100, 50)  # RGB
    tensor = engine.tensor(1)
    assert tensor.dtype == np.float32
    assert [float(tensor[0, channel].max()) for channel in range(3)] == [40.0, 40.0, 42.5]


def test_a_uint8_model_reads_the_batch_itself(ssd: Manifest) -> None:
    """No copy on the way."""
    engine = OnnxEngine(ssd, slots=2)
    assert np.shares_memory(engine.tensor(2), engine.batch)


def test_a_text_file_is_no_model(tmp_path: Path) -> None:
    """It says the file, what onnxruntime found, what was expected."""
    path = tmp_path / "notes.onnx"
    path.write_text("not a model at all\n" * 50)
    with pytest.raises(ModelError, match=r"notes\.onnx: not a model .*expected an \.onnx file"):
        Detector(manifest(path))
    with pytest.raises(ModelError, match=r"notes\.onnx: not a model"):
        manifest_of(path)


def test_a_model_of_another_shape_is_refused_when_it_is_loaded(models: Path) -> None:
    """Input size, dtype, outputs and labels: each is named with what was found and what the manifest says."""
    yolox, ssd = models / "yolox.onnx", models / "ssd.onnx"
    with pytest.raises(ModelError, match=r"found the input float32 \[N, 3, 64, 64\]; its manifest says .* 416, 416\]"):
        Detector(manifest(yolox, width_px=416, height_px=416))
    with pytest.raises(ModelError, match=r"found the input uint8 \[N, 64, 64, 3\]; .* float32 \[N, 3, 64, 64\]"):
        Detector(manifest(ssd, "yolox"))
    with pytest.raises(ModelError, match=r"found the outputs output \[N, 84, 7\]; the family ssd has boxes"):
        Detector(manifest(yolox, "ssd", layout="nchw", dtype="float32"))
    with pytest.raises(ModelError, match="found 2 classes in its outputs and 80 labels"):
        Detector(manifest(yolox, labels=("x",) * 80))


def test_a_model_that_was_not_fetched_says_how_to(tmp_path: Path) -> None:
    """No path, or a path where nothing is."""
    for path in (None, tmp_path / "gone.onnx"):
        with pytest.raises(ModelError, match="zhiwang models pull red-yolox"):
            Detector(manifest(path))


def test_a_file_without_a_manifest_needs_cocos_classes(models: Path, tmp_path: Path) -> None:
    """Its family is recognised, but nobody knows its two labels; a file that is not there is named."""
    with pytest.raises(ModelError, match=r"\[N, 84, 7\].*yolox with 2 classes; without a manifest .* only COCO's"):
        manifest_of(models / "yolox.onnx")
    with pytest.raises(ModelError, match="no such file"):
        manifest_of(tmp_path / "gone.onnx")


def test_yolox_nano_knows_a_living_room(shared: Path) -> None:
    """Given the real model without a manifest and a COCO picture, then its television and a person are found."""
    known = manifest_of(shared / "models/yolox_nano.onnx")
    picture = cv2.cvtColor(cv2.imread(str(shared / "data/coco/images/000000000139.jpg")), cv2.COLOR_BGR2RGB)
    [found] = Detector(known).detect([picture])
    seen = {known.labels[label] for label, score in zip(found.label, found.score, strict=True) if score > 0.5}
    assert {"tv", "person", "chair"} <= seen
