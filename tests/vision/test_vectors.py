"""Numbers that the families' own projects computed: vectors/, whose README says with which release of what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.config.families import FAMILIES
from gateway.vision.boxes import fit_into
from gateway.vision.heads import find_boxes
from tests.vision.conftest import manifest
from tests.vision.graphs import HEIGHT, WIDTH
from tests.vision.reference import PICTURE, picture

VECTORS = Path(__file__).parent / "vectors"


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.npz")))
def test_boxes_are_those_of_the_familys_own_project(name: str) -> None:
    """Given raw outputs for a picture of 100 × 61 px, then its own code's boxes, scores and labels, to 1e-3 px."""
    family = name.partition("-")[0]
    usual = FAMILIES[family]
    with np.load(VECTORS / f"{name}.npz") as kept:
        vectors = dict(kept)
    outputs = [vectors[f"output{at}"] for at in range(len(vectors) - 3)]
    model = manifest(None, family, width_px=WIDTH, height_px=HEIGHT, labels=("car", "van", "bus"))
    slot = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    fit = fit_into(picture(), slot, letterbox=usual.letterbox, pad=usual.pad, centred=usual.centred)
    [found] = find_boxes(outputs, 1, model, [fit])
    assert PICTURE == (100, 61)
    assert len(found.score) == len(vectors["scores"]) > 3
    np.testing.assert_allclose(found.score, vectors["scores"], rtol=1e-5)
    np.testing.assert_array_equal(found.label, vectors["labels"])
    np.testing.assert_allclose(found.xyxy, vectors["boxes"], atol=1e-3)


def test_there_are_vectors_of_every_family_that_has_outputs_of_its_own() -> None:
    """YOLO11 shares YOLOv8's outputs, D-FINE RT-DETR's; the SSD's graph is ours (tests/models)."""
    there = {path.stem.partition("-")[0] for path in VECTORS.glob("*.npz")}
    assert there == set(FAMILIES) - {"yolo11", "dfine", "ssd"}
