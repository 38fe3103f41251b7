"""`models bench` and `bench vision`: what they try, print and write."""

from __future__ import annotations

import importlib.util
import json
import os
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from gateway.cli import main
from gateway.config.box import VisionConfig
from gateway.config.load import load
from gateway.registry import registry
from gateway.vision.engine_bench import Result, Setting, most, soonest, together
from gateway.vision.engine_clips import made_video, rotated
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from pathlib import Path

FEW = ["--seconds", "0.5"]
LEAST = "gateway: bench-1\ncameras: {{gate: {{detect: gate.mp4}}}}\nmodel: {}\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small YOLOX of 80 classes."""
    return red_yolox(tmp_path / "coco.onnx", classes=80)


def test_every_setting_is_measured_and_the_best_are_marked(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given no card on this box, then a row an engine, number of threads and batch; one most, one soonest; why not."""
    assert main(["models", "bench", str(model), "--json", *FEW]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cores = len(os.sched_getaffinity(0))
    expected = {(threads, batch) for threads in (1, max(1, cores // 2), cores) for batch in (1, 4)}
    assert {(row["threads"], row["batch"]) for row in rows if row["engine"] == "onnxruntime"} == expected
    engines = {row["engine"] for row in rows}
    assert ("openvino" in engines) == (importlib.util.find_spec("openvino") is not None)
    assert [sum(row[mark] for row in rows) for mark in ("most", "soonest")] == [1, 1]
    assert all(row["images_s"] > 0 and row["cpu_s_1000"] > 0 and row["p50_ms"] <= row["p95_ms"] for row in rows)


def test_the_best_goes_into_local_yaml_and_nowhere_else(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a configuration whose cameras use a model, then that is measured, and what is written is what it loads."""
    config = tmp_path / "gateway.yaml"
    config.write_text(LEAST.format(model.name))
    assert main(["models", "bench", "--write", str(config), "--precision", "f32", *FEW]) == 0
    out = capsys.readouterr().out
    assert config.read_text() == LEAST.format(model.name)
    vision = load(config, registry()).vision
    named = vision.engine + ("" if vision.precision == "auto" else " f32")
    assert f"local.yaml: vision: {named}, {vision.engines} threads, batch {vision.batch}; it holds" in out
    assert "cuda: not here: onnxruntime" in out or "cuda" in out.partition("not here")[0]
    assert vision != VisionConfig()


def test_write_names_a_configuration_that_is_not_there(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured."""
    assert main(["models", "bench", str(model), "--write", str(tmp_path / "gone.yaml"), "--seconds", "60"]) == 1
    assert "gone.yaml: there is no such file" in capsys.readouterr().err


def test_what_is_nearly_as_fast_and_simpler_is_taken() -> None:
    """Given settings within 3 % of the best, then the smaller batch, then fewer threads, then less CPU."""
    large, small, slow = Setting("a", "auto", 2, 4), Setting("b", "auto", 2, 1), Setting("a", "auto", 1, 1)
    results = [Result(large, 100, 9, 9, 5), Result(small, 98, 8, 9, 9), Result(slow, 60, 4, 9, 5)]
    assert most(results) == small
    assert soonest(results) == slow
    other = [Result(large, 200, 1, 1, 1), Result(small, 100, 1, 1, 1), Result(slow, 50, 1, 1, 1)]
    assert together([results, other]) == large


def test_how_many_cameras(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a small clip and two cameras at most, then both are carried, and time and CPU are said."""
    clip = made_video(tmp_path, (96, 64), 2.0)
    asked = ["bench", "vision", str(clip), "--model", str(model), "--cameras", "2", "--fps", "2", "--seconds", "2"]
    assert main([*asked, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    answer = json.loads(said.out)
    assert (answer["cameras"], answer["fps"], answer["unwell"]) == (2, 2.0, "")
    assert answer["alone"] >= 2
    assert 0 < answer["p50_s"] <= answer["p95_s"]
    assert answer["decode"] > 0


def test_a_made_clip_is_as_a_camera_sends_it(tmp_path: Path) -> None:
    """H.264, 25 frames a second, of the size that was asked for, also from another video."""
    first = made_video(tmp_path, (320, 180), 0.4)
    (tmp_path / "other").mkdir()
    for path, size, frames in (
        (first, (320, 180), 10),
        (made_video(tmp_path / "other", (160, 90), 5.0, first), (160, 90), 10),
    ):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height) == size
            assert (stream.codec_context.name, stream.average_rate) == ("h264", 25)
            assert sum(1 for _ in container.decode(stream)) == frames


def test_cameras_begin_at_different_places_of_a_clip(tmp_path: Path) -> None:
    """Given 6 s with a key frame every 2 s, then three clips of all the same frames, each decodable from its start."""
    clips = rotated(made_video(tmp_path, (96, 64), 6.0))
    pictures = []
    for path in clips:
        with av.open(str(path)) as container:
            pictures.append([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
    assert [len(each) for each in pictures] == [150] * 3
    for turns, each in enumerate(pictures):
        for at in (0, 60, 149):
            np.testing.assert_array_equal(each[at], pictures[0][(at + 50 * turns) % 150])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--size", "4K"], "found --size 4K; it is one of 360p, 720p, 1080p, 2160p, or WIDTHxHEIGHT"),
        (["--fps", "0"], "found --fps 0; looks a second, above 0 and at most 60"),
        (["gone.mp4"], "gone.mp4: there is no such file"),
    ],
)
def test_wrong_wishes_are_said(asked: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is measured."""
    assert main(["bench", "vision", *asked]) == 1
    assert said in capsys.readouterr().err
