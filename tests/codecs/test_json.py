"""JSON payloads to rows."""

from __future__ import annotations

import json

import pytest

from gateway.codecs.json_ import Json
from gateway.config.model import SensorCommon
from gateway.config.names import Names
from tests.codecs.routes import decode, json_route

T = 1_786_644_840  # 2026-08-14T02:14:00+08:00
NS = 10**9
AIR = {"time": "ts", "pm25": "data.pm2_5", "rh": "data.hum"}


def test_fields_come_from_their_paths_and_the_time_from_its_own() -> None:
    body = b'{"ts":1786644840,"data":{"pm2_5":12.5,"hum":61},"battery":3.6}'
    assert decode(json_route(AIR), body) == ([(0, T * NS, (12.5, 61.0))], [])


def test_a_missing_or_null_field_is_absent_and_not_bad() -> None:
    found = decode(json_route(AIR), b'{"ts":1786644840,"data":{"pm2_5":1}}', b'{"data":{"pm2_5":null,"hum":2}}')
    assert found == ([(0, T * NS, (1.0, None)), (1, None, (None, 2.0))], [])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the payload is empty"),
        (b" \n", "the payload is empty"),
        (b"{", "invalid JSON"),
        (b"hello", "invalid JSON"),
        (b"12", "found 12; expected an object"),
        (b'"x"', "expected an object"),
        (b"{}", "none of the fields data.pm2_5, data.hum found"),
        (b'{"data":5}', "none of the fields"),
        (b'{"data":null}', "none of the fields"),
        (b"[1,2]", "none of the fields"),
        (b'{"data":{"pm2_5":"n/a"}}', "pm25: found 'n/a'; expected a number"),
        (b'{"data":{"pm2_5":true}}', "pm25: found true; expected a number"),
        (b'{"data":{"pm2_5":{}}}', "pm25: found an object; expected a number"),
        (b'{"data":{"pm2_5":[1]}}', "pm25: found a list; expected a number"),
        (b'{"data":{"pm2_5":NaN}}', "pm25: found NaN"),
        (b'{"data":{"pm2_5":-Infinity}}', "pm25: found a number too large"),
        (b'{"data":{"pm2_5":1e400}}', "pm25: found a number too large"),
        (b'{"data":{"pm2_5":' + b"9" * 400 + b"}}", "the number is too large"),
        (b'{"data":{"pm2_5":' + b"9" * 5000 + b"}}", "thousands of digits"),
        (b'{"data":{"pm2_5":"1e999"}}', "too large"),
        (b'{"data":{"pm2_5":"0x1F"}}', "expected a number"),
        (b'{"data":{"pm2_5":"3,2"}}', "expected a number"),
        (b'{"data":{"pm2_5":"\xff"}}', "not UTF-8: byte 18 is 0xff"),
        (b"\xff\xd8\xff\xe0JFIF", "not UTF-8"),
        (b'{"data":' + b"[" * 100_000, "nested more than 100 levels"),
        (b'{"data":{"pm2_5":1},"x":' + b"[" * 300 + b"]" * 300 + b"}", "nested more than 100 levels"),
        (b"x" * 1_000_000, "invalid JSON"),
    ],
)
def test_a_payload_that_cannot_be_used_is_told_with_its_reason(body: bytes, says: str) -> None:
    """The neighbours before and behind it come through."""
    good = b'{"data":{"pm2_5":1}}'
    taken, bad = decode(json_route(AIR), good, body, good)
    assert taken == [(0, None, (1.0, None)), (2, None, (1.0, None))]
    [(place, reason)] = bad
    assert place == 1
    assert says in reason
    assert len(reason) < 200


def test_the_good_fields_of_a_payload_with_a_bad_one_are_kept_and_it_is_told_once() -> None:
    body = b'{"ts":1786644840,"data":{"pm2_5":1e400,"hum":61}}'
    taken, bad = decode(json_route(AIR), body)
    assert taken == [(0, T * NS, (None, 61.0))]
    assert [place for place, _ in bad] == [0]


def test_values_outside_valid_are_left_out_with_the_reason() -> None:
    route = json_route({"level": "l"}, SensorCommon(valid={"level": (-1, 8)}, units={"level": "m"}))
    taken, bad = decode(route, b'{"l":8}', b'{"l":8.1}', b'{"l":-1}')
    assert taken == [(0, None, (8.0,)), (2, None, (-1.0,))]
    assert bad == [(1, "level: found 8.1 m; valid is -1 to 8")]


def test_plain_decimal_texts_are_numbers_since_devices_print_them() -> None:
    assert decode(json_route({"a": "a"}), b'{"a":"3.20"}', b'{"a":" -1e-3 "}') == (
        [(0, None, (3.2,)), (1, None, (-0.001,))],
        [],
    )


def test_kinds_say_what_is_stored() -> None:
    kinds = {"n": "int", "on": "bool", "text": "str"}
    route = json_route({"n": "n", "on": "on", "text": "text"}, SensorCommon(kinds=kinds))  # type: ignore[arg-type]  Literals
    taken, bad = decode(
        route,
        b'{"n":9007199254740992,"on":true,"text":"ok"}',
        b'{"n":3.0,"on":0,"text":"7"}',
        b'{"n":"12","on":"OFF","text":7}',
        b'{"n":9007199254740993,"on":true}',
        b'{"n":1.5,"text":"\xe6\xb1\x9f\xe5\x8f\xa3"}',
        b'{"on":"maybe","text":"\\ud800","n":1}',
    )
    assert taken == [
        (0, None, (2.0**53, 1.0, "ok")),
        (1, None, (3.0, 0.0, "7")),
        (2, None, (12.0, 0.0, "7")),
        (3, None, (None, 1.0, None)),
        (4, None, (None, None, "江口")),
        (5, None, (1.0, None, None)),
    ]
    assert [place for place, _ in bad] == [3, 4, 5]
    assert "beyond ±2^53" in bad[0][1]
    assert "whole number" in bad[1][1]
    assert "true or false" in bad[2][1]
    assert "surrogate" in bad[2][1]


def test_a_text_longer_than_the_database_takes_is_bad() -> None:
    route = json_route({"t": "t"}, SensorCommon(kinds={"t": "str"}))
    taken, bad = decode(route, json.dumps({"t": "x" * 65_535}).encode(), json.dumps({"t": "江" * 30_000}).encode())
    assert [place for place, *_ in taken] == [0]
    assert "90000 bytes" in bad[0][1]


def test_each_makes_a_row_of_every_element_with_its_own_time_or_the_messages() -> None:
    route = json_route({"each": "readings", "time": "t", "v": "v"})
    taken, bad = decode(
        route,
        b'{"t":1786644840,"readings":[{"v":1},{"v":2,"t":1786644841}]}',
        b'{"readings":[{"v":3}]}',
    )
    assert taken == [(0, T * NS, (1.0,)), (0, (T + 1) * NS, (2.0,)), (1, None, (3.0,))]
    assert not bad


def test_each_tells_which_element_is_bad_and_keeps_the_others() -> None:
    route = json_route({"each": "d.list", "v": "v"})
    taken, bad = decode(
        route, b'{"d":{"list":[{"v":1},7,{"v":"x"},{"v":4}]}}', b'{"d":{"list":[]}}', b'{"d":{}}', b"{}"
    )
    assert taken == [(0, None, (1.0,)), (0, None, (4.0,))]
    assert bad[0] == (0, "[1] found 7; expected an object; [2] v: found 'x'; expected a number")
    assert [place for place, _ in bad] == [0, 1, 2, 3]
    assert bad[1][1] == "found an empty list where the readings are"


def test_each_takes_a_message_that_is_a_list_and_values_from_the_top_level() -> None:
    assert decode(json_route({"each": "$", "v": "v"}), b'[{"v":1},{"v":2}]')[0] == [
        (0, None, (1.0,)),
        (0, None, (2.0,)),
    ]
    route = json_route({"each": "list", "time": "$.t", "v": "v", "site": "$.site"})
    assert decode(route, b'{"site":9,"t":1786644840,"list":[{"v":1,"t":5},{"v":2}]}')[0] == [
        (0, T * NS, (1.0, 9.0)),
        (0, T * NS, (2.0, 9.0)),
    ]


def test_paths_go_through_lists_and_quoted_keys() -> None:
    route = json_route({"a": "r[0].v", "b": "r[-1].v", "c": '["pm2.5"].μg', "d": "中文.值"})
    body = '{"r":[{"v":1},{"v":2}],"pm2.5":{"μg":3},"中文":{"值":4}}'.encode()
    assert decode(route, body) == ([(0, None, (1.0, 2.0, 3.0, 4.0))], [])


def test_two_values_may_share_a_path_and_crossing_paths_are_taken_apart() -> None:
    assert decode(json_route({"a": "x", "b": "x"}), b'{"x":1}')[0] == [(0, None, (1.0, 1.0))]
    taken, bad = decode(json_route({"a": "x", "b": "x.y"}), b'{"x":{"y":1}}')
    assert taken == [(0, None, (None, 1.0))]
    assert bad == [(0, "a: found an object; expected a number")]


def test_the_zone_of_the_route_goes_before_the_sensors_and_the_gateways() -> None:
    body = b'{"t":"2026-08-14T02:14:00","v":1}'
    paths = {"time": "t", "v": "v"}
    eight_hours = 8 * 3600
    assert decode(json_route(paths), body)[0][0][1] == T * NS
    assert decode(json_route(paths, SensorCommon(zone="UTC")), body)[0][0][1] == (T + eight_hours) * NS
    assert decode(json_route({**paths, "zone": "+08:00"}, SensorCommon(zone="UTC")), body)[0][0][1] == T * NS


def test_a_time_that_cannot_be_read_leaves_its_row_without_one() -> None:
    route = json_route({"time": "t", "v": "v"})
    taken, bad = decode(route, b'{"t":"yesterday","v":1}', b'{"t":1e400,"v":2}', b'{"t":{},"v":3}', b'{"t":true,"v":4}')
    assert taken == [(n, None, (n + 1.0,)) for n in range(4)]
    assert [place for place, _ in bad] == [0, 1, 2, 3]
    assert all("time: found" in reason for _, reason in bad)


def test_a_megabyte_of_readings_is_taken() -> None:
    elements = [{"v": n, "t": T + n} for n in range(40_000)]
    taken, bad = decode(json_route({"each": "r", "time": "t", "v": "v"}), json.dumps({"r": elements}).encode())
    assert len(taken) == 40_000
    assert not bad


@pytest.mark.parametrize(
    ("paths", "key"),
    [
        ({"a": "a..b"}, "json.a"),
        ({"a": ""}, "json.a"),
        ({"a": "a[x]"}, "json.a"),
        ({"a": ".b"}, "json.a"),
        ({"a": "a]"}, "json.a"),
        ({"a": "[0]b"}, "json.a"),
        ({"a": "$"}, "json.a"),
        ({"a": "a.$b"}, "json.a"),
        ({"time": "t"}, "json"),
        ({"pm2.5": "a"}, "json"),
        ({"a": "a", "zone": "Asia/Longgang"}, "json.zone"),
        ({"a": "a", "zone": "../etc/passwd"}, "json.zone"),
    ],
)
def test_check_names_the_key_that_is_wrong(paths: dict[str, str], key: str) -> None:
    assert [k for k, _ in Json(json=paths).check(Names())] == [key]


def test_check_passes_what_is_right() -> None:
    right = Json(json={"time": "$.t", "zone": "-03:30", "each": "$", "a": "a[0].b['c.d'][-1]"})
    assert right.check(Names()) == []
    assert right.values() == ("a",)
