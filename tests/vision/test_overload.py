"""More cameras than an engine can look at: real films, a model that takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gateway.config.model import Camera
from gateway.events import Detections
from tests.vision.conftest import manifest, red_yolox
from tests.vision.running import Door, running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gateway.config.manifest import Manifest

SIDE, TIMES = 1024, 5  # a product of two such matrices takes 10 to 40 ms of a core


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The red model, with work that adds nothing to its answer."""
    path = red_yolox(tmp_path_factory.mktemp("slow") / "slow.onnx")
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "answer"
    constants = {"matrix": np.eye(SIDE, dtype=np.float32), "nothing": np.array(0, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    model.graph.node.extend([
        helper.make_node("ReduceMax", ["images"], ["brightest"], keepdims=0),
        helper.make_node("Add", ["matrix", "brightest"], ["shifted"]),
        helper.make_node("Identity", ["shifted"], ["product0"]),
        *(helper.make_node("MatMul", [f"product{n}", "matrix"], [f"product{n + 1}"]) for n in range(TIMES)),
        helper.make_node("ReduceMax", [f"product{TIMES}"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "nothing"], ["none"]),
        helper.make_node("Add", ["answer", "none"], ["output"]),
    ])  # fmt: skip
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    onnx.save(model, path)
    return manifest(path)


async def looks(cameras: Mapping[str, Camera], model: Manifest, least: int) -> tuple[dict[str, int], Door]:
    """How often each was looked at by the time that all were so often, since the first look of the last to begin."""

    def begun(door: Door) -> bool:
        return all(door.detections(name) for name in cameras)

    async with running(cameras, model) as (vision, door):
        await door.until(lambda: begun(door), 60)
        before = {name: len(door.detections(name)) for name in cameras}
        await door.until(lambda: all(len(door.detections(name)) >= before[name] + least for name in cameras), 120)
        skipped = vision.stats()["skipped"]
        counts = {name: len(door.detections(name)) - before[name] for name in cameras}
    assert skipped > sum(counts.values()), "the engine kept up: nothing was tried"
    return counts, door


async def test_equal_cameras_are_looked_at_equally_often(video: Callable[..., Path], slow: Manifest) -> None:
    """Given eight films of 30 frames a second and an engine for less than one, then none has 2 looks more than another.

    Each look is at a later frame than the one before, and no frame of a camera is looked at twice.
    """
    cameras = {f"c{n}": Camera(detect=str(video(60, 30)), loop=True, rate=30) for n in range(8)}
    counts, door = await looks(cameras, slow, 10)
    assert max(counts.values()) - min(counts.values()) <= 2
    for name in cameras:
        times = [found.event_ns for found in door.detections(name)]
        assert times == sorted(set(times))
    assert all(len(found.score) for found in door.inputs if isinstance(found, Detections))


async def test_rates_and_priorities_share_what_there_is(video: Callable[..., Path], slow: Manifest) -> None:
    """Given a high camera, a normal, a low one and one of half the rate, then their looks are as 4 to 2 to 1 to 1."""
    film = str(video(60, 30))
    cameras = {
        "high": Camera(detect=film, loop=True, rate=30, priority="high"),
        "normal": Camera(detect=film, loop=True, rate=30),
        "low": Camera(detect=film, loop=True, rate=30, priority="low"),
        "half": Camera(detect=film, loop=True, rate=15),
    }
    counts, _ = await looks(cameras, slow, 12)
    shares = {name: count / counts["normal"] for name, count in counts.items()}
    assert shares == pytest.approx({"high": 2, "normal": 1, "low": 0.5, "half": 0.5}, abs=0.25)
