"""Engines give the same boxes; where one cannot, the next takes over with the same pictures, and it is said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from gateway.config.box import VisionConfig
from gateway.config.model import Camera
from gateway.errors import EngineError, ModelError
from gateway.vision.detector import Detector, manifest_of
from gateway.vision.engine import OnnxEngine
from gateway.vision.engine_kinds import KINDS, Kind, order
from gateway.vision.engine_onnxruntime import OrtSession
from tests.vision.conftest import manifest, street
from tests.vision.graphs import known
from tests.vision.running import running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest

RED_AT = (32, 16, 64, 64)
AGREED_PX = 0.01  # float32 in another order of sums: 0.001 px was seen
F32 = VisionConfig(engine="openvino", precision="f32")


class Faulty(OrtSession):
    """An engine that loads and works, until it is told not to."""

    fault: str = ""

    def run(self, feeds: Mapping[str, NDArray]) -> list[NDArray]:
        """As the real one, or with its fault."""
        if self.fault == "raises":
            raise EngineError("the card fell off the bus")
        outputs = super().run(feeds)
        if self.fault:
            outputs[0] = outputs[0].copy()
            outputs[0][0, -1, -1] = float(self.fault)
        return outputs


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    """Stands in as the engine `cuda`; set its `fault` to make it fail."""

    class Ours(Faulty):
        """Its fault is this test's."""

    monkeypatch.setitem(KINDS, "cuda", Kind(lambda path, _slots, _precision: Ours(path), "onnxruntime"))
    return Ours


def has_bf16() -> bool:
    """Whether this CPU computes in it."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


@pytest.mark.parametrize("name", ["yolox.onnx", "yolox1.onnx", "ssd.onnx"])
@pytest.mark.parametrize("slots", [1, 3])
def test_openvino_finds_what_onnxruntime_finds(models: Path, name: str, slots: int) -> None:
    """Given models of open and fixed batch, float32 and uint8, and batches whole and in part, then the same boxes."""
    pytest.importorskip("openvino")
    made = manifest(models / name, "ssd" if name == "ssd.onnx" else "yolox")
    pictures = [street(red=RED_AT), street(200, 60, (0, 0, 50, 60)), street(64, 64)]
    theirs, ours = Detector(made, slots, vision=F32), Detector(made, slots)
    assert (theirs.engine.name, ours.engine.name) == ("openvino", "onnxruntime")
    for count in range(1, slots + 1):
        for a, b in zip(theirs.detect(pictures[:count]), ours.detect(pictures[:count]), strict=True):
            np.testing.assert_allclose(a.xyxy, b.xyxy, atol=AGREED_PX)
            np.testing.assert_allclose(a.score, b.score, atol=1e-5)
            np.testing.assert_array_equal(a.label, b.label)


@pytest.mark.parametrize("model", ["yolox_nano", "fastestdet"])
def test_openvino_agrees_on_real_weights(shared: Path, model: str) -> None:
    """Given COCO's pictures, then every box of onnxruntime is one of OpenVINO's, to a hundredth of a pixel."""
    pytest.importorskip("openvino")
    made = manifest_of(shared / f"models/{model}.onnx")
    theirs, ours = Detector(made, vision=F32), Detector(made)
    for path in sorted((shared / "data/coco/images").glob("*.jpg"))[:8]:
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        [a], [b] = theirs.detect([picture]), ours.detect([picture])
        believed = b.score > 0.2
        assert believed.any() or not (a.score > 0.2).any()
        np.testing.assert_allclose(a.xyxy[: believed.sum()], b.xyxy[believed], atol=AGREED_PX)
        np.testing.assert_array_equal(a.label[: believed.sum()], b.label[believed])


def test_bf16_is_taken_where_the_cpu_has_it_and_refused_where_not(yolox: Manifest) -> None:
    """Given auto, then bf16 on such a CPU and f32 elsewhere; asked for on another, it falls back with the reason."""
    pytest.importorskip("openvino")
    auto = Detector(yolox, vision=VisionConfig(engine="openvino")).engine
    assert auto.name == "openvino"
    assert getattr(auto.session, "precision", "") == ("bf16" if has_bf16() else "f32")
    asked = Detector(yolox, vision=VisionConfig(engine="openvino", precision="bf16")).engine
    if has_bf16():
        assert not asked.falls
    else:
        assert asked.name == "onnxruntime"
        assert "does not compute in bf16" in asked.falls[0].why


def test_auto_is_onnxruntime_and_each_engine_ends_there() -> None:
    """The order in which they are tried."""
    assert order(VisionConfig()) == ["onnxruntime"]
    assert order(VisionConfig(engine="openvino")) == ["openvino", "onnxruntime"]
    assert order(VisionConfig(engine="tensorrt")) == ["tensorrt", "cuda", "onnxruntime"]


def test_a_card_that_is_not_there_falls_back_and_says_what_to_install(yolox: Manifest) -> None:
    """Given an onnxruntime without CUDA and TensorRT, then the CPU does it, and both absences are said."""
    import onnxruntime as ort  # noqa: PLC0415 - to see what this box has

    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this box has CUDA")
    detector = Detector(yolox, vision=VisionConfig(engine="tensorrt"))
    assert detector.engine.name == "onnxruntime"
    tensorrt, cuda = detector.engine.falls
    assert (tensorrt.engine, cuda.engine) == ("tensorrt", "cuda")
    assert "has no TensorrtExecutionProvider (it has " in tensorrt.why
    assert "install onnxruntime-gpu" in cuda.why
    assert len(detector.detect([street(red=RED_AT)])[0].score) == 6


def test_a_package_that_is_not_installed_falls_back(yolox: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no openvino, then its extra is named."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = Detector(yolox, vision=VisionConfig(engine="openvino")).engine
    assert engine.name == "onnxruntime"
    assert "pip install 'zhiwang[openvino]'" in engine.falls[0].why


@pytest.mark.parametrize("fault", ["raises", "nan", "inf"])
def test_an_engine_that_fails_at_work_loses_no_picture(yolox: Manifest, faulty: type[Faulty], fault: str) -> None:
    """Given pictures on the way when it fails, then their boxes come from the next engine in the same call."""
    detector = Detector(yolox, 2, vision=VisionConfig(engine="cuda"))
    pictures = [street(red=RED_AT), street(64, 64)]
    before = detector.detect(pictures)
    assert (detector.engine.name, detector.engine.falls) == ("cuda", ())
    faulty.fault = fault
    after = detector.detect(pictures)
    assert detector.engine.name == "onnxruntime"
    assert ("fell off the bus" if fault == "raises" else "NaN or infinite") in detector.engine.falls[0].why
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a.xyxy, b.xyxy)
    assert len(after[0].score) == 6
    faulty.fault = ""
    detector.detect(pictures)
    assert detector.engine.name == "onnxruntime"  # until the next start


def test_an_engine_that_computes_nan_is_known_before_the_first_picture(yolox: Manifest, faulty: type[Faulty]) -> None:
    """Given NaN from the start, then the probe finds it."""
    faulty.fault = "nan"
    engine = OnnxEngine(yolox, vision=VisionConfig(engine="cuda"))
    assert (engine.name, [fall.engine for fall in engine.falls]) == ("onnxruntime", ["cuda"])


def test_a_file_that_no_engine_can_load_is_the_files_fault(tmp_path: Path) -> None:
    """Given a text file, then the error is about the file, whatever engine was asked for."""
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.onnx: not a model that onnxruntime can load"):
        Detector(manifest(tmp_path / "text.onnx"), vision=VisionConfig(engine="openvino"))


def test_a_model_that_gives_no_number_at_all_is_refused(tmp_path: Path) -> None:
    """Given outputs of NaN alone, then it is said when the model is loaded: they would pass for an empty street."""
    path = known(tmp_path / "nan.onnx", {"output": np.full((1, 126, 85), np.nan, np.float32)})
    with pytest.raises(ModelError, match="its output output holds NaN or infinite numbers"):
        Detector(manifest_of(path))


async def test_a_camera_sees_through_the_next_engine_and_it_is_said_once(
    video: Callable[..., Path], yolox: Manifest, faulty: type[Faulty]
) -> None:
    """Given an engine that fails at work, then looks go on, one Health says so, and the next start says it is well."""
    cameras = {name: Camera(detect=str(video()), loop=True) for name in ("a", "b")}
    wanted = VisionConfig(engine="cuda", batch=2)
    async with running(cameras, yolox, vision=wanted) as (_, door):
        await door.until(lambda: door.detections("a") and door.detections("b"))
        assert door.health("engine/0", "engine") == [True]
        faulty.fault = "raises"
        await door.until(lambda: door.health("engine/0", "engine") == [True, False])
        seen = len(door.detections("a"))
        await door.until(lambda: len(door.detections("a")) > seen + 2 and len(door.detections("b")) > 2)
    [told] = [got for got in door.healths("engine/0", "engine") if not got.ok]
    assert told.detail == "cuda cannot run red-yolox (the card fell off the bus); onnxruntime runs it instead"
    assert {len(got.score) for got in door.detections("a")} == {len(door.detections("a")[0].score)}
    assert "blind" not in {got.why for got in door.looked("a")[1:]}
    faulty.fault = ""
    async with running(cameras, yolox, vision=wanted) as (_, door):
        await door.until(lambda: door.detections("a"))
    assert door.health("engine/0", "engine") == [True]


async def test_what_no_engine_could_look_at_is_blind(video: Callable[..., Path], tmp_path: Path) -> None:
    """Given a model whose outputs are no numbers, then its camera's time is blind, and the engine's alert says why."""
    path = known(tmp_path / "nan.onnx", {"output": np.full((1, 126, 85), np.nan, np.float32)})
    async with running({"a": Camera(detect=str(video()), loop=True)}, manifest_of(path)) as (_, door):
        await door.until(lambda: any(got.why == "blind" for got in door.looked("a")))
        await door.until(lambda: door.health("engine/0", "model"))
    [told] = door.healths("engine/0", "model")
    assert (told.ok, "NaN" in told.detail) == (False, True)
    assert not door.detections("a")
    assert "analysed" not in {got.why for got in door.looked("a")}
