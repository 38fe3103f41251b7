"""A recording as Parquet: one file a measurement, and alerts, detections and coverage. For notebooks.

`<sensor>.parquet`, a row a reading:

| column | type | |
|---|---|---|
| time | timestamp[ns, UTC] | the sensor's own where it is believed, else `admitted` |
| admitted | timestamp[ns, UTC] | when the gateway took it in |
| taken | dictionary<string> | accepted; late (stored, seen by no rule); untimed (none stated); clock_adrift |
| (each tag) | dictionary<string> | as named in the sensor's topic; `tier` where it is not the ground |
| (each value) | float64, int64, bool or string | null where absent; its unit in the field's metadata (`unit`) |

`zhiwang_alerts.parquet`, a row a change, as the gateway said it; the names are those of an alert's JSON:

| column | type | |
|---|---|---|
| seq | int64 | number of the change |
| id, code, rule, subject, class, change, state, status | string | |
| severity, severity_max | string | minor, moderate, severe, extreme |
| started, changed | timestamp[ns, UTC] | |
| value, limit | float64 | null where it has none; in `unit` (string) |
| title_zh, title_en, text_zh, text_en, camera | string | null where there is none |
| json | string | the whole alert |

`zhiwang_detections.parquet`, a row a box: time, admitted, camera, frame (int64), label (string by the model, else the
index), score, x1, y1, x2, y2 (float32, px), width, height (int32, px of the picture). `zhiwang_coverage.parquet`, a row
an interval: camera, from, to (timestamp), why (analysed, still, overloaded, blind).

Where the configuration changed and a sensor's columns with it, its later readings are in `<sensor>@2.parquet`, and so
on. The schema's metadata has gateway, sensor and config_sha. What `at_most:` or `series:` would have refused is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gateway.codecs.times import stamp_ns
from gateway.events import Detections, Looked
from gateway.exchange.arrow import arrow, parquet
from gateway.exchange.decoded import TIMES, Decoding, Rows, decoding_of
from gateway.exchange.sheets import ALERTS, COVERAGE, DETECTIONS, Sheet, schema_of, type_of
from gateway.exchange.spans import Exported, Span, Watching, cuts, label_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.core.plan import Route
    from gateway.events import Cut
    from gateway.recording.parts import About
    from gateway.recording.reader import Recording

OWN = "zhiwang_"
KINDS = {"float": "float64", "int": "int64", "bool": "bool_", "str": "string"}


def to_parquet(
    recording: Recording, folder: Path, span: Span, watching: Watching, config: Path | None = None
) -> Exported:
    """Write the files into `folder`; each appears under its name when it is whole.

    `config`: read payloads by this configuration instead of the recorded one. Raises GatewayError without pyarrow.
    """
    parquet()
    folder.mkdir(parents=True, exist_ok=True)
    sheets = _Sheets(folder, config)
    try:
        for about, cut in cuts(recording, span, watching):
            sheets.take(about, cut)
        if not watching.stop():
            sheets.alerts(recording, span)
        sheets.finish()
    finally:
        sheets.close()
    return Exported(sheets.written, sheets.bad, sheets.unrouted, watching.stop())


class _Sheets:
    """The files being written."""

    def __init__(self, folder: Path, config: Path | None) -> None:
        self.written: dict[str, int] = {}
        self._folder, self._config = folder, config
        self._sheets: dict[str, Sheet] = {}
        self._latest: dict[str, Sheet] = {}  # of each measurement
        self._decodings: dict[str, Decoding] = {}

    @property
    def bad(self) -> int:
        return sum(one.bad for one in self._decodings.values())

    @property
    def unrouted(self) -> int:
        return sum(one.unrouted for one in self._decodings.values())

    def take(self, about: About, cut: Cut) -> None:
        """Everything in a cut that has a file."""
        decoding = self._decodings.get(about.config_sha)
        if decoding is None:
            decoding = self._decodings[about.config_sha] = decoding_of(about, self._config)
        for place, rows in decoding.rows(cut):
            route = decoding.routes[place]
            schema = _reading_schema(route, about)
            self._sheet(route.name, schema).add(_reading_columns(route, decoding.things[place], rows, schema))
        seen = [(at, one) for at, one in zip(cut.admitted_ns.tolist(), cut.inputs, strict=True)]
        found = [(at, one) for at, one in seen if isinstance(one, Detections)]
        if found:
            self._sheet(f"{OWN}detections", schema_of(DETECTIONS, about)).add(_boxes(found, about))
        looked = [one for _, one in seen if isinstance(one, Looked)]
        if looked:
            columns = [[getattr(one, name) for one in looked] for name in ("camera", "from_ns", "to_ns", "why")]
            self._sheet(f"{OWN}coverage", schema_of(COVERAGE, about)).add(columns)

    def alerts(self, recording: Recording, span: Span) -> None:
        """The alerts that were said."""
        about = recording.files[0].about
        decode = msgspec.json.Decoder(_Alert).decode
        for body in recording.alerts(*span):
            alert = decode(body)
            row = [getattr(alert, name, None) for name, _ in ALERTS]
            told = {"started": stamp_ns(alert.started), "changed": stamp_ns(alert.changed), "json": body.decode()}
            told["class"] = alert.class_
            told |= {f"title_{language}": alert.title.get(language) for language in ("zh", "en")}
            told |= {f"text_{language}": alert.text.get(language) for language in ("zh", "en")}
            row = [told.get(name, value) for (name, _), value in zip(ALERTS, row, strict=True)]
            self._sheet(f"{OWN}alerts", schema_of(ALERTS, about)).add([[value] for value in row])

    def finish(self) -> None:
        """Write what waits, and give the files their names."""
        for name, sheet in self._sheets.items():
            self.written[f"{name}.parquet"] = sheet.finish()

    def close(self) -> None:
        """Let go of the files; those that are not finished go."""
        for sheet in self._sheets.values():
            sheet.close()

    def _sheet(self, measurement: str, schema: Any) -> Sheet:
        latest = self._latest.get(measurement)
        if latest is not None and latest.schema.equals(schema):
            return latest
        names = [name for name in self._sheets if name == measurement or name.startswith(f"{measurement}@")]
        again = next((self._sheets[name] for name in names if self._sheets[name].schema.equals(schema)), None)
        if again is None:
            name = f"{measurement}@{len(names) + 1}" if names else measurement
            again = self._sheets[name] = Sheet(self._folder / f"{name}.parquet", schema)
        self._latest[measurement] = again
        return again


def _reading_schema(route: Route, about: About) -> Any:
    """Columns of a sensor's readings. A tag or value that is called as another column gets a `_` behind it."""
    module = arrow()
    columns = [module.field("time", type_of("time")), module.field("admitted", type_of("time"))]
    columns.append(module.field("taken", type_of("dictionary")))
    taken = {column.name for column in columns}
    values = [(field.name, type_of(KINDS[field.kind]), {"unit": field.unit}) for field in route.decoder.fields]
    for name, kind, metadata in [*((tag, type_of("dictionary"), None) for tag in route.tag_names), *values]:
        free = name
        while free in taken:
            free += "_"
        taken.add(free)
        columns.append(module.field(free, kind, metadata=metadata))
    about_it = {"gateway": about.gateway, "sensor": route.name, "config_sha": about.config_sha}
    return module.schema(columns, about_it)


def _reading_columns(route: Route, things: list[tuple[tuple[str, str], ...]], rows: Rows, schema: Any) -> list[Any]:
    module = arrow()
    columns: list[Any] = [rows.time_ns, rows.admitted_ns]
    columns.append(module.DictionaryArray.from_arrays(module.array(rows.taken.astype(np.int32)), list(TIMES)))
    used, which = np.unique(rows.thing, return_inverse=True)
    tags = [dict(things[thing]) for thing in used.tolist()]
    for name in route.tag_names:
        values = module.array([tag.get(name) for tag in tags], module.string())
        columns.append(values.take(module.array(which)).dictionary_encode())
    for column, field in zip(rows.columns, list(schema)[len(columns) :], strict=True):
        if isinstance(column, list):
            columns.append(column)
        else:
            absent = np.isnan(column)
            whole = np.where(absent, 0, column) if field.type != module.float64() else column
            kept = whole.astype(bool) if field.type == module.bool_() else whole.astype(np.float64)
            kept = kept.astype(np.int64) if field.type == module.int64() else kept
            columns.append(module.array(kept, field.type, mask=absent))
    return columns


def _boxes(found: list[tuple[int, Detections]], about: About) -> list[Any]:
    labels = {note.camera: note.labels for note in about.models}
    counts = [len(one.score) for _, one in found]
    each = [one for (_, one), count in zip(found, counts, strict=True) for _ in range(count)]
    xyxy = np.concatenate([one.xyxy.reshape(-1, 4) for _, one in found])
    numbers = np.concatenate([one.label for _, one in found]).tolist()
    return [
        np.repeat(np.array([one.event_ns for _, one in found], np.int64), counts),
        np.repeat(np.array([at for at, _ in found], np.int64), counts),
        [one.camera for one in each],
        [one.frame for one in each],
        [label_of(labels.get(one.camera, ()), number) for one, number in zip(each, numbers, strict=True)],
        np.concatenate([one.score for _, one in found]),
        *(np.ascontiguousarray(xyxy[:, side]) for side in range(4)),
        [one.width_px for one in each],
        [one.height_px for one in each],
    ]


class _Alert(msgspec.Struct, rename=lambda name: name.rstrip("_")):
    """What of an alert has columns."""

    seq: int
    id: str
    rule: str
    subject: str
    change: str
    state: str
    severity: str
    severity_max: str
    started: str
    changed: str
    code: str = ""
    class_: str = "city"
    status: str = "actual"
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    camera: str | None = None
    title: dict[str, str] = {}
    text: dict[str, str] = {}
