"""A damaged recording gives everything that is good in it, nothing else, and says what was not."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.records import Metadata
from mcap.writer import Writer

from gateway.errors import RecordingError
from gateway.recording import described, mcap_records
from gateway.recording.parts import SCHEMA, Part
from gateway.recording.reader import Recording
from gateway.recording.scan import scan
from tests.recording.made import ABOUT, NOTHING, about, begins, gaps, numbers, read, state, write

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.recording.parts import Piece

ALL = list(range(60))


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """A small file of 60 inputs in six chunks, a checkpoint before input 40, closed."""
    return write(tmp_path / "whole.mcap", 0, 60, at=(40,)).read_bytes()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a damaged one is put."""
    return tmp_path / "damaged.mcap"


def pieces_of(path: Path, data: bytes) -> tuple[Recording, list[Piece]] | None:
    """What is read of these bytes; None where they are refused, by RecordingError and no other."""
    path.write_bytes(data)
    try:
        recording = Recording.open([path])
        return recording, list(recording.pieces(whole=True))
    except RecordingError:
        return None


def test_cut_off_at_any_byte_it_gives_the_chunks_before(tmp_path: Path, whole: bytes, file: Path) -> None:
    """A power cut may leave any length."""
    chunks = scan(tmp_path / "whole.mcap").chunks
    ends = [chunk.at + chunk.length for chunk in chunks]
    first = None
    for size in range(len(whole)):
        found = pieces_of(file, whole[:size])
        if found is None:
            assert size < ends[0]
            continue
        first = first or size
        recording, pieces = found
        complete = sum(end <= size for end in ends[1:])  # the first has but a checkpoint
        assert numbers(pieces) == ALL[: complete * 10], size
        assert not gaps(pieces)
        if any(chunk.at < size < chunk.at + chunk.length for chunk in chunks):
            assert "it ends in the middle of a record" in recording.files[0].damage[0]
    assert first is not None
    assert first < 600  # with its description alone it is a recording, of nothing yet


@pytest.mark.parametrize(("closed", "wrong"), [(True, 0x11), (False, 0x01)], ids=["closed", "killed"])
def test_with_a_byte_wrong_it_gives_all_other_chunks(tmp_path: Path, file: Path, closed: bool, wrong: int) -> None:
    """At most the inputs of the one chunk that was hit are missing, and then that is said."""
    whole = write(tmp_path / "whole.mcap", 0, 60, at=(40,), closed=closed).read_bytes()
    for place in range(0, len(whole), 3):
        data = bytearray(whole)
        data[place] ^= wrong
        found = pieces_of(file, bytes(data))
        if found is None:
            assert place < len(mcap_records.MAGIC)
            continue
        recording, pieces = found
        missing = sorted({*ALL} - {*numbers(pieces)})
        assert len(numbers(pieces)) == len({*numbers(pieces)})
        assert len(missing) in {0, 10}, place
        assert all(after - before == 1 for before, after in pairwise(missing))
        if missing:
            assert recording.files[0].damage
            said = [(gap.from_n, gap.to_n) for gap in gaps(pieces)]
            unknown = missing[0] == 0 or (missing[-1] == ALL[-1] and not closed)  # that they ever were
            assert said == [(missing[0], missing[-1] + 1)] or unknown


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_however_it_is_damaged_nothing_comes_that_was_not_written(
    whole: bytes, file: Path, data: st.DataObject
) -> None:
    """Bytes changed, taken out, put in and doubled."""
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        end = min(len(damaged), at + data.draw(st.integers(0, 300)))
        how = data.draw(st.sampled_from(["change", "cut", "put", "double"]))
        if how == "cut":
            del damaged[at:end]
        elif how == "double":
            damaged[at:at] = damaged[at:end]
        else:
            junk = data.draw(st.binary(min_size=1, max_size=40))
            damaged[at : at + (len(junk) if how == "change" else 0)] = junk
    found = pieces_of(file, bytes(damaged))
    if found is not None:
        given = numbers(found[1])  # which compares each with what was written
        assert given == sorted({*given})


def test_behind_a_damaged_chunk_it_goes_on_at_the_next_checkpoint(whole: bytes, file: Path, tmp_path: Path) -> None:
    """The state of inputs 20 to 39 is not known: a replay leaves them out, and says so."""
    damaged = bytearray(whole)
    damaged[scan(tmp_path / "whole.mcap").chunks[2].at + 60] ^= 1
    file.write_bytes(damaged)
    recording = Recording.open([file])
    pieces = list(recording.pieces())
    assert numbers(pieces) == [*range(10), *range(40, 60)]
    assert [(gap.from_n, gap.to_n) for gap in gaps(pieces)] == [(10, 40)]
    assert begins(pieces)[1].checkpoint == state(40)
    assert "is damaged" in begins(pieces)[1].why
    assert begins(pieces)[1].why.startswith("hole: ")
    assert recording.files[0].damage == (begins(pieces)[1].why.removeprefix("hole: "),)
    assert numbers(recording.pieces(whole=True)) == [*range(10), *range(20, 60)]


def test_where_no_checkpoint_follows_it_goes_on_with_nothing_known(whole: bytes, file: Path, tmp_path: Path) -> None:
    damaged = bytearray(whole)
    damaged[scan(tmp_path / "whole.mcap").chunks[5].at + 60] ^= 1
    file.write_bytes(damaged)
    pieces = read(file)
    assert numbers(pieces) == [*range(40), *range(50, 60)]
    begin = begins(pieces)[1]
    assert begin.checkpoint is not None
    assert (begin.checkpoint.n, begin.checkpoint.state) == (50, None)
    assert "no checkpoint comes after it" in begin.why


def test_what_is_missing_at_the_end_is_a_gap(whole: bytes, file: Path, tmp_path: Path) -> None:
    damaged = bytearray(whole)
    damaged[scan(tmp_path / "whole.mcap").chunks[-1].at + 60] ^= 1
    file.write_bytes(damaged)
    pieces = read(file)
    assert numbers(pieces) == list(range(50))
    assert [(gap.from_n, gap.to_n) for gap in gaps(pieces)] == [(50, 60)]


def test_a_damaged_checkpoint_between_files_changes_nothing(tmp_path: Path, file: Path) -> None:
    """The state is carried over; the checkpoint was for who begins there."""
    data = bytearray(write(file, 60, 90, said=about(began_ns=ABOUT.began_ns + 1)).read_bytes())
    data[scan(file).chunks[0].at + 60] ^= 1
    file.write_bytes(data)
    pieces = read(write(tmp_path / "a.mcap", 0, 60), file)
    assert numbers(pieces) == list(range(90))
    assert len(begins(pieces)) == 1


def test_an_empty_file_is_refused(file: Path) -> None:
    file.touch()
    with pytest.raises(RecordingError, match="the file is empty"):
        Recording.open([file])


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        Recording.open([file])


def test_a_file_that_is_no_mcap_is_refused(file: Path) -> None:
    file.write_text('{"topic": "air/1/up"}\n')
    with pytest.raises(RecordingError, match="no MCAP file"):
        Recording.open([file])


def test_somebody_elses_mcap_is_refused_with_what_to_do(file: Path) -> None:
    with file.open("wb") as stream:
        writer = Writer(stream)
        writer.start("ros2")
        writer.finish()
    with pytest.raises(RecordingError, match=r"profile 'ros2'; a recording has profile 'zhiwang': `zhiwang import`"):
        Recording.open([file])


def test_a_newer_schema_is_refused_with_what_to_upgrade(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later version will write it."""
    monkeypatch.setattr(described, "SCHEMA", SCHEMA + 1)
    write(file, 0, 10, said=about(version="0.9.0"))
    monkeypatch.undo()
    with pytest.raises(RecordingError, match=r"schema 2, written by zhiwang 0.9.0; .* up to 1: upgrade"):
        Recording.open([file])


def test_in_a_folder_what_cannot_be_read_is_left_out_and_said(tmp_path: Path) -> None:
    """A ring may hold a file that a power cut emptied."""
    write(tmp_path / "a.mcap", 0, 10)
    (tmp_path / "b.mcap").touch()
    recording = Recording.open([tmp_path])
    assert numbers(recording.pieces()) == list(range(10))
    assert recording.damage == (f"{tmp_path / 'b.mcap'}: {recording.damage[0].partition(': ')[2]}",)
    assert "empty" in recording.damage[0]


def test_a_damaged_configuration_is_said(file: Path) -> None:
    data = bytearray(write(file, 0, 10, said=about(config="gateway: lg-1 # long enough\n")).read_bytes())
    data[data.index(b"# long enough")] ^= 1
    file.write_bytes(data)
    recording = Recording.open([file])
    assert recording.files[0].about.config == ""
    assert any("--config" in damage for damage in recording.files[0].damage)
    assert numbers(recording.pieces()) == list(range(10))


def test_a_recording_of_nothing_gives_nothing(file: Path) -> None:
    pieces = read(write(file, 0, 0))
    assert [begin.checkpoint for begin in begins(pieces)] == [NOTHING]
    assert not [piece for piece in pieces if isinstance(piece, Part)]


def test_a_description_of_one_schema_is_read_by_its_checksum() -> None:
    """A bit of the gateway's name turned over is no other gateway."""
    record, _ = described.described(ABOUT, NOTHING, "")
    assert isinstance(record, Metadata)
    found = described.head_of(record.metadata)
    assert found is not None
    assert msgspec.structs.replace(found.about, config=ABOUT.config) == ABOUT
    assert described.head_of({**record.metadata, "gateway": "lg-2"}) is None
