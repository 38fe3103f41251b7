"""What holds for every codec, whatever arrives."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import json_
from gateway.config.model import SensorCommon
from tests.codecs.routes import csv_route, decode, json_route, plain_route

if TYPE_CHECKING:
    from gateway.ports import Decoder

COMMON = SensorCommon(kinds={"i": "int", "b": "bool", "s": "str"}, valid={"a": (-100, 100), "i": (0, 50)})
FLAT = {"time": "t", "a": "a", "i": "x.i", "b": "x.b", "s": "s"}
ROUTES: dict[str, Decoder] = {
    "flat": json_route(FLAT, COMMON),
    "each": json_route({**FLAT, "each": "r"}, COMMON),
    "list": json_route({**FLAT, "each": "$"}, COMMON),
    "top time": json_route({**FLAT, "each": "r", "time": "$.t"}, COMMON),
    "through lists": json_route({"time": "t", "a": "r[0].a", "i": "r[-1].x.i"}, COMMON),
    "plain": plain_route(),
    "csv": csv_route(["time", "a", "i"], COMMON),
}

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1", "3.2", "on", "2026-08-14T02:14:00", "nan", 1_786_644_840, 1e308, 10**400, 2**53 + 1]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)
readings = st.fixed_dictionaries(
    {},
    optional={
        "t": scalars,
        "a": scalars | anything,
        "s": scalars,
        "x": st.fixed_dictionaries({}, optional={"i": scalars, "b": scalars}) | scalars,
        "z": anything,
    },
)
objects = st.one_of(
    readings,
    st.lists(readings | scalars, max_size=4),
    st.fixed_dictionaries({"r": st.lists(readings | scalars, max_size=4) | anything}, optional={"t": scalars}),
    anything,
)
lines = st.lists(st.lists(scalars.map(str), max_size=4).map(",".join), max_size=4).map("\n".join)
payloads = st.one_of(
    st.binary(max_size=60),
    objects.map(lambda o: json.dumps(o).encode()),
    lines.map(lambda t: t.encode(errors="replace")),
)


@pytest.mark.parametrize("name", ROUTES)
@given(bodies=st.lists(payloads, max_size=6), cut=st.integers(0, 6))
def test_nothing_raises_and_any_cut_gives_the_same(name: str, bodies: list[bytes], cut: int) -> None:
    """A batch's rows are its parts' rows, one behind the other: how payloads were grouped does not matter."""
    route = ROUTES[name]
    rows, bad = decode(route, *bodies)
    head, head_bad = decode(route, *bodies[:cut])
    tail, tail_bad = decode(route, *bodies[cut:])
    moved = min(cut, len(bodies))
    assert rows == head + [(place + moved, *rest) for place, *rest in tail]
    assert bad == head_bad + [(place + moved, reason) for place, reason in tail_bad]
    told = {place for place, *_ in rows} | {place for place, _ in bad}
    assert told == set(range(len(bodies)))  # every payload came to something


@pytest.mark.parametrize("name", ["flat", "each", "list", "top time"])
@given(bodies=st.lists(objects.map(lambda o: json.dumps(o).encode()), max_size=4))
def test_the_quick_way_and_the_thorough_way_give_the_same(name: str, bodies: list[bytes]) -> None:
    route = ROUTES[name]
    assert isinstance(route, json_.JsonDecoder)
    assert route._shape is not None
    thorough = json_.JsonDecoder(route.fields, route._places, route._zone)
    thorough._shape = None
    assert decode(route, *bodies) == decode(thorough, *bodies)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_round_trip_to_the_bit(values: list[float]) -> None:
    rows, bad = decode(json_route({"v": "v"}), *(json.dumps({"v": v}).encode() for v in values))
    assert not bad
    found = [v for _, _, (v,) in rows]
    assert [math.copysign(1, v) if v == 0 else v for v in values] == [  # type: ignore[arg-type]  floats
        math.copysign(1, v) if v == 0 else v  # type: ignore[arg-type]  floats
        for v in found
    ]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_texts_round_trip(values: list[str]) -> None:
    rows, bad = decode(json_route({"s": "s"}, COMMON), *(json.dumps({"s": v}).encode() for v in values))
    assert not bad
    assert [v for _, _, (v,) in rows] == values
