"""Small models whose answers are known, and small videos to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gateway.config.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Video = Callable[..., Path]

SIDE = 64  # of the small models' input: 8 × 8 cells of stride 8
RED = (255, 0, 0)
GREY = (90, 90, 90)
LABELS = ("red", "never")


def _save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict[str, NDArray]) -> Path:
    graph = helper.make_graph(
        nodes, "small", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in constants.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def red_yolox(path: Path, batch: int | None = None, classes: int = 2) -> Path:
    """YOLOX's raw output (float32 NCHW BGR): each 8 × 8 cell is a box whose objectness is red − blue, 1 at most.

    Its class is always the first. With channel order, layout or scale mixed up it finds nothing or the wrong thing.
    """
    constants: dict[str, NDArray] = {"shape": np.array([0, 5 + classes, -1], np.int64)}
    nodes = []
    for stride in (8, 16, 32):
        weight = np.zeros((5 + classes, 3, stride, stride), np.float32)
        if stride == 8:
            weight[4, 2], weight[4, 0] = 1 / 255 / 64, -1 / 255 / 64  # BGR: red is 2
        bias = np.array(
            [0.5, 0.5, 0, 0, 0, 1] + [0] * (classes - 1), np.float32
        )  # centre of the cell, one cell wide, class 0
        constants |= {f"w{stride}": weight, f"b{stride}": bias}
        nodes += [
            helper.make_node("Conv", ["images", f"w{stride}", f"b{stride}"], [f"c{stride}"], strides=[stride, stride]),
            helper.make_node("Reshape", [f"c{stride}", "shape"], [f"r{stride}"]),
            helper.make_node("Transpose", [f"r{stride}"], [f"t{stride}"], perm=[0, 2, 1]),
        ]
    nodes.append(helper.make_node("Concat", ["t8", "t16", "t32"], ["output"], axis=1))
    n = "N" if batch is None else batch
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [n, 3, SIDE, SIDE])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [n, 84, 5 + classes])
    return _save(path, nodes, [images], [output], constants)


def red_ssd(path: Path) -> Path:
    """SSD's outputs (uint8 NHWC RGB): four fixed boxes, the quarters of the picture, scored by their mean red."""
    boxes = np.array([[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5], [0.5, 0.5, 1, 1]], np.float32)
    weight = np.zeros((2, 3, SIDE // 2, SIDE // 2), np.float32)
    weight[0, 0], weight[0, 2] = 4 / 255 / SIDE**2, -4 / 255 / SIDE**2
    constants = {
        "w": weight,
        "boxes1": boxes[None],
        "to_scores": np.array([0, 2, 4], np.int64),
        "zero": np.array(0, np.int64),
        "tail": np.array([4, 4], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "w"], ["c"], strides=[SIDE // 2, SIDE // 2]),
        helper.make_node("Reshape", ["c", "to_scores"], ["r"]),
        helper.make_node("Transpose", ["r"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("Shape", ["image"], ["size"], end=1),
        helper.make_node("Concat", ["size", "tail"], ["full"], axis=0),
        helper.make_node("Expand", ["boxes1", "full"], ["boxes"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 4, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 4, 2]),
    ]
    return _save(path, nodes, [image], outputs, constants)


def manifest(path: Path | None, family: str = "yolox", **changed: object) -> Manifest:
    """The manifest of a small model."""
    yolox = family == "yolox"
    fields: dict[str, object] = {
        "name": f"red-{family}",
        "family": family,
        "width_px": SIDE,
        "height_px": SIDE,
        "layout": "nchw" if yolox else "nhwc",
        "dtype": "float32" if yolox else "uint8",
        "colour": "bgr" if yolox else "rgb",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "letterbox": yolox,
        "pad": 114,
        "labels": LABELS,
        "score": 0.4,
        "sha256": "",
        "licence": "Apache-2.0",
        "path": path,
    }
    return Manifest(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with yolox.onnx, yolox1.onnx (batch of 1), coco.onnx (80 classes) and ssd.onnx."""
    folder = tmp_path_factory.mktemp("models")
    red_yolox(folder / "yolox.onnx")
    red_yolox(folder / "yolox1.onnx", batch=1)
    red_yolox(folder / "coco.onnx", classes=80)
    red_ssd(folder / "ssd.onnx")
    return folder


@pytest.fixture(scope="session")
def yolox(models: Path) -> Manifest:
    """The small YOLOX model."""
    return manifest(models / "yolox.onnx")


@pytest.fixture(scope="session")
def ssd(models: Path) -> Manifest:
    """The small SSD model."""
    return manifest(models / "ssd.onnx", "ssd")


def street(width: int = 128, height: int = 96, red: tuple[int, int, int, int] | None = None) -> NDArray[np.uint8]:
    """A grey picture uint8[h, w, 3] RGB with a red rectangle (x1, y1, x2, y2)."""
    picture = np.full((height, width, 3), GREY, np.uint8)
    if red:
        picture[red[1] : red[3], red[0] : red[2]] = RED
    return picture


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a video: `frames` of 128 × 96 at `fps`, a red block that stands still from x = 32, with a sensor's noise."""
    folder = tmp_path_factory.mktemp("videos")
    made: dict[tuple[int, int, str], Path] = {}

    def make(frames: int = 20, fps: int = 10, codec: str = "libx264") -> Path:
        path = folder / f"{codec}-{frames}-{fps}.{'mp4' if codec == 'libx264' else 'avi'}"
        if (frames, fps, codec) not in made:
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, rate=fps)
                stream.width, stream.height, stream.pix_fmt, stream.gop_size = 128, 96, "yuv420p", fps
                stream.codec_context.thread_count = 1  # one slice a frame, as cameras send them
                picture = street(red=(32, 16, 64, 64)).astype(np.int16)
                rng = np.random.default_rng(1)
                for _ in range(frames):
                    noisy = np.clip(picture + rng.integers(-3, 4, (*picture.shape[:2], 1)), 0, 255).astype(np.uint8)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))
                container.mux(stream.encode())
            made[frames, fps, codec] = path
        return made[frames, fps, codec]

    return make
