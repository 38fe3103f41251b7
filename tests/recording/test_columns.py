"""A cut comes back from its bytes as it was, whatever it held."""

from __future__ import annotations

import struct
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RecordingError
from gateway.events import (
    ClockStep,
    Command,
    Configured,
    Cut,
    Detections,
    Evidence,
    Health,
    Input,
    Looked,
    Message,
    Restart,
    Tick,
    Verb,
    Why,
)
from gateway.recording import columns
from tests.recording.made import cut

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=12)
PROPERTIES = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["here", "away"]),
    TEXT,
    st.binary(max_size=40),
    st.integers(0, 2),
    st.booleans(),
    st.booleans(),
    st.none() | INT64,
    PROPERTIES,
    st.integers(0, 65_535),
)


@st.composite
def detections(draw: st.DrawFn) -> Detections:
    """Boxes of a frame, any floats among them."""
    n = draw(st.integers(0, 5))
    floats = st.floats(width=32)
    return Detections(
        draw(TEXT),
        draw(INT64),
        draw(INT64),
        draw(st.integers(0, 10_000)),
        draw(st.integers(0, 10_000)),
        np.array(draw(st.lists(floats, min_size=4 * n, max_size=4 * n)), np.float32).reshape(n, 4),
        np.array(draw(st.lists(floats, min_size=n, max_size=n)), np.float32),
        np.array(draw(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=n, max_size=n)), np.int16),
    )


OTHERS = st.one_of(
    detections(),
    st.builds(Looked, TEXT, INT64, INT64, st.sampled_from(get_args(Why))),
    st.builds(Health, TEXT, TEXT, st.booleans(), TEXT),
    st.builds(Evidence, TEXT, TEXT, TEXT, TEXT),
    st.builds(
        Command,
        TEXT,
        TEXT,
        st.sampled_from(get_args(Verb)),
        TEXT,
        TEXT,
        st.none() | INT64,
        st.none() | INT64,
        TEXT,
    ),
    st.just(Tick()),
    st.builds(ClockStep, INT64, INT64),
    st.builds(Configured, TEXT, TEXT),
    st.builds(Restart, TEXT, TEXT, INT64),
)


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Any inputs in any order, with any stamps."""
    inputs = draw(st.lists(MESSAGES | OTHERS, max_size=20))
    stamps = st.lists(INT64, min_size=len(inputs), max_size=len(inputs)) | INT64.map(lambda at: [at] * len(inputs))
    return Cut(draw(st.integers(0, 2**62)), inputs, np.array(draw(stamps), np.int64), np.array(draw(stamps), np.int64))


def plain(one: object) -> object:
    """An input as something that compares, arrays with their type and every bit."""
    if not isinstance(one, Detections):
        return one
    values: list[Any] = [getattr(one, name) for name in one.__struct_fields__]
    return [(v.dtype.str, v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values]


@given(cuts())
def test_a_cut_comes_back_as_it_was(given: Cut) -> None:
    """Every kind of input, with every field; stamps as int64; arrays read-only, as the engine hands them over."""
    found = columns.decode(columns.encode(given))
    assert found.n0 == given.n0
    assert [plain(one) for one in found.inputs] == [plain(one) for one in given.inputs]
    assert [type(one) for one in found.inputs] == [type(one) for one in given.inputs]
    for name in ("admitted_ns", "elapsed_ns"):
        assert getattr(found, name).dtype == np.int64
        assert np.array_equal(getattr(found, name), getattr(given, name))
    for one in found.inputs:
        assert not isinstance(one, Detections) or not one.xyxy.flags.writeable


def test_every_input_there_is_can_be_stored() -> None:
    """Whoever adds a kind, or a field that is none of msgpack's, learns here where it is written."""
    assert {*get_args(Input)} == {Message, Detections, *get_args(columns._Other)} - {columns._Seen}
    assert Detections.__struct_fields__ == columns._Seen.__struct_fields__[:-1]
    assert {*Message.__struct_fields__} == {*columns._Envelope.__struct_fields__, "body", "event_ns", "packet_id"}


@given(st.lists(MESSAGES, max_size=30), st.integers(0, 30))
def test_joined_cuts_are_the_cut_they_were_parts_of(messages: list[Message], at: int) -> None:
    stamps = np.arange(len(messages), dtype=np.int64)
    whole = Cut(7, list(messages), stamps, stamps)
    parts = [columns.part_of(whole, 0, at), columns.part_of(whole, at, len(messages))]
    again = columns.joined([part for part in parts if part.inputs] or [whole])
    assert (again.n0, again.inputs) == (whole.n0, whole.inputs)
    assert np.array_equal(again.admitted_ns, whole.admitted_ns)


def test_what_a_record_holds_is_known_without_decoding_it() -> None:
    given = cut(30, 20)
    assert columns.span(columns.encode(given)) == (30, 50, given.admitted_ns[0], given.admitted_ns[-1])


@given(st.binary(max_size=80))
def test_bytes_that_are_no_cut_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(RecordingError):
        columns.decode(data)


@given(cuts(), st.data())
def test_a_cut_with_a_byte_changed_is_refused_or_read(given: Cut, data: st.DataObject) -> None:
    """The chunk's checksum finds it; should it not, nothing but RecordingError comes of it."""
    encoded = bytearray(columns.encode(given))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        columns.decode(bytes(encoded))
    except RecordingError:
        return


def plain_reader(data: bytes) -> tuple[int, list[object]]:
    """Inputs by docs/recording-format.md alone: the first number, and [source, topic, body] or the tag of each."""
    _, length, n0, count, _, _ = struct.unpack_from("<BIqIqq", data)
    at = struct.calcsize("<BIqIqq")
    head = msgspec.msgpack.decode(data[at : at + length])
    at += length

    def column(stored: int | bytes, n: int) -> list[int]:
        if isinstance(stored, int):
            return [stored] * n
        if not stored:
            return []
        width, rest = stored[0] & 15, stored[1:]
        if stored[0] & 16:
            return [int.from_bytes(rest[i : i + width], "little", signed=True) for i in range(0, len(rest), width)]
        values = [int.from_bytes(rest[:8], "little", signed=True)]
        for i in range(8, len(rest), width or 1):
            values.append(values[-1] + int.from_bytes(rest[i : i + width], "little", signed=True))
        return values

    inputs: list[object] = [None] * count
    for place, other in zip(column(head[8], len(head[9])), head[9], strict=True):
        inputs[place] = other[0]
    places = [i for i, one in enumerate(inputs) if one is None]
    envelopes, lengths = column(head[3], len(places)), column(head[4], len(places))
    for place, which, size in zip(places, envelopes, lengths, strict=True):
        inputs[place] = [*head[2][which][:2], data[at : at + size]]
        at += size
    return n0, inputs


def test_the_format_is_as_its_page_says() -> None:
    given = cut(30, 200)
    n0, inputs = plain_reader(columns.encode(given))
    assert n0 == 30
    assert inputs == [[m.source, m.topic, m.body] if isinstance(m, Message) else "tick" for m in given.inputs]
