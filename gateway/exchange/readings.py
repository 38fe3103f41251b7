"""Rows of a table to the messages that a sensor's devices would have sent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from gateway.codecs.times import zone_of
from gateway.codecs.values import stored
from gateway.core.ingest import EARLIEST_NS, RESOLUTION_NS
from gateway.events import Message
from gateway.exchange.given import Given
from gateway.exchange.payloads import writer_of
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from gateway.config.model import Config
    from gateway.exchange.columns import Columns
    from gateway.exchange.given import Findings
    from gateway.exchange.payloads import Value
    from gateway.exchange.topics import Wanted
    from gateway.ports import Decoder, Field

ABSENT = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "—"})
TIME = "a time is a number since 1970 or ISO 8601, such as 2026-08-14 02:14:00 (--time COLUMN, --zone ZONE)"
OLD = "readings from 2020 on are believed; move older ones with --shift, such as --shift '4000 d'"
TOPICS_KEPT = 100_000


def fields_in(wanted: Wanted, config: Config) -> tuple[Field, ...]:
    """The values that the sensor's codec takes, in its order."""
    sensor = wanted.sensor
    decoder: Decoder = registry().codecs[sensor.codec_key].build(sensor.codec, sensor.common, config.timezone)
    return decoder.fields


def zone_in(wanted: Wanted, config: Config, zone: str | None) -> tzinfo:
    """The zone of times that state none: the one told, else the sensor's, else the gateway's. Raises ValueError."""
    return zone_of(zone or wanted.sensor.common.zone or config.timezone)


class Readings:
    """Makes messages of one sensor. `shift_ns` is added to every time.

    floor: cut times to the sensor's resolution: InfluxDB has them with a hash below it (`same_time: distinct`).
    """

    def __init__(
        self, wanted: Wanted, fields: Sequence[Field], findings: Findings, *, shift_ns: int = 0, floor: bool = False
    ) -> None:
        self._wanted = wanted
        self._fields = fields
        self._names = [field.name for field in fields]
        self._findings = findings
        self._shift_ns = shift_ns
        self._writer = writer_of(wanted.sensor, fields)
        common = wanted.sensor.common
        hashed = floor and common.same_time == "distinct" and self._writer.timed
        self._within = RESOLUTION_NS[common.resolution] if hashed else 1
        self._topics: dict[tuple[str, ...], str] = {}

    def read(self, at_ns: int, row: Sequence[object], columns: Columns, where: str) -> Given | None:
        """One row as a message at its time; None where it cannot be used, which is then said."""
        at_ns = (at_ns + self._shift_ns) // self._within * self._within
        if at_ns < EARLIEST_NS:
            self._findings.bad(where, f"a time of {np.datetime64(at_ns, 'ns').astype('datetime64[s]')}", OLD)
            return None
        tags = {name: _text(row[place]) if isinstance(place, int) else place for name, place in columns.tags}
        key = tuple(tags.values())
        topic = self._topics.get(key)
        if topic is None:
            try:
                topic = self._wanted.topic(tags)
            except ValueError as error:
                found, _, expected = str(error).removeprefix("found ").partition("; ")
                self._findings.bad(where, found, expected)
                return None
            if len(self._topics) >= TOPICS_KEPT:
                self._topics.clear()
            self._topics[key] = topic
        places = columns.fields if columns.named is None else self._one(row, columns.named, where)
        values = [
            None if place is None else self._value(row[place], field, where)
            for field, place in zip(self._fields, places, strict=True)
        ]
        if all(value is None for value in values):
            self._findings.counts["empty"] += 1
            return None
        self._findings.counts["messages"] += 1
        return Given(at_ns, Message(self._wanted.source, topic, self._writer.write(at_ns, values)))

    def _one(self, row: Sequence[object], named: tuple[int, int], where: str) -> tuple[int | None, ...]:
        """The places of the values in a row that names the only one it has."""
        name = _text(row[named[0]])
        if name not in self._names:
            self._findings.bad(where, f"{name!r} (--named)", f"the sensor has {', '.join(self._names)}")
        return tuple(named[1] if name == field else None for field in self._names)

    def _value(self, found: object, field: Field, where: str) -> Value | None:
        if found is None or (isinstance(found, float) and math.isnan(found)):
            return None
        if isinstance(found, str):
            found = found.strip()
            if found.lower() in ABSENT:
                return None
        try:
            value = stored(found, field.kind)
        except ValueError as error:
            said, _, expected = str(error).removeprefix("found ").partition("; ")
            self._findings.bad(where, f"{said} for {field.name}", expected)
            return None
        if field.kind == "int":
            return int(cast("float", value))
        return bool(value) if field.kind == "bool" else value


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else "" if value is None else str(value)
