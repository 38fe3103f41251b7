"""The detector again on recorded video: the same model sees the same, another one sees its own, and no more is claimed.

The films are coded as cameras code, recorded by the tap of real camera threads, and read by the real reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from gateway.clock import WallClock
from gateway.config.model import Camera
from gateway.errors import ModelError, RecordingError
from gateway.events import Cut, Detections, Tick
from gateway.recording.parts import Begin, Checkpoint, ModelNote, Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.reinfer import Coverage, reinferred
from tests.recording.films import ABOUT, START, Recorded, film
from tests.vision.conftest import manifest, red_yolox
from tests.vision.running import running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.config.manifest import Manifest

NOTHING = Checkpoint(0, 0, 0, 1, None)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A model that finds red, with labels of its own."""
    return manifest(red_yolox(tmp_path_factory.mktemp("models") / "small.onnx"), name="small", sha256="5" * 64)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of another model that finds red and calls it a person, the first of COCO's labels."""
    return red_yolox(tmp_path_factory.mktemp("models") / "coco.onnx", classes=80)


async def record(
    path: Path, tmp_path: Path, model: Manifest, *, video: str = "always", keep: Callable[[int], bool] = lambda _: True
) -> Recording:
    """A film seen by the camera `gate`, every third frame; of its video the packets that `keep` takes by number."""
    cameras = {"gate": Camera(detect=str(path), health="off", rate=5)}
    recorded = Recorded(tmp_path / "unused.mcap")
    tap = recorded.tap(cameras, video=video)
    async with running(cameras, model, every_nth=3, start_ns=START, paced=False, video=tap) as (_, door):
        await door.until(lambda: door.health("camera/gate", "ended")[-1:] == [False])
    note = ModelNote("gate", model.name, model.sha256, model.labels, model.score)
    writer = FileWriter(tmp_path / "recording.mcap", msgspec.structs.replace(ABOUT, models=(note,)), NOTHING)
    for number, kept in enumerate(recorded.kept):
        if keep(number):
            writer.beside(*kept)
    inputs = [Tick(), *door.inputs]
    stamps = np.full(len(inputs), WallClock().now_ns(), np.int64)
    writer.inputs(Cut(0, inputs, stamps, stamps - stamps[0]))
    writer.close()
    return Recording.open([tmp_path / "recording.mcap"])


def looks(pieces: Sequence[object]) -> list[Detections]:
    """The detections among pieces."""
    parts = [piece for piece in pieces if isinstance(piece, Part)]
    return [one for part in parts for one in part.cut.inputs if isinstance(one, Detections)]


def same(a: Detections, b: Detections) -> bool:
    """Whether two looks are of one frame and found the same, to the bit."""
    heads = [(one.camera, one.frame, one.event_ns, one.width_px, one.height_px) for one in (a, b)]
    found = [(one.xyxy.tobytes(), one.score.tobytes(), one.label.tobytes()) for one in (a, b)]
    return heads[0] == heads[1] and found[0] == found[1]


@pytest.mark.parametrize(("codec", "b_frames"), [("libx264", 0), ("libx264", 2), ("libx265", 3)])
async def test_the_same_model_finds_the_same_again(
    codec: str, b_frames: int, tmp_path: Path, default_model: Manifest
) -> None:
    """Given always, and the model of the recording, then every look is covered and comes to the same bytes; all other
    inputs, numbers and times are as they were.
    """  # noqa: D205 - one thought
    recording = await record(film(tmp_path / "a.mp4", codec, b_frames=b_frames), tmp_path, default_model)
    was, again = list(recording.pieces()), reinferred(recording)
    now = list(again)
    assert len(looks(was)) == 14
    assert all(same(a, b) for a, b in zip(looks(was), looks(now), strict=True))
    assert again.coverage == {"gate": Coverage(14, 14)}
    assert again.words() == "looked again: gate 14 of 14 looks (100 %)"
    for a, b in zip(was, now, strict=True):
        if isinstance(a, Part):
            assert isinstance(b, Part)
            assert [type(one) for one in a.cut.inputs] == [type(one) for one in b.cut.inputs]
            assert (a.cut.n0, a.cut.admitted_ns.tolist()) == (b.cut.n0, b.cut.admitted_ns.tolist())
        else:
            assert a == b


async def test_another_model_sees_its_own_and_what_is_not_covered_stays(
    tmp_path: Path, small: Manifest, coco: Path
) -> None:
    """Given video of a third of the time and another model, then looks there are its own, those elsewhere the recorded
    ones under labels that mean the same, and how much is covered is said.
    """  # noqa: D205 - one thought
    recording = await record(film(tmp_path / "a.mp4"), tmp_path, small, keep=lambda number: 10 <= number < 20)
    again = reinferred(recording, str(coco))
    now = list(again)
    [begin] = [piece for piece in now if isinstance(piece, Begin)]
    [note] = begin.about.models
    assert (note.model, note.labels[0], note.labels[80:]) == ("coco", "person", ("red", "never"))
    was = looks(list(recording.pieces()))
    assert [one.event_ns for one in looks(now)] == [one.event_ns for one in was]
    for a, b in zip(was, looks(now), strict=True):
        covered = START + 10**9 <= a.event_ns < START + 2 * 10**9
        names = {note.labels[label] for label in b.label}
        assert names == {"person" if covered else "red"}
        assert np.array_equal(a.xyxy, b.xyxy)
    assert again.coverage == {"gate": Coverage(14, 3)}
    assert again.words() == "looked again: gate 3 of 14 looks (21 %)"
    assert again.words("zh") == "重新检测:gate 14 次中 3 次(21 %)"


@pytest.mark.parametrize(("codec", "b_frames"), [("libx264", 0), ("libx265", 3)])
async def test_a_hole_in_the_video_spoils_no_picture(
    codec: str, b_frames: int, tmp_path: Path, small: Manifest, coco: Path
) -> None:
    """Given video that begins in the middle of a group and has a hole, then what refers to frames that are not there is
    not looked at: such looks stay as they were, and the others find the block where it is.
    """  # noqa: D205 - one thought
    path = film(tmp_path / "a.mp4", codec, b_frames=b_frames, frames=60)
    there = {*range(5, 15), *range(33, 60)}
    recording = await record(path, tmp_path, small, keep=there.__contains__)
    now = list(reinferred(recording, str(coco)))
    was = looks(list(recording.pieces()))
    again = [(a, b) for a, b in zip(was, looks(now), strict=True) if 80 not in b.label]
    assert {(a.event_ns - START) // 10**8 for a, _ in again} <= {*range(10, 15), *range(40, 60)}
    assert len(again) >= 7
    assert all(np.array_equal(a.xyxy, b.xyxy) and np.array_equal(a.score, b.score) for a, b in again)


async def test_missing_video_is_named_with_how_to_get_it(tmp_path: Path, small: Manifest) -> None:
    """Given a recording without video, or without cameras, then it is said whose is missing and what to set."""
    recording = await record(film(tmp_path / "a.mp4"), tmp_path, small, video="off")
    with pytest.raises(RecordingError, match=r"no video of gate.*recording: \{video: always\}"):
        reinferred(recording)
    FileWriter(tmp_path / "none.mcap", ABOUT, NOTHING).close()
    with pytest.raises(RecordingError, match="no camera"):
        reinferred(Recording.open([tmp_path / "none.mcap"]))


async def test_a_missing_model_is_named_with_how_to_get_it(tmp_path: Path, small: Manifest) -> None:
    """Given a model that is not here, is another by now, or is no file, then it is named before anything is played."""
    path = film(tmp_path / "a.mp4")
    recording = await record(path, tmp_path, small)
    with pytest.raises(ModelError, match=r"camera gate was recorded with the model small .*--reinfer FILE.onnx"):
        reinferred(recording)
    with pytest.raises(ModelError, match=r"nowhere.onnx: there is no such file"):
        reinferred(recording, str(tmp_path / "nowhere.onnx"))
    with pytest.raises(ModelError, match="no-such-model"):
        reinferred(recording, "no-such-model")


async def test_a_model_that_changed_is_not_taken_for_the_recorded_one(tmp_path: Path, default_model: Manifest) -> None:
    """Given a recorded model of the same name and another sha256, then both are named, and how to take it anyhow."""
    other = msgspec.structs.replace(default_model, sha256="0" * 64)
    recording = await record(film(tmp_path / "a.mp4", frames=12), tmp_path, other)
    with pytest.raises(ModelError, match=f"000000000000.*{default_model.sha256[:12]}.*--reinfer {default_model.name}"):
        reinferred(recording)
    again = reinferred(recording, default_model.name)
    assert len(looks(list(again))) == again.coverage["gate"].again == 4
