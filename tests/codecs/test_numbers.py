"""Where a device's own counter stands, in each format."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import json_
from gateway.codecs.json_ import Json
from tests.codecs.routes import csv_route, json_route, plain_route

PATHS = {
    "flat": {"seq": "n", "v": "v"},
    "deep": {"seq": "head.n", "v": "v"},
    "each": {"each": "list", "seq": "n", "v": "v"},
    "top": {"each": "list", "seq": "$.n", "v": "v"},
    "list": {"each": "$", "seq": "n", "v": "v"},
    "value": {"seq": "n", "v": "v", "n": "n"},
}


def numbers(route: object, *bodies: bytes) -> list[tuple[int, int]]:
    """(payload, number) of each row that states one."""
    numbered = route.decode(bodies).numbered  # type: ignore[attr-defined]  a Decoder
    assert numbered is not None
    return list(zip(numbered.message.tolist(), numbered.number.tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "body", "wanted"),
    [
        ("flat", b'{"n": 4, "v": 1}', [4]),
        ("flat", b'{"n": "4", "v": 1}', [4]),
        ("flat", b'{"n": null, "v": 1}', []),
        ("flat", b'{"v": 1}', []),
        ("flat", b'{"n": 4}', [4]),
        ("deep", b'{"head": {"n": 9007199254740992}, "v": 1}', [2**53]),
        ("each", b'{"n": 7, "list": [{"n": 4, "v": 1}, {"v": 2}]}', [4, 7]),
        ("top", b'{"n": 7, "list": [{"n": 4, "v": 1}, {"v": 2}]}', [7, 7]),
        ("list", b'[{"n": 4, "v": 1}, {"n": 5, "v": 2}]', [4, 5]),
        ("value", b'{"n": 4, "v": 1}', [4]),
    ],
)
def test_a_counter_is_found_where_it_stands(name: str, body: bytes, wanted: list[int]) -> None:
    assert numbers(json_route(PATHS[name]), body, b"[", body) == [(0, n) for n in wanted] + [(2, n) for n in wanted]


@pytest.mark.parametrize("name", PATHS)
@given(bodies=st.data())
def test_the_quick_way_finds_what_the_thorough_way_finds(name: str, bodies: st.DataObject) -> None:
    number = st.integers(-3, 2**53) | st.sampled_from([None, "7", "x", 1.0, 1.5, True, 2**54])
    element = st.fixed_dictionaries({}, optional={"n": number, "v": st.floats(-9, 9) | st.none()})
    message = st.fixed_dictionaries(
        {}, optional={"n": number, "v": st.integers(-9, 9), "head": element, "list": st.lists(element, max_size=3)}
    )
    given_ = bodies.draw(st.lists(st.lists(element, max_size=3) if name == "list" else message, max_size=4))
    payloads = [json.dumps(one).encode() for one in given_]
    route = json_route(PATHS[name])
    thorough = json_.JsonDecoder(route.fields, route._places, route._zone)
    thorough._shape = None

    assert route._shape is not None
    assert numbers(route, *payloads) == numbers(thorough, *payloads)
    assert route.decode(payloads).bad == thorough.decode(payloads).bad


def test_a_column_of_lines_is_a_counter() -> None:
    assert numbers(csv_route(["seq", "level", "_"]), b"4,3.2,x\n,3.3,x\n6,3.4,x") == [(0, 4), (0, 6)]


def test_a_route_without_a_counter_has_no_numbers() -> None:
    assert json_route({"v": "v"}).decode([b'{"v": 1}']).numbered is None
    assert csv_route(["level"]).decode([b"3.2"]).numbered is None
    assert plain_route().decode([b"3.2"]).numbered is None


def test_a_counter_is_no_value() -> None:
    assert Json(json={"seq": "n", "v": "v"}).values() == ("v",)
    assert Json(json={"seq": "", "v": "v"}).check(None)[0][0] == "json.seq"  # type: ignore[arg-type]  names are not asked
