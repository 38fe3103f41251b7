"""Which column of a table is what: a sensor's time, tags and values, as told and, where nothing was told, by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.codecs import json_
from gateway.codecs.paths import parse_path
from gateway.config.names import nearest
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.exchange.given import Findings
    from gateway.exchange.topics import Wanted
    from gateway.ports import Field

TIMES = ("time", "timestamp", "ts", "datetime", "date_time", "_time", "date", "t", "at", "recorded")
TIMES_ZH = ("时间", "时间戳", "日期时间", "监测时间", "采集时间", "数据时间", "日期")
VALUES = ("value", "_value", "val", "值", "数值")
_UNIT = re.compile(r"[(\[（【].*")  # PM2.5 (ug/m3)
_BETWEEN = re.compile(r"[^0-9a-z\u3400-\u9fff]+")


class Told(msgspec.Struct, frozen=True):
    """What the command line says of a table's columns.

    time: the column with the time. columns: value or tag → column. tags: tag → what it is in every row. named: the
    column that says which value a row has, where each row has one alone.
    """

    time: str | None = None
    named: str | None = None
    columns: dict[str, str] = {}
    tags: dict[str, str] = {}


class Columns(NamedTuple):
    """Places of columns: `time`; of each tag, or what it always is; of each field, None where it is not there.

    `named`: of a value's name, and of the value, where each row has one alone.
    """

    time: int
    tags: tuple[tuple[str, int | str], ...]
    fields: tuple[int | None, ...]
    named: tuple[int, int] | None = None


def find_columns(
    name: str, columns: Sequence[str], wanted: Wanted, fields: Sequence[Field], told: Told, findings: Findings
) -> Columns:
    """Which column is what in the table `name`; what was guessed is noted.

    A tag without a column is the file's name, if it is the only one. Raises GatewayError, with the columns found, where
    there is none for the time, a tag or all values.
    """
    finder = _Finder(name, columns, findings, told.columns)
    names = {*(field.name for field in fields), *wanted.pattern.names, *(("value",) if told.named else ())}
    for key in [*told.columns, *told.tags]:
        if key not in names:
            raise GatewayError(
                f"found {key!r}; sensor {wanted.sensor.name} has {', '.join(sorted(names))}{nearest(key, names)}"
            )
    time = finder.named(told.time, "--time") if told.time else finder.like("the time", (*TIMES, *TIMES_ZH))
    if time is None:
        raise finder.lacks("no column for the time", "name it: --time COLUMN")
    paths = wanted.sensor.codec.json if isinstance(wanted.sensor.codec, json_.Json) else {}
    tags = _tags(wanted.pattern.names, told.tags, finder)
    if told.named is not None:
        name_at, value_at = finder.named(told.named, "--named"), finder.of("value", VALUES)
        if value_at is None:
            raise finder.lacks("no column called value", "name it: --column value=COLUMN")
        return Columns(time, tags, (None,) * len(fields), (name_at, value_at))
    places = [finder.of(field.name, _alike(field.name, paths)) for field in fields]
    lacking = [place for place, found in enumerate(places) if found is None]
    if len(lacking) == 1:
        places[lacking[0]] = finder.like(fields[lacking[0]].name, VALUES)
    if all(place is None for place in places):
        raise finder.lacks(
            f"no column for a value of sensor {wanted.sensor.name} ({', '.join(field.name for field in fields)})",
            "name it: --column VALUE=COLUMN",
        )
    for field, place in zip(fields, places, strict=True):
        if place is None:
            findings.note(f"{name}: no column for {field.name}: it is absent")
    return Columns(time, tags, tuple(places))


def _tags(names: Sequence[str], told: Mapping[str, str], finder: _Finder) -> tuple[tuple[str, int | str], ...]:
    found: dict[str, int | str | None] = {tag: told[tag] if tag in told else finder.of(tag, ()) for tag in names}
    lacking = [tag for tag, place in found.items() if place is None]
    if len(lacking) == 1 and finder.stem:
        finder.findings.note(f"{finder.name}: guessed {lacking[0]} = {finder.stem}, the file's name")
        found[lacking[0]] = finder.stem
    elif lacking:
        raise finder.lacks(f"no column for {' and '.join(lacking)}", f"--column {lacking[0]}=COLUMN or --tag …=…")
    return tuple((tag, place) for tag, place in found.items() if place is not None)


def _alike(name: str, paths: Mapping[str, str]) -> tuple[str, ...]:
    """The last key of a value's path in the payload: its devices' own word for it."""
    last = parse_path(paths[name]).steps[-1:] if name in paths else ()
    return tuple(step for step in last if isinstance(step, str))


class _Finder:
    """Finds columns by name; each is used once."""

    def __init__(self, name: str, columns: Sequence[str], findings: Findings, told: Mapping[str, str]) -> None:
        self.name = name
        self.findings = findings
        self.stem = re.sub(r"\.\w+$", "", name.rpartition("/")[2]) if "://" not in name else ""
        self._columns = list(columns)
        self._plain = [_plain(column) for column in columns]
        self._told = told
        self._taken = {self.named(column, f"--column {key}") for key, column in told.items()}

    def named(self, column: str, asked: str) -> int:
        """The place of the column of that very name. Raises GatewayError."""
        if column not in self._columns:
            raise self.lacks(f"no column {column!r} ({asked})", nearest(column, self._columns).lstrip("; "))
        return self._columns.index(column)

    def of(self, name: str, alike: Sequence[str]) -> int | None:
        """The column of a tag or value: the one told, else one of its name, else one of a name that is like it."""
        if name in self._told:
            return self.named(self._told[name], name)
        return self.like(name, (name, *alike))

    def like(self, what: str, names: Sequence[str]) -> int | None:
        """The first column that is named so, without regard to case, punctuation and a unit in brackets."""
        for name in names:
            plain = _plain(name)
            for place, column in enumerate(self._plain):
                if column == plain and place not in self._taken:
                    self._taken.add(place)
                    if self._columns[place].lower() != names[0].lower():
                        self.findings.note(f"{self.name}: guessed {what} from column {self._columns[place]!r}")
                    return place
        return None

    def lacks(self, what: str, do: str) -> GatewayError:
        """An error with the columns there are."""
        there = ", ".join(self._columns[:30]) or "none"
        return GatewayError(f"{self.name}: {what}; found the columns {there}" + (f"; {do}" if do else ""))


def _plain(column: str) -> str:
    return _BETWEEN.sub("", _UNIT.sub("", column).lower()) or column
