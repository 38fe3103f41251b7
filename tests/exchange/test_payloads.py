"""What is written of a reading is what the sensor's own codec reads back: time and every value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.exchange.payloads import time_number, writer_of
from gateway.exchange.readings import fields_in
from gateway.exchange.topics import Topics
from gateway.ports import NO_TIME
from gateway.registry import registry
from tests.exchange.street import config_of

HEAD = """
gateway: g
brokers: {here: {url: "mqtt://127.0.0.1:1883"}}
sensors:
  s:
    mqtt: here
    topic: "s/{device}"
    kinds: {count: int, open: bool, word: str}
"""
CODECS = [
    "json: {time: ts, level: v, count: n, open: o, word: w}",
    'json: {time: "$.head.at", each: readings, level: "a.b[1].c", count: \'["x.y"]\', open: "a.o", word: "$.w"}',
    'json: {each: "$", time: t, level: v, count: n, open: o, word: w}',
    "json: {level: v, count: n, open: o, word: w}",
    "csv: [time, level, _, count, open, word]",
    'csv: [word, level, count, open, time]\n    separator: ";"\n    header: 2',
]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1)
TIMES = st.integers(1_577_836_800 * 10**9, 4_000_000_000 * 10**9)


@pytest.mark.parametrize("codec", CODECS)
@given(
    at_ns=TIMES | TIMES.map(lambda at: at // 10**9 * 10**9) | TIMES.map(lambda at: at // 10**6 * 10**6),
    level=st.none() | NUMBERS,
    count=st.none() | st.integers(-(2**53), 2**53),
    is_open=st.none() | st.booleans(),
    word=WORDS,
)
def test_a_reading_comes_back(
    codec: str, at_ns: int, level: float | None, count: int | None, is_open: bool | None, word: str
) -> None:
    config = config_of(f"{HEAD}    {codec}\n", Path())
    wanted = Topics(config).named("s", "")
    fields = fields_in(wanted, config)
    values = {"level": level, "count": count, "open": is_open, "word": word}
    writer = writer_of(wanted.sensor, fields)
    body = writer.write(at_ns, [values[field.name] for field in fields])
    sensor = wanted.sensor
    decoded = registry().codecs[sensor.codec_key].build(sensor.codec, sensor.common, "UTC").decode([body])
    assert decoded.bad == []
    assert decoded.event_ns.tolist() == [at_ns if writer.timed else NO_TIME]
    for field, column in zip(fields, decoded.columns, strict=True):
        [found] = column if isinstance(column, list) else column.tolist()
        assert (None if found != found else found) == values[field.name]  # noqa: PLR0124 - NaN is absent


@given(at_ns=TIMES)
def test_a_time_is_the_shortest_number_that_says_it(at_ns: int) -> None:
    number = time_number(at_ns)
    scale = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}[len(str(number))]
    assert number * scale == at_ns
    assert scale == 10**9 or number % 1000 != 0


def test_plain_values() -> None:
    for kind, value, body in (("float", 2.5, b"2.5"), ("bool", True, b"true"), ("int", 7, b"7"), ("str", "on", b"on")):
        text = HEAD.replace("{count: int, open: bool, word: str}", f"{{v: {kind}}}") + "    plain: v\n"
        config = config_of(text, Path())
        wanted = Topics(config).named(None, "")
        assert writer_of(wanted.sensor, fields_in(wanted, config)).write(0, [value]) == body


def test_paths_that_contradict_one_another_are_said() -> None:
    config = config_of(f"{HEAD}    json: {{level: a.b, count: 'a[0]', open: o, word: w}}\n", Path())
    wanted = Topics(config).named("s", "")
    with pytest.raises(GatewayError, match="an object cannot be a list"):
        writer_of(wanted.sensor, fields_in(wanted, config)).write(0, [1.0, 2, True, "x"])
