"""A span of a recording as one file: it replays to the same bytes, and other tools read each message in it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from mcap.reader import make_reader

from gateway.app.recording import FOLDER
from gateway.cli import main
from gateway.events import Message
from gateway.recording.beside import Beside
from gateway.recording.columns import encode, joined
from gateway.recording.export import Form, export
from gateway.recording.parts import About, Begin, Checkpoint, Gap, Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.labels import Labels, Window
from gateway.replaying.labels_file import beside, read, write
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from tests.e2e.played import T0, S, script
from tests.e2e.played import play as run_live
from tests.e2e.test_replayed import _folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gateway.recording.parts import Piece


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a gateway that ran through the script twice: it was stopped and started between."""
    folder = _folder(tmp_path_factory.mktemp("live") / "play", [])
    steps = script([], seconds=120)
    asyncio.run(run_live(folder, steps))
    config = folder / "gateway.yaml"
    config.write_text(config.read_text().replace("yellow: 2.8", "yellow: 2.9"))  # another configuration from here on
    asyncio.run(run_live(folder, script([], seconds=240), begin=sum(len(step.inputs) for step in steps)))
    return folder / "state"


@pytest.fixture(scope="module")
def ring(state: Path) -> Recording:
    return Recording.open([state / FOLDER])


def _came(recording: Recording) -> tuple[object, ...]:
    memory = Memory()
    played = play(recording, memory)
    return memory.alerts, b"".join(memory.series), memory.requests, played.state_sha


def _inputs(pieces: Iterable[Piece]) -> bytes:
    return encode(joined([piece.cut for piece in pieces if isinstance(piece, Part)]))


@pytest.mark.parametrize("form", [Form(), Form(readable=False), Form(states=False)])
def test_an_export_replays_to_the_same_bytes(tmp_path: Path, ring: Recording, form: Form) -> None:
    """Given a ring with two configurations, its export is a file for each, which together are the same recording."""
    done = export(ring, tmp_path / "all.mcap", form=form)

    assert [path.name for path in done.files] == ["all.mcap", "all-2.mcap"]
    again = Recording.open(done.files)
    assert _came(again) == _came(ring)
    assert [*again.alerts()] == [*ring.alerts()]
    assert all(file.about.made == "export" and not file.damage for file in again.files)
    assert done.inputs == sum(file.last_n - file.first_n for file in ring.files)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all-2.mcap", "all.mcap"]


def test_any_mcap_reader_shows_each_message_on_the_channel_of_its_topic(tmp_path: Path, ring: Recording) -> None:
    [path, _] = export(ring, tmp_path / "all.mcap").files
    wanted: list[tuple[str, int, bytes]] = []
    for piece in Recording.open([path]).pieces():
        if isinstance(piece, Part):
            for one, at_ns in zip(piece.cut.inputs, piece.cut.admitted_ns.tolist(), strict=True):
                wanted += [(one.topic, at_ns, one.body)] if isinstance(one, Message) else []
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        came = [(c.topic, m.log_time, m.data, s.encoding if s else "") for s, c, m in reader.iter_messages()]

    assert [(topic, at, data) for topic, at, data, _ in came if topic.startswith(("air/", "water/"))] == wanted
    assert len(wanted) > 200
    assert {encoding for topic, _, _, encoding in came if topic.startswith("air/")} == {"jsonschema"}
    health = [json.loads(data) for topic, _, data, _ in came if topic == "/inputs/health"]
    assert {"component": "source/here", "condition": "connected", "ok": True, "detail": ""} in health


def test_a_span_begins_at_the_checkpoint_before_it_and_ends_where_it_was_asked_to(
    tmp_path: Path, ring: Recording
) -> None:
    from_ns, to_ns = T0 + 150 * S, T0 + 200 * S
    done = export(ring, tmp_path / "part.mcap", from_ns=from_ns, to_ns=to_ns)

    again = Recording.open(done.files)
    assert again.files[0].first_n == ring.files[1].first_n
    assert _inputs(again.pieces()) == _inputs(ring.pieces(from_ns, to_ns))
    assert done.ended_ns < to_ns
    then = [json.loads(line)["seq"] for line in again.alerts()]
    assert then == [json.loads(line)["seq"] for line in ring.alerts() if json.loads(line)["seq"] in then]
    assert then


def test_a_span_in_which_nothing_was_recorded_says_what_there_is_and_leaves_nothing(
    tmp_path: Path, ring: Recording, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["record", "--state", str(state), "-o", str(tmp_path / "F.mcap"), "--from", "2027-01-01"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "nothing was recorded then; what there is goes from 2026-05-29T04:27:00+08:00 to 2026-05-29T04:30:59" in said
    assert list(tmp_path.iterdir()) == []
    assert ring.files


def test_record_writes_what_a_stopped_gateway_recorded_with_what_people_said_of_its_alerts(
    tmp_path: Path, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given labels beside the ring, when a span is exported, then they go along, and the result is told."""
    write(beside(state / FOLDER), Labels([Window("flood", "", T0, T0 + S, "wrong", "fog")]), "Asia/Shanghai")
    words = ["record", str(state.parent / "gateway.yaml"), "-o", str(tmp_path / "F.mcap"), "--to", "2026-05-29T04:28"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [str(tmp_path / "F.mcap")]
    assert told["inputs"] > 200
    [window] = read(tmp_path / "F.labels.csv").windows
    assert (window.rule, window.verdict, window.note) == ("flood", "wrong", "fog")
    assert main(words) == 0
    assert "F.mcap: 2026-05-29 04:27:00 to 2026-05-29 04:27:59" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "noon"], "--from: found 'noon'"),
        (["--from", "14:00", "--to", "2020-01-01"], "--to: found 2020-01-01, which is not after --from"),
        (["--from", "14:00", "--last", "2h"], "either --from or --last"),
    ],
)
def test_a_span_that_cannot_be_is_told(
    state: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--state", str(state), "-o", str(tmp_path / "F.mcap"), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_state_folder_without_a_recording_and_none_at_all_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", "--state", str(tmp_path), "-o", str(tmp_path / "F.mcap")]) == 1
    assert "found no recording at" in capsys.readouterr().err
    assert main(["record", "-o", str(tmp_path / "F.mcap")]) == 2
    assert "give either a configuration or --state DIR" in capsys.readouterr().err


def test_holes_checkpoints_and_channels_beside_go_along(tmp_path: Path, ring: Recording) -> None:
    """Given a recording with a hole, a checkpoint behind it and a video channel, its export has all of them."""
    video = Beside("/camera/crossing/video", "foxglove.CompressedVideo", "protobuf", b"described", "protobuf")
    parts = [piece for piece in ring.pieces(most=50) if isinstance(piece, Part)]
    [begin, *_] = (piece for piece in ring.pieces() if isinstance(piece, Begin))
    about: About = begin.about
    first = begin.checkpoint
    assert first is not None
    writer = FileWriter(tmp_path / "holed.mcap", about, first)
    writer.inputs(parts[0].cut)
    missing, after = parts[1].cut, parts[2].cut
    times = (int(missing.admitted_ns[0]), int(after.admitted_ns[0]))
    writer.gap(Gap(missing.n0, after.n0, *times, "the disk was full"))
    writer.checkpoint(Checkpoint(after.n0, times[1], int(after.elapsed_ns[0]), 1, None))
    writer.inputs(after)
    writer.beside(video, times[1], b"packet")
    writer.checkpoint(Checkpoint(parts[3].cut.n0, times[1], int(after.elapsed_ns[-1]), 1, None))
    writer.inputs(parts[3].cut)
    writer.close()
    holed = Recording.open([tmp_path / "holed.mcap"])

    done = export(holed, tmp_path / "again.mcap")

    again = Recording.open(done.files)
    assert len(done.files) == 1
    assert done.holes == [f"inputs {missing.n0} to {after.n0 - 1} are missing: the disk was full"]
    assert [type(piece) for piece in again.pieces()] == [type(piece) for piece in holed.pieces()]
    assert _inputs(again.pieces()) == _inputs(holed.pieces())
    assert [*again.messages("/camera/crossing/video")] == [(times[1], b"packet")]
    with (tmp_path / "again.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    [schema] = [one for one in summary.schemas.values() if one.name == "foxglove.CompressedVideo"]
    assert (schema.encoding, schema.data) == ("protobuf", b"described")
    late = int(parts[3].cut.admitted_ns[-1])
    start = next(piece for piece in again.pieces(late) if isinstance(piece, Begin))
    assert start.checkpoint is not None
    assert start.checkpoint.n == parts[3].cut.n0  # reading may start at the later checkpoint
    twice = export(again, tmp_path / "twice.mcap")
    assert twice.beside == done.beside  # an export of an export has its readable records once
