"""Files of one gateway are read in the order they were written, and what is missing or came twice is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from mcap.reader import make_reader

from gateway.config.load import loads
from gateway.errors import RecordingError
from gateway.events import Cut, Message
from gateway.exchange import recorded
from gateway.exchange.given import Findings, Given
from gateway.recording.beside import Beside
from gateway.recording.parts import Begin, Gap, Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.registry import registry
from tests.recording.made import ABOUT, NOTHING, NS, T0, about, begins, cut, gaps, numbers, read, state, write

if TYPE_CHECKING:
    from pathlib import Path


def at(n: int) -> int:
    """When input n was admitted."""
    return T0 + n * NS // 10


def test_a_file_gives_what_was_written(tmp_path: Path) -> None:
    """One Begin with the first checkpoint, then all inputs; small cuts come joined."""
    pieces = read(write(tmp_path / "a.mcap", 0, 200))
    assert pieces[0] == Begin(ABOUT, NOTHING, "")
    assert numbers(pieces) == list(range(200))
    assert len(pieces) == 2


def test_cuts_have_at_most_so_many_inputs(tmp_path: Path) -> None:
    pieces = read(write(tmp_path / "a.mcap", 0, 200, each=70), most=30)
    assert numbers(pieces) == list(range(200))
    assert [len(piece.cut.inputs) for piece in pieces if isinstance(piece, Part)] == [30, 30, 30, 30, 30, 30, 20]


def test_progress_ends_at_the_size_of_the_recording(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.mcap", 0, 100), write(tmp_path / "b.mcap", 100, 200, said=about(began_ns=T0 + NS))]
    recording = Recording.open(files)
    done = [piece.done_bytes for piece in recording.pieces(most=10) if isinstance(piece, Part)]
    assert done == sorted(done)
    assert recording.files[0].bytes < done[-1] <= recording.bytes == sum(path.stat().st_size for path in files)


def test_files_are_put_in_order_and_carry_the_state_over(tmp_path: Path) -> None:
    """Given in the wrong order, by names that say nothing: one Begin, since nothing changed between them."""
    b = write(tmp_path / "a.mcap", 100, 200, said=about(began_ns=T0 + NS))
    a = write(tmp_path / "b.mcap", 0, 100)
    pieces = read(b, a)
    assert numbers(pieces) == list(range(200))
    assert [begin.why for begin in begins(pieces)] == [""]


def test_a_ring_is_in_order_whatever_the_clock_said(tmp_path: Path) -> None:
    """The second start thought it was 1970."""
    a = write(tmp_path / "b.mcap", 0, 100, said=about(serial=8))
    b = write(tmp_path / "a.mcap", 90, 200, said=about(serial=9, began_ns=5))
    assert numbers(read(a, b)) == list(range(200))
    assert [file.about.serial for file in Recording.open([b, a]).files] == [8, 9]


def test_another_configuration_begins_with_the_state_carried_over(tmp_path: Path) -> None:
    changed = about(began_ns=T0 + NS, config_sha="c2", config="gateway: lg-1\nrules: {}\n")
    pieces = read(write(tmp_path / "a.mcap", 0, 100), write(tmp_path / "b.mcap", 100, 200, said=changed))
    assert begins(pieces) == [Begin(ABOUT, NOTHING, ""), Begin(changed, None, "restart")]
    assert numbers(pieces) == list(range(200))
    assert pieces.index(begins(pieces)[1]) == 2


def test_what_a_crash_took_counts_once(tmp_path: Path) -> None:
    """The outbox had durable what was before 85 only: the inputs from there came again, and were others."""
    a = write(tmp_path / "a.mcap", 0, 100, closed=False)
    b = write(tmp_path / "b.mcap", 85, 150, said=about(began_ns=T0 + NS), late_ns=3600 * NS)
    pieces = read(a, b)
    assert numbers(pieces) == list(range(150))
    assert not gaps(pieces)
    stamps = np.concatenate([piece.cut.admitted_ns for piece in pieces if isinstance(piece, Part)])
    assert stamps.tolist() == [at(n) + (3600 * NS if n >= 85 else 0) for n in range(150)]
    assert [begin.why for begin in begins(pieces)] == [""]


def test_a_start_that_crashed_at_once_counts_for_nothing(tmp_path: Path) -> None:
    """Three starts from the same durable input: only the last one's inputs count."""
    files = [write(tmp_path / "a.mcap", 0, 100, closed=False)]
    files += [
        write(tmp_path / f"{i}.mcap", 80, end, said=about(began_ns=T0 + i), closed=False)
        for i, end in enumerate((90, 85, 120), 1)
    ]
    pieces = read(*files)
    assert numbers(pieces) == list(range(120))
    assert not gaps(pieces)


def test_a_hole_between_files_is_said_and_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    a = write(tmp_path / "a.mcap", 0, 100)
    b = write(tmp_path / "b.mcap", 140, 200, said=about(began_ns=T0 + NS))
    pieces = read(a, b)
    why = "no file given holds 100 to 139; a gateway that is killed loses its last 5 s"
    assert gaps(pieces) == [Gap(100, 140, at(99), at(139), why)]
    assert begins(pieces)[1] == Begin(about(began_ns=T0 + NS), state(140), f"hole: {why}")
    assert numbers(pieces) == [*range(100), *range(140, 200)]


def test_a_gap_that_was_recorded_is_given_with_its_reason(tmp_path: Path) -> None:
    with_gap = FileWriter(tmp_path / "a.mcap", ABOUT, NOTHING)
    with_gap.inputs(cut(0))
    with_gap.gap(Gap(10, 50, at(10), at(49), "the disk is too slow"))
    with_gap.checkpoint(state(50))
    with_gap.inputs(cut(50))
    with_gap.close()
    pieces = read(tmp_path / "a.mcap")
    assert gaps(pieces) == [Gap(10, 50, at(9), at(49), "the disk is too slow")]
    assert begins(pieces)[1].why == "hole: the disk is too slow"
    assert numbers(pieces) == [*range(10), *range(50, 60)]


def test_a_file_that_begins_behind_a_hole_says_why(tmp_path: Path) -> None:
    a = write(tmp_path / "a.mcap", 0, 10)
    FileWriter(tmp_path / "b.mcap", about(began_ns=T0 + 1), state(30), hole="no room").close()
    FileWriter(tmp_path / "c.mcap", about(began_ns=T0 + 2), state(50), hole="no room").close()
    assert [gap.why for gap in gaps(read(a, tmp_path / "b.mcap", tmp_path / "c.mcap"))] == ["no room", "no room"]


def test_another_epoch_begins_from_its_own_checkpoint(tmp_path: Path) -> None:
    """The disk was replaced: numbers begin again, and so does everything."""
    new = about(epoch="e2", began_ns=T0 + NS)
    pieces = read(write(tmp_path / "b.mcap", 0, 50, said=new), write(tmp_path / "a.mcap", 0, 100))
    assert [begin.about.epoch for begin in begins(pieces)] == ["e1", "e2"]
    assert begins(pieces)[1].checkpoint == NOTHING
    assert begins(pieces)[1].why.startswith("epoch: ")
    assert numbers(pieces) == [*range(100), *range(50)]
    assert not gaps(pieces)


def test_a_span_begins_at_the_checkpoint_before_it(tmp_path: Path) -> None:
    """Inputs between the checkpoint and the wanted time are given: the state at that time follows from them."""
    a = write(tmp_path / "a.mcap", 0, 100, at=(30, 60))
    b = write(tmp_path / "b.mcap", 100, 200, at=(150,), said=about(began_ns=T0 + NS))
    for from_n, begin in ((0, 0), (29, 30), (30, 30), (59, 60), (75, 60), (99, 100), (149, 150), (199, 150)):
        pieces = read(a, b, from_ns=at(from_n))
        assert begins(pieces) == [Begin(ABOUT if begin < 100 else about(began_ns=T0 + NS), pieces[0].checkpoint, "")]
        assert numbers(pieces) == list(range(begin, 200)), from_n


def test_a_span_from_before_the_beginning_begins_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", 50, 100)
    pieces = read(path, from_ns=at(3))
    assert pieces[0].checkpoint == state(50)
    assert numbers(pieces) == list(range(50, 100))


def test_a_span_ends_before_its_end(tmp_path: Path) -> None:
    a = write(tmp_path / "a.mcap", 0, 100)
    b = write(tmp_path / "b.mcap", 100, 200, said=about(began_ns=T0 + NS))
    assert numbers(read(a, b, to_ns=at(37))) == list(range(37))
    assert numbers(read(a, b, to_ns=at(100))) == list(range(100))
    assert numbers(read(a, b, to_ns=at(101))) == list(range(101))


def test_a_chunk_that_holds_something_older_is_not_begun_at(tmp_path: Path) -> None:
    """An alert became durable, or a packet was taken, before the state that stands beside it."""
    writer = FileWriter(tmp_path / "a.mcap", ABOUT, NOTHING)
    writer.inputs(cut(0, 50))
    writer.checkpoint(state(50))
    writer.alert(b"{}", at(10))
    writer.inputs(cut(50, 50))
    writer.close()
    assert numbers(read(tmp_path / "a.mcap", from_ns=at(30))) == list(range(100))


def test_a_chunk_that_stands_twice_counts_once(tmp_path: Path) -> None:
    """A disk gave a block again."""
    data = write(tmp_path / "a.mcap", 0, 50, closed=False).read_bytes()
    second = Recording.open([tmp_path / "a.mcap"]).files[0].scanned.chunks[2]
    end = second.at + second.length
    (tmp_path / "a.mcap").write_bytes(data[:end] + data[second.at :])
    assert numbers(read(tmp_path / "a.mcap")) == list(range(50))


def test_a_span_starts_from_a_checkpoint_that_counts(tmp_path: Path) -> None:
    """The one at 90 went with the crash: what counts before input 95 is the one after the restart."""
    a = write(tmp_path / "a.mcap", 0, 100, at=(50, 90), closed=False)
    b = write(tmp_path / "b.mcap", 80, 200, said=about(began_ns=T0 + NS))
    pieces = read(a, b, from_ns=at(95))
    assert pieces[0].checkpoint == state(80)
    assert numbers(pieces) == list(range(80, 200))


def test_a_clock_that_ran_backwards_ends_a_span_at_its_first_passing(tmp_path: Path) -> None:
    """Stamps are what the door saw, in the order of admission; a search for the latest would miss the rest."""
    writer = FileWriter(tmp_path / "a.mcap", ABOUT, NOTHING)
    for n0, back in ((0, 0), (10, 0), (20, 15), (30, 15)):
        one = cut(n0)
        writer.inputs(Cut(n0, one.inputs, one.admitted_ns - back * NS // 10, one.elapsed_ns))
        writer.flush()
    writer.close()
    assert numbers(read(tmp_path / "a.mcap")) == list(range(40))
    assert numbers(read(tmp_path / "a.mcap", to_ns=at(15))) == list(range(15))


def test_alerts_and_channels_beside_are_read_by_their_topic(tmp_path: Path) -> None:
    video = Beside("/camera/gate/video", "foxglove.CompressedVideo", "protobuf", b"schema", "protobuf")
    writer = FileWriter(tmp_path / "a.mcap", ABOUT, NOTHING)
    for i in range(5):
        writer.inputs(cut(i * 10))
        writer.alert(b'{"seq":%d}' % i, at(i * 10))
        writer.beside(video, at(i * 10), b"packet %d" % i)
        writer.flush()
    writer.close()
    recording = Recording.open([tmp_path / "a.mcap"])
    assert list(recording.alerts()) == [b'{"seq":%d}' % i for i in range(5)]
    assert list(recording.alerts(at(10), at(30))) == [b'{"seq":1}', b'{"seq":2}']
    assert list(recording.messages(video.topic, from_ns=at(30))) == [(at(30), b"packet 3"), (at(40), b"packet 4")]
    assert list(recording.messages("/camera/other/video")) == []
    assert numbers(recording.pieces()) == list(range(50))


def test_a_file_that_was_not_closed_is_read_the_same(tmp_path: Path) -> None:
    """As after kill -9: no summary; chunks are found by their lengths."""
    closed = write(tmp_path / "a.mcap", 0, 200, at=(100,))
    left = write(tmp_path / "b.mcap", 0, 200, at=(100,), closed=False)
    assert left.stat().st_size < closed.stat().st_size
    one, other = Recording.open([closed]), Recording.open([left])
    assert [*one.pieces(most=10)][1].cut.inputs == [*other.pieces(most=10)][1].cut.inputs
    assert numbers(other.pieces()) == list(range(200))
    assert numbers(other.pieces(at(150))) == list(range(100, 200))
    for name in ("first_n", "last_n", "first_ns", "last_ns", "damage", "about"):
        assert getattr(one.files[0], name) == getattr(other.files[0], name)


def test_other_programs_read_it(tmp_path: Path) -> None:
    """The mcap library, which Foxglove's people write, finds every message and every checksum right."""
    path = write(tmp_path / "a.mcap", 0, 200, at=(100,))
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == 22
        topics = [channel.topic for _, channel, _ in reader.iter_messages()]
        assert topics.count("/zhiwang/inputs") == 20
        assert {attachment.name for attachment in reader.iter_attachments()} == {"configuration.yaml", "models.json"}
        assert reader.get_header().profile == "zhiwang"


def test_recordings_of_several_gateways_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.mcap", 0, 10)
    b = write(tmp_path / "b.mcap", 0, 10, said=about(gateway="lg-2"))
    with pytest.raises(RecordingError, match=r"several gateways \(lg-1, lg-2\)"):
        Recording.open([a, b])


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.mcap", 0, 100)
    write(tmp_path / "b.mcap", 100, 200, said=about(began_ns=T0 + NS))
    assert numbers(Recording.open([tmp_path]).pieces()) == list(range(200))
    with pytest.raises(RecordingError, match="found no recording in"):
        Recording.open([tmp_path / "nothing"]) if (tmp_path / "nothing").mkdir() is None else None


@pytest.mark.parametrize("name", ["a-cut.mcap", "the-cut.mcap"])
def test_a_cut_beside_its_day_takes_nothing_from_it(tmp_path: Path, name: str) -> None:
    """Given a part of it in a file of its own, then the day is read whole, and the part left out, which is said."""
    day = write(tmp_path / "day.mcap", 0, 200)
    part = write(tmp_path / name, 50, 100, said=about(made="cut", began_ns=T0 + NS))
    recording = Recording.open([tmp_path])
    assert numbers(recording.pieces()) == list(range(200))
    assert recording.damage == (f"{part} is left out: {day} holds all of it",)


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    day = write(tmp_path / "day.mcap", 0, 20)
    assert numbers(read(day, day, tmp_path)) == list(range(20))


def test_imports_of_two_sensors_from_one_moment_on_are_two_streams(tmp_path: Path) -> None:
    """Given a configuration's readings in two imports that begin together, then neither stands in for the other."""
    text = """\
gateway: g
brokers: {here: {url: "mqtt://127.0.0.1"}}
sensors:
  water: {mqtt: here, topic: water, plain: level, units: {level: m}}
  air: {mqtt: here, topic: air, plain: rh, units: {rh: "%"}}
"""
    config = loads(text, tmp_path, registry())
    for topic in ("water", "air"):
        given = [Given(T0 + n * NS, Message("here", topic, b"1")) for n in range(20)]
        recorded.write(tmp_path / f"{topic}.mcap", given, config, text, Findings())
    parts = [piece for piece in Recording.open([tmp_path]).pieces() if isinstance(piece, Part)]
    topics = [one.topic for part in parts for one in part.cut.inputs if isinstance(one, Message)]
    assert sorted(topics) == ["air"] * 20 + ["water"] * 20


def test_a_file_removed_meanwhile_is_a_hole(tmp_path: Path) -> None:
    """The ring lets its oldest files go while someone exports."""
    a = write(tmp_path / "a.mcap", 0, 100)
    write(tmp_path / "b.mcap", 100, 200, said=about(began_ns=T0 + NS))
    recording = Recording.open([tmp_path])
    a.unlink()
    assert numbers(recording.pieces()) == list(range(100, 200))
    assert "No such file" in recording.files[0].damage[0]
