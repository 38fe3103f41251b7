"""The Parquet files of an export: their columns by name and type, written in row groups, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.exchange.arrow import arrow, parquet

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.recording.parts import About

ROWS = 100_000  # of a row group: some megabytes in memory, and few enough groups
Columns = tuple[tuple[str, str], ...]
"""Name and type: an Arrow type's name, `time` (ns, UTC) or `dictionary` (of texts)."""


class Sheet:
    """One file: columns wait until they are a row group."""

    def __init__(self, path: Path, schema: Any) -> None:
        self.schema = schema
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._writer: Any = parquet().ParquetWriter(self._part, schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = self._waits = 0

    def add(self, columns: list[Any]) -> None:
        """Columns of equal length, in the schema's order: lists, numpy or arrow arrays."""
        module = arrow()
        arrays = [
            column if isinstance(column, module.Array) else module.array(column, type=field.type)
            for column, field in zip(columns, self.schema, strict=True)
        ]
        batch = module.record_batch(arrays, schema=self.schema)
        self._waiting.append(batch)
        self._waits += len(batch)
        if self._waits >= ROWS:
            self._flush()

    def finish(self) -> int:
        """Close the file under its name; how many rows it has."""
        self._flush()
        self._writer.close()
        self._part.replace(self._path)
        return self._rows

    def close(self) -> None:
        """Let go of a file that is not finished."""
        self._writer.close()
        self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        if self._waiting:
            table = arrow().Table.from_batches(self._waiting, self.schema).unify_dictionaries()
            self._writer.write_table(table)
            self._rows += len(table)
            self._waiting, self._waits = [], 0


def type_of(name: str) -> Any:
    """The Arrow type of that name."""
    module = arrow()
    if name == "time":
        return module.timestamp("ns", "UTC")
    return module.dictionary(module.int32(), module.string()) if name == "dictionary" else getattr(module, name)()


ALERTS: Columns = (
    ("seq", "int64"),
    *((name, "string") for name in ("id", "code", "rule", "subject", "class", "change", "state", "status")),
    ("severity", "string"),
    ("severity_max", "string"),
    ("started", "time"),
    ("changed", "time"),
    ("value", "float64"),
    ("limit", "float64"),
    *((name, "string") for name in ("unit", "title_zh", "title_en", "text_zh", "text_en", "camera", "json")),
)
DETECTIONS: Columns = (
    ("time", "time"),
    ("admitted", "time"),
    ("camera", "dictionary"),
    ("frame", "int64"),
    ("label", "dictionary"),
    *((name, "float32") for name in ("score", "x1", "y1", "x2", "y2")),
    ("width", "int32"),
    ("height", "int32"),
)
COVERAGE: Columns = (
    ("camera", "dictionary"),
    ("from", "time"),
    ("to", "time"),
    ("why", "dictionary"),
)


def schema_of(columns: Columns, about: About) -> Any:
    """The Arrow schema of columns, with whose they are."""
    module = arrow()
    return module.schema([module.field(name, type_of(kind)) for name, kind in columns], {"gateway": about.gateway})
