"""A replay from Python: `gateway.replay(files, config) -> alerts, series`, as Arrow tables.

    alerts, series = gateway.replay("day.mcap", "gateway.yaml")
    alerts.to_pandas().query("rule == 'flood' and change == 'raised'")

`ALERTS`, one row a change of an alert, in order; what DESIGN calls its body stands whole in `json`:

| column | type | |
|---|---|---|
| seq | int64 | number of the change |
| id, code, rule, subject, class, change, state | string | as in an alert's JSON |
| severity, severity_max | string | minor, moderate, severe, extreme |
| started, changed | timestamp[ns, UTC] | |
| value, limit | float64 | null where it has none; in `unit` (string) |
| coverage_1h | float64 | share of the last hour's readings that came |
| lon, lat | float64 | WGS-84, null where it has no place |
| title_zh, title_en, text_zh, text_en | string | |
| camera | string | null where it has none |
| shadow | bool | raised by a rule in shadow mode |
| json | string | the whole body, with `status: test` |

`SERIES`, one row a value, in the order in which they were stored:

| column | type | |
|---|---|---|
| time | timestamp[ns, UTC] | the sensor's, as accepted |
| series | dictionary<string> | as alerts name it: `air.pm25{device=0017,site=a}` |
| measurement, field | dictionary<string> | `air`, `pm25` |
| tags | map<string, string> | |
| value | float64 | a number; true and false as 1 and 0; null for a text |
| text | string | a text; null for a number |
"""

from __future__ import annotations

import os
from array import array
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from gateway.codecs.times import moment_ns, stamp_ns
from gateway.errors import GatewayError
from gateway.exchange.arrow import arrow
from gateway.recording.reader import Recording
from gateway.replaying.outcome import line_of
from gateway.replaying.play import play
from gateway.sinks import lineprotocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from gateway.events import AlertRow, Stepped


class Replayed(NamedTuple):
    """What a replay came to, as tables (see the module)."""

    alerts: pa.Table
    series: pa.Table


def replay(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    config: str | os.PathLike[str] | None = None,
    *,
    from_: datetime | str | int | None = None,
    to: datetime | str | int | None = None,
) -> Replayed:
    """Replay recordings of one gateway, mute, through their own configuration or another.

    files: one file, a folder of them, or several. from_, to: of admission; a datetime, ISO 8601, or UTC nanoseconds;
    without an offset they are in the recording's time zone. Both tables are in memory: take a year part by part. Raises
    RecordingError, ConfigError, and GatewayError where pyarrow is not installed.
    """
    arrow()  # before anything is replayed for nothing
    given = [files] if isinstance(files, (str, os.PathLike)) else files
    recording = Recording.open([Path(one) for one in given])
    zone = ZoneInfo(recording.files[0].about.timezone)
    keeps = Tables()
    play(
        recording,
        keeps,
        config=None if config is None else Path(config),
        from_ns=_ns("from_", from_, zone),
        to_ns=_ns("to", to, zone),
    )
    return Replayed(keeps.alerts(), keeps.series())


class Tables:
    """Keeps what a replay gives, column by column."""

    def __init__(self) -> None:
        self._rows: list[AlertRow] = []
        self._numbers: dict[tuple[bytes, bytes], int] = {}  # (measurement and tags, field) → number of the series
        self._codes, self._times, self._values = array("i"), array("q"), array("d")
        self._texts: dict[int, str] = {}  # by row; few series are texts

    def take(self, stepped: Sequence[Stepped]) -> None:
        """In order."""
        for one in stepped:
            self._rows += one.alerts
            texts = b'"' in one.series
            for lines in lineprotocol.split(one.series) if texts else (one.series,):
                for head, numbers, at in lineprotocol.points(lines):
                    for field, value in numbers:
                        self._add(head, field, at, value)
                for head, field, text, at in lineprotocol.texts(lines) if texts else ():
                    self._texts[len(self._codes)] = text
                    self._add(head, field, at, 0.0)

    def close(self, *, whole: bool = True) -> None:
        """Nothing to do."""
        del whole

    def alerts(self) -> pa.Table:  # pyright: ignore[reportUnknownParameterType] - pyarrow ships no types
        """The table `ALERTS`."""
        return arrow().Table.from_pylist([_row(row) for row in self._rows], schema=schemas()[0])

    def series(self) -> pa.Table:  # pyright: ignore[reportUnknownParameterType] - as above
        """The table `SERIES`."""
        pa, schema = arrow(), schemas()[1]
        codes, times, values = (np.frombuffer(column, column.typecode) for column in self._columns())
        is_text = np.zeros(len(codes), np.bool_)
        is_text[list(self._texts)] = True
        names = [lineprotocol.subject(head, field) for head, field in self._numbers]
        measurements = [lineprotocol.measurement(head) for head, _ in self._numbers]
        fields = [lineprotocol.unescaped(field) for _, field in self._numbers]
        tags = pa.array([_tags(name) for name in names], schema.field("tags").type)
        columns = [
            pa.array(times).cast(schema.field("time").type),
            *(_dictionary(codes, words) for words in (names, measurements, fields)),
            tags.take(pa.array(codes)),
            pa.array(values, mask=is_text),
            self._text_column(len(codes)),
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    def _text_column(self, rows: int) -> Any:
        pa = arrow()
        if not self._texts:
            return pa.nulls(rows, pa.string())
        return pa.array([self._texts.get(row) for row in range(rows)], pa.string())

    def _columns(self) -> tuple[array[int], array[int], array[float]]:
        return self._codes, self._times, self._values

    def _add(self, head: bytes, field: bytes, at: int, value: float) -> None:
        self._codes.append(self._numbers.setdefault((head, field), len(self._numbers)))
        self._times.append(at)
        self._values.append(value)


def _dictionary(codes: NDArray[np.int32], words: Sequence[str]) -> Any:
    """A column of words by the number of each row's series."""
    pa = arrow()
    distinct = list(dict.fromkeys(words))
    places = {word: place for place, word in enumerate(distinct)}
    of_series = np.array([places[word] for word in words], np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(of_series[codes] if len(words) else codes), pa.array(distinct, pa.string())
    )


def _tags(series: str) -> list[tuple[str, str]]:
    """The tags in a series' name, `air.pm25{device=0017,site=a}`."""
    _, _, braced = series.removesuffix("}").partition("{")
    pairs = [pair.partition("=") for pair in braced.split(",") if pair]
    return [(unquote(key), unquote(value)) for key, _, value in pairs]


@cache
def schemas() -> tuple[pa.Schema, pa.Schema]:  # pyright: ignore[reportUnknownParameterType] - as above
    """(`ALERTS`, `SERIES`)."""
    pa = arrow()
    time, words = pa.timestamp("ns", "UTC"), pa.dictionary(pa.int32(), pa.string())
    kinds = {int: pa.int64(), str: pa.string(), float: pa.float64(), bool: pa.bool_(), datetime: time}
    alerts = [(name.removesuffix("_"), kinds[kind]) for name, kind in COLUMNS]
    series = [
        ("time", time),
        ("series", words),
        ("measurement", words),
        ("field", words),
        ("tags", pa.map_(pa.string(), pa.string())),
        ("value", pa.float64()),
        ("text", pa.string()),
    ]
    return pa.schema(alerts), pa.schema(series)


COLUMNS: tuple[tuple[str, type], ...] = (
    ("seq", int),
    *((name, str) for name in ("id", "code", "rule", "subject", "class", "change", "state")),
    *((name, str) for name in ("severity", "severity_max")),
    ("started", datetime),
    ("changed", datetime),
    ("value", float),
    ("limit", float),
    ("unit", str),
    *((name, float) for name in ("coverage_1h", "lon", "lat")),
    *((name, str) for name in ("title_zh", "title_en", "text_zh", "text_en", "camera")),
    ("shadow", bool),
    ("json", str),
)


class _Words(msgspec.Struct, frozen=True):
    zh: str | None = None
    en: str | None = None


class _Place(msgspec.Struct, frozen=True):
    wgs84: tuple[float, float] | None = None


class _Body(msgspec.Struct, frozen=True):
    """What the table takes out of an alert's JSON beside what its row says."""

    code: str
    severity: str
    severity_max: str
    started: str
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    coverage_1h: float | None = None
    place: _Place | None = None
    title: _Words = _Words()
    text: _Words = _Words()
    camera: str | None = None


_BODY = msgspec.json.Decoder(_Body)


def _row(row: AlertRow) -> dict[str, object]:
    body = _BODY.decode(row.body)
    lon, lat = (body.place.wgs84 if body.place else None) or (None, None)
    return {
        **{name: getattr(row, name) for name in ("seq", "id", "rule", "subject", "change", "state", "shadow")},
        **{name: getattr(body, name) for name in ("code", "severity", "severity_max", "value", "limit", "unit")},
        "class": row.class_,
        "started": stamp_ns(body.started),
        "changed": row.changed_ns,
        "coverage_1h": body.coverage_1h,
        "lon": lon,
        "lat": lat,
        "title_zh": body.title.zh,
        "title_en": body.title.en,
        "text_zh": body.text.zh,
        "text_en": body.text.en,
        "camera": body.camera,
        "json": line_of(row).decode(),
    }


def _ns(name: str, given: datetime | str | int | None, zone: ZoneInfo) -> int | None:
    """A time as UTC ns."""
    if given is None or isinstance(given, int):
        return given
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise GatewayError(f"{name}: found {given!r}; expected a time such as 2026-08-14T02:02:07+08:00") from None
    return moment_ns(moment, zone)
