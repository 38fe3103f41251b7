"""`zhiwang detect`, as it is typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import pytest

from gateway.cli import main
from tests.vision.conftest import street

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Capture = pytest.CaptureFixture[str]

RED_AT = (64, 32, 128, 96)  # of 128 × 96: 4 × 4 cells of 16 px


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good pictures, a JPEG that is cut off, a text file that calls itself PNG, a note that is no picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    good = cv2.cvtColor(street(red=RED_AT), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "000000000139.png"), good)
    cv2.imwrite(str(folder / "gate.jpg"), good, [cv2.IMWRITE_JPEG_QUALITY, 100])
    whole = (folder / "gate.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[:-20])
    (folder / "text.png").write_text("no picture")
    (folder / "notes.txt").write_text("nothing to see")
    return folder


def test_a_folder_becomes_coco_results(folder: Path, models: Path, tmp_path: Path, capsys: Capture) -> None:
    """Given good and bad pictures, then the good ones' boxes are COCO's, the bad ones counted and named; exit 0."""
    out = tmp_path / "results.json"
    words = ["detect", str(folder), "--model", str(models / "coco.onnx"), "--format", "coco", "-o", str(out)]
    assert main(words) == 0
    rows = json.loads(out.read_text())
    assert {row["image_id"] for row in rows} == {139, "gate"}
    assert {row["category_id"] for row in rows} == {1}
    mine = [row for row in rows if row["image_id"] == 139]
    assert len(mine) == 16
    assert min(row["bbox"] for row in mine) == [64.0, 32.0, 16.0, 16.0]
    assert all(row["score"] > 0.99 for row in mine)
    said = capsys.readouterr().err
    assert "2 pictures, 32 boxes, 2 could not be read" in said
    assert "cut.jpg: the JPEG is cut off" in said
    assert "text.png: not an image" in said
    assert "notes.txt" not in said


def test_nothing_readable_is_a_failure(folder: Path, models: Path, capsys: Capture) -> None:
    """Given only what cannot be read, or an empty folder, then exit 1, saying why; the output is still valid."""
    model = str(models / "coco.onnx")
    bad = [str(folder / name) for name in ("cut.jpg", "text.png", "gone.jpg", "gone.mp4")]
    assert main(["detect", *bad, "--model", model, "--format", "coco"]) == 1
    got = capsys.readouterr()
    assert json.loads(got.out) == []
    assert got.err.count("No such file") == 2
    assert main(["detect", str(models), "--model", model]) == 1
    assert "no image or video was found" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_video_becomes_mot_in_order(video: Callable[..., Path], models: Path, capsys: Capture, threads: str) -> None:
    """Given 20 frames, every third analysed, on one thread or three, then MOT lines by frame number."""
    words = ["detect", str(video()), "--model", str(models / "coco.onnx"), "--format", "mot", "--every", "3"]
    assert main([*words, "--threads", threads]) == 0
    lines = [line.split(",") for line in capsys.readouterr().out.splitlines()]
    frames = [int(line[0]) for line in lines]
    assert frames == sorted(frames)
    assert sorted(set(frames)) == [1, 4, 7, 10, 13, 16, 19]
    assert [line[1] for line in lines] == ["-1"] * len(lines)
    assert [float(side) for side in min(line[2:6] for line in lines)] == [32, 16, 16, 16]


def test_json_lines_are_one_a_picture(video: Callable[..., Path], folder: Path, models: Path, capsys: Capture) -> None:
    """Given a video and an image, then each picture has a line, with the time in the video and labels by name."""
    words = ["detect", str(video()), str(folder / "gate.jpg"), "--model", str(models / "coco.onnx"), "--every", "10"]
    assert main(words) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["frame"], row["time_s"]) for row in rows] == [(1, 0.0), (11, 1.0), (0, 0.0)]
    assert rows[2]["boxes"][0]["label"] == "person"
    assert (rows[0]["width"], rows[0]["height"]) == (128, 96)


def test_a_truncated_video_gives_what_it_holds(
    video: Callable[..., Path], models: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Given half a video, then its frames are written and the loss is told."""
    whole = video(frames=60, codec="mpeg4").read_bytes()
    half = tmp_path / "half.avi"
    half.write_bytes(whole[: (whole.index(b"movi") + whole.index(b"idx1")) // 2])
    assert main(["detect", str(half), "--model", str(models / "coco.onnx")]) == 0
    got = capsys.readouterr()
    assert 10 < len(got.out.splitlines()) < 60
    assert "of its 60 frames" in got.err or "half.avi: frame" in got.err


def test_a_model_that_is_none_is_said_and_no_output_is_left(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    """Given a text file, or a name that no manifest has, then exit 1 with the reason, and no half-written file."""
    (tmp_path / "text.onnx").write_text("no model")
    out = tmp_path / "out.jsonl"
    assert main(["detect", str(folder), "--model", str(tmp_path / "text.onnx"), "-o", str(out)]) == 1
    assert "text.onnx: not a model" in capsys.readouterr().err
    assert main(["detect", str(folder), "--model", "no-such-model", "-o", str(out)]) == 1
    assert "no-such-model" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == []


def test_an_output_that_cannot_be_written_is_said(folder: Path, models: Path, tmp_path: Path, capsys: Capture) -> None:
    """Given a folder that is not there, then exit 1, naming the file."""
    out = tmp_path / "gone" / "out.jsonl"
    assert main(["detect", str(folder), "--model", str(models / "coco.onnx"), "-o", str(out)]) == 1
    assert "out.jsonl cannot be written: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--every", "0"], ["--threads", "x"], ["--format", "voc"]])
def test_wrong_usage_is_exit_2(words: list[str], capsys: Capture) -> None:
    """As argparse says it."""
    with pytest.raises(SystemExit) as caught:
        main(["detect", "x.mp4", *words])
    assert caught.value.code == 2
    assert words[1] in capsys.readouterr().err
