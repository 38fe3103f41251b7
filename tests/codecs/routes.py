"""Decoders for the tests, and Decoded in a form that compares."""

from __future__ import annotations

import numpy as np

from gateway.codecs import csv_, json_, plain
from gateway.config.model import SensorCommon
from gateway.ports import NO_TIME, Decoded, Decoder

SHANGHAI = "Asia/Shanghai"
Row = tuple[int, int | None, tuple[float | str | None, ...]]


def json_route(paths: dict[str, str], common: SensorCommon | None = None, zone: str = SHANGHAI) -> json_.JsonDecoder:
    """A JSON route."""
    return json_.build(json_.Json(json=paths), common or SensorCommon(), zone)


def csv_route(columns: list[str], common: SensorCommon | None = None, **more: object) -> csv_.CsvDecoder:
    """A CSV route."""
    return csv_.build(csv_.Csv(csv=tuple(columns), **more), common or SensorCommon(), SHANGHAI)  # type: ignore[arg-type]  separator, header


def plain_route(kind: str = "float", common: SensorCommon | None = None) -> plain.PlainDecoder:
    """A route whose payload is one value, `level`."""
    return plain.build(plain.Plain(plain="level"), common or SensorCommon(kinds={"level": kind}), SHANGHAI)  # type: ignore[dict-item]  a Literal


def rows(decoded: Decoded) -> list[Row]:
    """Each row: (payload, ns or None, values with None for what is absent)."""
    columns = [
        [None if np.isnan(v) else v for v in column.tolist()] if isinstance(column, np.ndarray) else column
        for column in decoded.columns
    ]
    times = [None if t == NO_TIME else t for t in decoded.event_ns.tolist()]
    return list(zip(decoded.message.tolist(), times, zip(*columns, strict=True), strict=True))


def decode(route: Decoder, *bodies: bytes) -> tuple[list[Row], list[tuple[int, str]]]:
    """The rows and the bad payloads of these bodies; the shape and types of Decoded are checked on the way."""
    decoded = route.decode(bodies)
    assert decoded.message.dtype == np.int32
    assert decoded.event_ns.dtype == np.int64
    assert len(decoded.columns) == len(route.fields)
    for field, column in zip(route.fields, decoded.columns, strict=True):
        assert isinstance(column, list) if field.kind == "str" else column.dtype == np.float64  # type: ignore[union-attr]  kinds
        assert len(column) == len(decoded.message)
    assert (np.diff(decoded.message) >= 0).all()
    places = [bad.message for bad in decoded.bad]
    assert places == sorted(set(places))
    return rows(decoded), [tuple(bad) for bad in decoded.bad]
