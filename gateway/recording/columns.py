"""A Cut as bytes and back, exactly: messages as columns beside one another, all other inputs as msgpack.

Layout: SPAN (struct, little-endian), a msgpack head of that length, then the messages' bodies, joined.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from gateway.errors import RecordingError
from gateway.events import (
    ClockStep,
    Command,
    Configured,
    Cut,
    Detections,
    Evidence,
    Health,
    Looked,
    Message,
    Restart,
    Tick,
)

K = TypeVar("K", bound=Hashable)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.events import Input

ENCODING = "zhiwang.columns"  # MCAP's message_encoding of /zhiwang/inputs
_SPAN = struct.Struct("<BIqIqq")  # version, head's length, n0, inputs, admitted_ns of the first and of the last
_VERSION = 1
AT_MOST = 1 << 20  # inputs in a record: what more claims to be is damage
_ARRAYS = {"xyxy": np.dtype("<f4"), "score": np.dtype("<f4"), "label": np.dtype("<i2")}


class Span(NamedTuple):
    """Which inputs an encoded cut holds, without decoding it: [n0, n1), stamps of the first and the last."""

    n0: int
    n1: int
    first_ns: int
    last_ns: int


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    """What messages of one topic have in common."""

    source: str
    topic: str
    qos: int
    retain: bool
    duplicate: bool
    properties: tuple[tuple[str, str], ...]


class _Seen(msgspec.Struct, array_like=True, frozen=True, tag="seen"):
    """Detections with their arrays as bytes (float32, float32, int16, little-endian).

    `planes`: all numbers' first bytes, then their second …: so packed, boxes are a quarter smaller.
    """

    camera: str
    frame: int
    event_ns: int
    width_px: int
    height_px: int
    xyxy: bytes
    score: bytes
    label: bytes
    planes: bool = False


_Other = _Seen | Looked | Health | Evidence | Command | Tick | ClockStep | Configured | Restart
_Ints = int | bytes  # all the same; or a code, a first value and the rest in the narrowest type that holds it


class _Head(msgspec.Struct, array_like=True, frozen=True):
    """Columns, one value a message: envelope (index), length of body, packet id; event_ns where one is stated.

    `places` are those of the inputs that are no messages, which stand in `others`.
    """

    admitted_ns: _Ints
    elapsed_ns: _Ints
    envelopes: list[_Envelope]
    envelope: _Ints
    length: _Ints
    packet_id: _Ints
    event_places: _Ints
    event_ns: _Ints
    places: _Ints
    others: list[_Other]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Head)


def encode(cut: Cut) -> bytes:
    """The bytes that `decode` makes the same cut of.

    At most AT_MOST inputs. Raises OverflowError, UnicodeEncodeError or TypeError for what no transport can have sent:
    numbers beyond 64 bits, text that is no Unicode.
    """
    inputs = cut.inputs
    messages = [one for one in inputs if type(one) is Message]
    places: list[int] = []
    others: list[_Other] = []
    if len(messages) != len(inputs):
        places = [i for i, one in enumerate(inputs) if type(one) is not Message]
        others = [_stored(inputs[i]) for i in places]
    bodies = [m.body for m in messages]
    envelopes, which = _enveloped(messages)
    events = [m.event_ns for m in messages]
    stated = [] if events.count(None) == len(events) else [i for i, at in enumerate(events) if at is not None]
    head = _encoder.encode(
        _Head(
            _ints(cut.admitted_ns),
            _ints(cut.elapsed_ns),
            envelopes,
            _ints(which),
            _ints(list(map(len, bodies))),
            _ints([m.packet_id for m in messages]),
            _ints(stated),
            _ints([events[i] for i in stated]),
            _ints(places),
            others,
        )
    )
    ends = (int(cut.admitted_ns[0]), int(cut.admitted_ns[-1])) if inputs else (0, 0)
    return b"".join([_SPAN.pack(_VERSION, len(head), cut.n0, len(inputs), *ends), head, *bodies])


def span(data: bytes | memoryview) -> Span:
    """Which inputs the encoded cut holds. Raises RecordingError where it is none."""
    if len(data) < _SPAN.size:
        raise RecordingError(f"found an input record of {len(data)} bytes; it begins with {_SPAN.size}")
    version, _, n0, count, first_ns, last_ns = _SPAN.unpack_from(data)
    if version != _VERSION:
        raise RecordingError(f"found columns of version {version}; this program reads version {_VERSION}")
    return Span(n0, n0 + count, first_ns, last_ns)


def decode(data: bytes) -> Cut:
    """The cut that was encoded. Raises RecordingError for bytes that `encode` did not make."""
    n0, n1, _, _ = span(data)
    begin = _SPAN.size + _SPAN.unpack_from(data)[1]
    count = n1 - n0
    if count > AT_MOST:
        raise RecordingError(f"found {count} inputs in one record; there are at most {AT_MOST}")
    try:
        head = _decoder.decode(memoryview(data)[_SPAN.size : begin])
        places = _several(head.places, len(head.others))
        messages = _messages(head, data, begin, count - len(places))
        inputs: list[Input] = messages if not head.others else _merged(messages, head.others, places.tolist(), count)
        return Cut(n0, inputs, _several(head.admitted_ns, count), _several(head.elapsed_ns, count))
    except (msgspec.MsgspecError, ValueError, IndexError, OverflowError, TypeError) as error:
        raise RecordingError(f"found inputs from {n0} on that cannot be read: {error}") from error


def _messages(head: _Head, data: bytes, begin: int, count: int) -> list[Any]:
    lengths = _several(head.length, count)
    ends = (begin + np.cumsum(lengths)).tolist()
    if count and (ends[-1] != len(data) or int(lengths.min()) < 0):
        raise ValueError(f"the bodies end at {ends[-1]}, the record at {len(data)}")
    starts = [begin, *ends][:count]
    envelopes = head.envelopes
    which = [envelopes[i] for i in _several(head.envelope, count).tolist()]
    packets = _several(head.packet_id, count).tolist()
    events: list[int | None] = [None] * count
    stated = _several(head.event_places, None)
    for place, at_ns in zip(stated.tolist(), _several(head.event_ns, len(stated)).tolist(), strict=True):
        events[place] = at_ns
    return [
        Message(e.source, e.topic, data[start:end], e.qos, e.retain, e.duplicate, at_ns, e.properties, packet)
        for e, start, end, at_ns, packet in zip(which, starts, ends, events, packets, strict=True)
    ]


def _merged(messages: list[Message], others: list[_Other], places: list[int], count: int) -> list[Input]:
    inputs: list[Input | None] = [None] * count
    if sorted({*places}) != places or not 0 <= places[0] <= places[-1] < count:
        raise ValueError("places that are none")
    for place, other in zip(places, others, strict=True):
        inputs[place] = _input(other)
    rest = iter(messages)
    return [next(rest) if one is None else one for one in inputs]


def _enveloped(messages: Sequence[Message]) -> tuple[list[_Envelope], list[int]]:
    """What messages have in common, each once, and which of these each message has.

    A cut's messages differ in their topics alone, as a rule: then no tuple is kept for each, which would be the most
    that there is for the garbage collector to do, and a quarter of what encoding costs.
    """
    rest = {(m.source, m.qos, m.retain, m.duplicate, m.properties) for m in messages}
    if len(rest) == 1:
        [(source, qos, retain, duplicate, properties)] = rest
        topics = [m.topic for m in messages]
        places = _places(topics)
        alike = [_Envelope(source, topic, qos, retain, duplicate, properties) for topic in places]
        return alike, list(map(places.__getitem__, topics))
    keys = [(m.source, m.topic, m.qos, m.retain, m.duplicate, m.properties) for m in messages]
    index = _places(keys)
    return [_Envelope(*key) for key in index], list(map(index.__getitem__, keys))


def _places(keys: Sequence[K]) -> dict[K, int]:
    """The number of each key, in the order of their first."""
    index = dict.fromkeys(keys, 0)
    for place, key in enumerate(index):
        index[key] = place
    return index


def _stored(one: Input) -> _Other:
    if not isinstance(one, Detections):
        return one  # pyright: ignore[reportReturnType] - messages were taken out before
    arrays = [_planes(np.ascontiguousarray(getattr(one, name), kind)) for name, kind in _ARRAYS.items()]
    return _Seen(one.camera, one.frame, one.event_ns, one.width_px, one.height_px, *arrays, planes=True)


def _planes(array: NDArray[np.generic]) -> bytes:
    return array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()


def _from_planes(data: bytes, kind: np.dtype[np.generic]) -> bytes:
    return np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1).T.tobytes()


def _input(other: _Other) -> Input:
    if not isinstance(other, _Seen):
        return other
    stored = {name: getattr(other, name) for name in _ARRAYS}
    if other.planes:
        stored = {name: _from_planes(data, _ARRAYS[name]) for name, data in stored.items()}
    xyxy, score, label = (np.frombuffer(data, _ARRAYS[name]) for name, data in stored.items())
    return Detections(
        other.camera,
        other.frame,
        other.event_ns,
        other.width_px,
        other.height_px,
        xyxy.reshape(-1, 4).astype(np.float32, copy=False),
        score.astype(np.float32, copy=False),
        label.astype(np.int16, copy=False),
    )


def _ints(values: NDArray[np.int64] | Sequence[int | None]) -> _Ints:
    """A column of int64: one number where all are the same, else differences or the values, whichever is narrower."""
    column = np.asarray(values, np.int64)
    if not len(column):
        return b""
    first = int(column[0])
    steps = np.diff(column)  # wraps around, and so does the sum that undoes it
    if not steps.any():
        return first if len(column) > 1 else b"\0" + first.to_bytes(8, "little", signed=True)
    by_step, by_value = _width(steps), _width(column)
    if by_step < by_value:
        return bytes([by_step]) + first.to_bytes(8, "little", signed=True) + steps.astype(f"<i{by_step}").tobytes()
    return bytes([by_value | 0x10]) + column.astype(f"<i{by_value}").tobytes()


def _width(column: NDArray[np.int64]) -> int:
    low, high = int(column.min()), int(column.max())
    return next(width for width in (1, 2, 4, 8) if -(1 << 8 * width - 1) <= low and high < 1 << 8 * width - 1)


def _several(stored: _Ints, count: int | None) -> NDArray[np.int64]:
    """The column again, int64[count]; `count` None: as many as there are. Raises ValueError where it differs."""
    if isinstance(stored, int):
        column = np.full(count or 0, stored, np.int64)
    elif not stored:
        column = np.empty(0, np.int64)
    elif (code := stored[0]) & 0x10:
        column = np.frombuffer(stored, f"<i{code & 0xF}", offset=1).astype(np.int64)
    else:
        first = np.frombuffer(stored, "<i8", 1, offset=1)
        steps = np.frombuffer(stored, f"<i{code}", offset=9).astype(np.int64) if code else np.empty(0, np.int64)
        column = np.cumsum(np.concatenate([first.astype(np.int64), steps]))
    if count is not None and len(column) != count:
        raise ValueError(f"a column of {len(column)} stands where {count} are needed")
    return column


def joined(cuts: Sequence[Cut]) -> Cut:
    """Cuts whose numbers follow one another, as one: how inputs are grouped changes nothing."""
    if len(cuts) == 1:
        return cuts[0]
    return Cut(
        cuts[0].n0,
        list(chain.from_iterable(cut.inputs for cut in cuts)),
        np.concatenate([cut.admitted_ns for cut in cuts]),
        np.concatenate([cut.elapsed_ns for cut in cuts]),
    )


def part_of(cut: Cut, start: int, end: int) -> Cut:
    """The inputs at [start, end) of a cut, by their places in it."""
    if start <= 0 and end >= len(cut.inputs):
        return cut
    start = max(0, start)
    return Cut(cut.n0 + start, cut.inputs[start:end], cut.admitted_ns[start:end], cut.elapsed_ns[start:end])
