"""`zhiwang track`, as it is typed."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.cli import main
from gateway.cli.track_files import TrackLines, labels_of
from gateway.core.state import State
from gateway.core.track import Tracker
from gateway.events import Detections

if TYPE_CHECKING:
    from collections.abc import Callable

    Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parents[2]


def written(boxes: list[dict[str, object]], frame: int, **changed: object) -> str:
    row = {"source": "a.mp4", "frame": frame, "time_s": (frame - 1) / 10, "width": 640, "height": 480, "boxes": boxes}
    return json.dumps({**row, **changed}) + "\n"


def walker(frame: int, score: float = 0.9, label: str = "person", y: float = 100) -> dict[str, object]:
    return {"label": label, "score": score, "xyxy": [10 * frame, y, 10 * frame + 30, y + 80]}


def look(frame: int, boxes: list[list[float]], scores: list[float]) -> Detections:
    columns = np.array(boxes, np.float32), np.array(scores, np.float32), np.zeros(len(boxes), np.int16)
    return Detections("a", frame, frame * 10**8, 640, 480, *columns)


def rows_of(text: str) -> list[list[float]]:
    return [[float(part) for part in line.split(",")] for line in text.splitlines()]


def test_a_video_becomes_mot_lines(video: Callable[..., Path], models: Path, tmp_path: Path, capsys: Capture) -> None:
    """Given six boxes that stand still, then six ids in every frame from the first on, class 1, visibility unknown."""
    out = tmp_path / "tracks.txt"

    assert main(["track", str(video()), "--model", str(models / "coco.onnx"), "-o", str(out)]) == 0

    rows = rows_of(out.read_text())
    assert [(row[0], row[1]) for row in rows] == [(frame, one) for frame in range(1, 21) for one in range(1, 7)]
    assert all(len(row) == 9 and row[7:] == [1, -1] for row in rows)
    assert min(row[2:6] for row in rows) == [32, 16, 16, 16]
    assert len({(row[1], *row[2:4]) for row in rows}) == 6
    assert "20 looks, 6 tracks, 120 boxes, 0 frames could not be read" in capsys.readouterr().err


def test_skipped_frames_are_the_same_tracks(video: Callable[..., Path], models: Path, capsys: Capture) -> None:
    """Given each fourth frame, then the video's own numbers and times: frames 1, 5, …, six ids."""
    assert main(["track", str(video()), "--model", str(models / "coco.onnx"), "--every", "4"]) == 0

    rows = rows_of(capsys.readouterr().out)
    assert [(row[0], row[1]) for row in rows] == [(frame, one) for frame in (1, 5, 9, 13, 17) for one in range(1, 7)]


def test_detections_are_tracked_without_a_model(tmp_path: Path, capsys: Capture) -> None:
    """Given JSON lines of `detect`, then tracks: low scores continue one, other labels are apart, flickers left out."""
    found = tmp_path / "found.jsonl"
    lines = [written([walker(f, 0.2 if f == 6 else 0.9), walker(f, label="car", y=300)], f) for f in range(1, 11)]
    lines[4] = written([walker(5), {"label": "person", "score": 0.95, "xyxy": [500, 10, 530, 90]}], 5)
    found.write_text("".join(lines))

    assert main(["track", "--from-detections", str(found)]) == 0

    rows = rows_of(capsys.readouterr().out)
    assert [row[0] for row in rows if row[1] == 1] == list(range(1, 11))
    assert [row[0] for row in rows if row[1] == 2] == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert {row[1] for row in rows} == {1, 2}
    assert {(row[1], row[7]) for row in rows} == {(1, 1), (2, 2)}
    assert rows[0][2:7] == [10, 100, 30, 80, 0.9]


def test_one_label_alone_and_a_score_of_ones_own(tmp_path: Path, capsys: Capture) -> None:
    found = tmp_path / "found.jsonl"
    found.write_text("".join(written([walker(f, 0.5), walker(f, label="car", y=300)], f) for f in range(1, 11)))

    assert main(["track", "--from-detections", str(found), "--label", "person", "--score", "0.2"]) == 0

    assert {(row[1], row[7]) for row in rows_of(capsys.readouterr().out)} == {(1, 1)}
    assert main(["track", "--from-detections", str(found), "--label", "persn"]) == 1
    assert "--label: found 'persn'; did you mean person?" in capsys.readouterr().err


def test_what_was_tentative_at_first_is_written_from_its_first_box() -> None:
    """Given a track believed late, its earlier boxes come out in order; one that flickers for ever holds up nothing."""
    out, tracker = io.StringIO(), Tracker("a", ("person",), State())
    lines = TrackLines(out)
    frames = 120
    for frame in range(1, frames + 1):
        boxes = [[300, 100, 330, 180], [50 + frame, 300, 80 + frame, 380]]
        scores = [0.5, 0.9]
        seen = look(frame, boxes, scores)
        lines.write(seen, tracker.step(seen))

    assert len({row[0] for row in rows_of(out.getvalue())}) >= frames - 51  # five seconds of ten looks wait
    lines.close()
    rows = rows_of(out.getvalue())
    assert [row[0] for row in rows] == list(range(1, frames + 1))
    assert len({row[1] for row in rows}) == 1
    assert lines.tracks == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json\n", "found.jsonl:1: "),
        (written([], 1) + '{"frame": 2}\n', "found.jsonl:2: Object missing required field `source`"),
        (written([], 0), "found.jsonl:1: found a picture without a frame number"),
        (written([], 1) + written([], 2, source="b.mp4"), "found detections of 2 files"),
    ],
)
def test_what_is_no_detections_is_said(text: str, reason: str, tmp_path: Path, capsys: Capture) -> None:
    """Given another file, then exit 1 with its line, and no output is left."""
    (tmp_path / "found.jsonl").write_text(text)

    assert main(["track", "--from-detections", str(tmp_path / "found.jsonl"), "-o", str(tmp_path / "out.txt")]) == 1

    assert reason in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["found.jsonl"]


def test_times_that_stand_still_are_left_out_and_told(tmp_path: Path, capsys: Capture) -> None:
    found = tmp_path / "found.jsonl"
    found.write_text("".join(written([walker(f)], f, time_s=max(f, 4) / 10) for f in range(1, 11)))

    assert main(["track", "--from-detections", str(found)]) == 0

    got = capsys.readouterr()
    assert "3 frames are not later than the one before and were left out" in got.err
    assert [row[0] for row in rows_of(got.out)] == [1, 5, 6, 7, 8, 9, 10]


def test_what_cannot_be_read_is_exit_1(tmp_path: Path, models: Path, capsys: Capture) -> None:
    """Given no such video, no such file or no such model, then exit 1 and the reason."""
    model = ["--model", str(models / "coco.onnx")]
    assert main(["track", str(tmp_path / "gone.mp4"), *model]) == 1
    assert "gone.mp4: cannot be opened" in capsys.readouterr().err
    assert main(["track", "--from-detections", str(tmp_path / "gone.jsonl")]) == 1
    assert "gone.jsonl: No such file" in capsys.readouterr().err
    (tmp_path / "found.jsonl").write_text(written([], 1))
    out = str(tmp_path / "no" / "out.txt")
    assert main(["track", "--from-detections", str(tmp_path / "found.jsonl"), "-o", out]) == 1
    assert "out.txt" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["a.mp4", "--from-detections", "b.jsonl"]])
def test_a_video_or_detections_but_not_both(words: list[str], capsys: Capture) -> None:
    assert main(["track", *words]) == 2
    assert "give either a video or --from-detections" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--score", "0.05"], ["--score", "x"], ["--lost", "0"], ["--every", "0"]])
def test_wrong_usage_is_exit_2(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["track", "x.mp4", *words])
    assert caught.value.code == 2
    assert words[1] in capsys.readouterr().err


def test_help_begins_with_an_example_and_names_the_columns(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["track", "--help"])
    said = capsys.readouterr().out
    assert caught.value.code == 0
    assert "example: zhiwang track street.mp4 -o tracks.txt" in said
    assert "frame, id, left, top, width, height, score, class, visibility" in said


def test_an_interrupt_leaves_a_valid_file(models: Path, video: Callable[..., Path], tmp_path: Path) -> None:
    """Given Ctrl-C in the middle of a long video, then exit 130 and a whole file of what was tracked until then."""
    out = tmp_path / "tracks.txt"
    words = ["track", str(video(frames=3000)), "--model", str(models / "coco.onnx"), "-o", str(out)]
    with subprocess.Popen(
        [sys.executable, "-c", RUN, *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        part = tmp_path / "tracks.txt.part"
        until = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size):  # the first block of lines has been written
            assert child.poll() is None, child.stderr and child.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)

    assert child.returncode == 130, said
    assert "interrupted: what was tracked until then is written" in said
    text = out.read_text()
    assert text.endswith("\n")
    assert all(len(row) == 9 for row in rows_of(text))
    assert max(row[0] for row in rows_of(text)) < 3000
    assert not part.exists()


RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell leaves it ignored for what it runs behind it
from gateway.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """Given an installation without SciPy, then exit 1 and the command that brings it."""
    (tmp_path / "found.jsonl").write_text(written([walker(1)], 1))
    words = ["track", "--from-detections", str(tmp_path / "found.jsonl")]
    code = f"import sys; sys.modules['scipy'] = None; {RUN}"

    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("zhiwang: tracking needs scipy")
    assert "pip install 'zhiwang[vision]'" in done.stderr


def test_labels_and_lines_are_counted(tmp_path: Path) -> None:
    found = tmp_path / "found.jsonl"
    found.write_text(written([walker(1), walker(1, label="car")], 1) + written([walker(2, label="bus")], 2))

    assert labels_of(found) == (("person", "car", "bus"), 2)
