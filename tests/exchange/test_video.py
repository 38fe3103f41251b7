"""Videos become detections, and recorded video is drawn with what was found in it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import av
import msgspec
import numpy as np
import pytest

from gateway.errors import GatewayError
from gateway.events import Cut, Detections, Looked
from gateway.exchange.drawn import to_video
from gateway.exchange.spans import UNWATCHED, Span
from gateway.recording import video
from gateway.recording.parts import Checkpoint, ModelNote
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.reinfer import reinferred
from gateway.vision.film import packets
from tests.exchange.street import T0, S, imported, read
from tests.recording.films import ABOUT, START, film
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.events import Input

STREET = """
gateway: lg-017-02
timezone: Asia/Shanghai
cameras:
  gate: {detect: rtsp://127.0.0.1/1, model: model.onnx, rate: 5, zones: {all: [[0, 0], [1, 0], [1, 1], [0, 1]]}}
  gate-2: {detect: rtsp://127.0.0.1/2, model: model.onnx}
rules:
  someone: {count: person, in: gate.all, levels: {yellow: 1}, for: 1 s}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the model that finds red in it."""
    red_yolox(tmp_path / "model.onnx", classes=80)
    return tmp_path


def test_a_video_is_looked_at_as_the_camera_would(folder: Path) -> None:
    path = film(folder / "gate.mp4", frames=40)
    done, came = imported(folder, path, text=STREET, start_ns=T0 * S)
    looks = [one for one in came.inputs if isinstance(one.input, Detections)]
    assert [one.input.event_ns - T0 * S for one in looks] == [i * S // 5 for i in range(20)]  # rate: 5 of 10 a second
    assert [one.admitted_ns for one in looks] == [one.input.event_ns for one in looks]
    assert {one.input.camera for one in looks} == {"gate"}
    first = looks[0].input
    best = first.xyxy[np.argmax(first.score)].tolist()
    assert best[0] < 32
    assert best[2] > 0
    covered = [one.input for one in came.inputs if isinstance(one.input, Looked)]
    assert [(one.from_ns, one.to_ns) for one in covered] == [
        (T0 * S + i * S // 5, T0 * S + (i + 1) * S // 5) for i in range(19)
    ]
    assert {one.why for one in covered} == {"analysed"}
    assert [(note.camera, note.labels[0]) for note in came.about.models] == [("gate", "person"), ("gate-2", "person")]
    assert done.findings.counts["looks"] == 20


def test_times_by_the_name_the_container_or_the_last_change(folder: Path) -> None:
    named = film(folder / "gate_20260529_042700.mp4", frames=10)
    _, came = imported(folder, named, text=STREET)
    assert came.inputs[-2].admitted_ns // S == T0
    plain = film(folder / "gate.mp4", frames=10)
    os.utime(plain, (T0, T0))
    done, came = imported(folder, plain, text=STREET)
    assert [one.admitted_ns for one in came.inputs if isinstance(one.input, Detections)][0] == (T0 - 1) * S  # noqa: RUF015
    assert any("before its last change" in note for note in done.findings.notes)
    told = folder / "told" / "gate.mp4"
    told.parent.mkdir()
    with av.open(str(plain)) as source, av.open(str(told), "w") as copy:
        copy.metadata["creation_time"] = datetime.fromtimestamp(T0, UTC).isoformat()
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    _, came = imported(folder, told, text=STREET)
    assert [one.admitted_ns for one in came.inputs if isinstance(one.input, Detections)][0] == T0 * S  # noqa: RUF015


def test_files_of_a_camera_follow_one_another_and_the_time_between_is_blind(folder: Path) -> None:
    (folder / "gate").mkdir()
    for name in ("20260529T042700", "20260529T042710"):
        film(folder / "gate" / f"{name}.mp4", frames=20)
    done, came = imported(folder, folder / "gate", text=STREET)
    why = [(one.input.why, (one.input.to_ns - T0 * S) / S) for one in came.inputs if isinstance(one.input, Looked)]
    blind = [to for what, to in why if what == "blind"]
    assert blind == [10.0]
    frames = [one.input.frame for one in came.inputs if isinstance(one.input, Detections)]
    assert frames == sorted(set(frames))
    (folder / "day").mkdir()
    both = [film(folder / "day" / f"{name}.mp4", frames=20) for name in ("a", "b")]
    _, came = imported(folder, *both, text=STREET, start_ns=T0 * S, camera="gate")
    times = [one.input.event_ns - T0 * S for one in came.inputs if isinstance(one.input, Detections)]
    assert times == [i * S // 5 for i in range(20)]
    del done


def test_what_is_no_video_is_said_and_the_rest_is_taken(folder: Path) -> None:
    good = film(folder / "gate.mp4", frames=10)
    (folder / "gate-broken.mp4").write_bytes(b"no video")
    done, came = imported(folder, good, folder / "gate-broken.mp4", text=STREET, start_ns=T0 * S, camera="gate")
    assert sum(isinstance(one.input, Detections) for one in came.inputs) == 5
    assert "gate-broken.mp4: found cannot be opened" in done.findings.lines()[0]
    with pytest.raises(GatewayError, match="no file can be opened as video"):
        imported(folder, folder / "gate-broken.mp4", text=STREET, camera="gate")
    with pytest.raises(GatewayError, match="which camera took it"):
        imported(folder, film(folder / "other.mp4", frames=2), text=STREET)
    with pytest.raises(GatewayError, match="--camera: found 'gates'; did you mean gate"):
        imported(folder, good, text=STREET, camera="gates")


def _frames(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        return [(frame.time or 0.0, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize(("codec", "b_frames"), [("libx264", 0), ("libx264", 2), ("libx265", 0), ("mjpeg", 0)])
def test_boxes_are_drawn_into_the_frames_they_belong_to(tmp_path: Path, codec: str, b_frames: int) -> None:
    path = film(tmp_path / f"gate.{'avi' if codec == 'mjpeg' else 'mp4'}", codec, frames=40, b_frames=b_frames)
    note = ModelNote("gate", "red", "", ("block",), 0.4)
    writer = FileWriter(
        tmp_path / "day.mcap", msgspec.structs.replace(ABOUT, models=(note,)), Checkpoint(0, 0, 0, 1, None)
    )
    times = np.array([START + i * S // 10 for i in range(40)], np.int64)
    looks: list[Input] = []
    for i, at_ns in enumerate(times.tolist()):
        sides = np.array([[i * 3 % 96, 16, i * 3 % 96 + 32, 64], [0, 0, 128, 96]], np.float32)
        looks.append(
            Detections("gate", i, at_ns, 128, 96, sides, np.array([0.9, 0.3], np.float32), np.zeros(2, np.int16))
        )
    writer.inputs(Cut(0, looks, times, times - START))
    for coded in packets(path):
        picture = video.Picture(START + coded.event_ns, coded.codec, coded.data)
        writer.beside(video.channel("gate"), START + 10 * S, video.encode("gate", picture))
    writer.close()
    recording = Recording.open([tmp_path / "day.mcap"])
    done = to_video(recording, tmp_path / "films", Span(), UNWATCHED)
    assert done.rows == {"gate.mp4": 40}
    drawn = _frames(tmp_path / "films" / "gate.mp4")
    assert [round(at, 2) for at, _ in drawn] == [round(i / 10, 2) for i in range(40)]
    left: list[int] = []
    for (_, ours), (_, theirs) in zip(drawn, _frames(path), strict=True):
        brighter = (ours[30:60].astype(int) - theirs[30:60]) @ np.array([0.299, 0.587, 0.114])  # green on grey and red
        left.append(int(np.flatnonzero(brighter.mean(axis=0) > 25).min()))
    assert np.abs(np.array(left) - [i * 3 % 96 for i in range(40)]).max() <= 1  # a frame more or less is 3
    part = to_video(recording, tmp_path / "part.mp4", Span(START + S, START + 2 * S), UNWATCHED, score=0.95)
    assert part.rows == {"part.mp4": 10}


@pytest.mark.parametrize(("codec", "name"), [("libx264", "gate.mp4"), ("mjpeg", "gate.avi")])
def test_kept_video_is_exported(folder: Path, codec: str, name: str) -> None:
    path = film(folder / name, codec, frames=40)
    said, came = imported(folder, path, text=STREET, start_ns=T0 * S, keep_video=True)
    looks = {one.input.event_ns for one in came.inputs if isinstance(one.input, Detections)}
    messages = Recording.open([folder / "out.mcap"]).messages("/camera/gate/video")
    assert looks <= {video.decode(message).event_ns for _, message in messages}  # to the nanosecond
    assert any("coded anew" in note for note in said.findings.notes) == (codec == "mjpeg")
    done = to_video(Recording.open([folder / "out.mcap"]), folder / "films", Span(), UNWATCHED)
    assert done.rows == {"gate.mp4": 40}


def test_kept_video_can_be_looked_at_again(folder: Path) -> None:
    imported(folder, film(folder / "gate.mp4", frames=40, b_frames=2), text=STREET, start_ns=T0 * S, keep_video=True)
    was = [one.input for one in read(folder / "out.mcap").inputs if isinstance(one.input, Detections)]
    recording = Recording.open([folder / "out.mcap"])
    again = [
        one
        for piece in reinferred(recording, str(folder / "model.onnx"))
        if hasattr(piece, "cut")
        for one in piece.cut.inputs
        if isinstance(one, Detections)
    ]
    assert [one.event_ns for one in again] == [one.event_ns for one in was]
    for new, old in zip(again, was, strict=True):
        assert np.array_equal(new.xyxy, old.xyxy)


def test_a_recording_without_video_says_so(folder: Path) -> None:
    imported(folder, film(folder / "gate.mp4", frames=10), text=STREET, start_ns=T0 * S)
    recording = Recording.open([folder / "out.mcap"])
    with pytest.raises(GatewayError, match="the recording has no video; it is recorded where"):
        to_video(recording, folder / "films", Span(), UNWATCHED)
    with pytest.raises(GatewayError, match="no video of camera gate; it has video of: none"):
        to_video(recording, folder / "films", Span(), UNWATCHED, camera="gate")


def test_a_model_that_is_not_there_ends_an_import_of_video_and_no_other(folder: Path) -> None:
    text = STREET.replace("model.onnx, rate", "gone.onnx, rate") + "sensors: {s: {mqtt: here, topic: t, plain: v}}\n"
    text = text.replace("cameras:", 'brokers: {here: {url: "mqtt://127.0.0.1:1"}}\ncameras:')
    with pytest.raises(GatewayError, match=r"camera gate: its model cannot be had: .*gone\.onnx"):
        imported(folder, film(folder / "gate.mp4", frames=2), text=text, start_ns=T0 * S)
    (folder / "day.log").write_text(f"{T0} t 1\n")
    done, came = imported(folder, folder / "day.log", text=text)
    assert len(came.messages()) == 1
    assert [note.camera for note in came.about.models] == ["gate-2"]
    assert any(note.startswith("camera/gate: ") for note in done.findings.notes)
