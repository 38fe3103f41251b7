"""The CSV of labels beside a recording: read with every fault at once, each with its line, and written again."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.codecs.times import moment_ns
from gateway.errors import ConfigError, GatewayError
from gateway.replaying.labels import END_NS, Labels, Verdict, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

COLUMNS = ("rule", "subject", "from", "to", "verdict", "note", "alert")
VERDICTS: dict[str, Verdict] = {"right": "right", "wrong": "wrong", "属实": "right", "误报": "wrong"}
SUFFIX = ".labels.csv"


def beside(recording: Path) -> Path:
    """Where the labels of a recording stand: `day.labels.csv` beside `day.mcap`, `labels.csv` in a folder of them."""
    return recording / "labels.csv" if recording.is_dir() else recording.with_name(f"{recording.stem}{SUFFIX}")


def read_beside(recordings: Sequence[Path], zone: str = "") -> Labels:
    """The labels that stand beside these recordings, those that do. Raises ConfigError."""
    folders = [given if given.is_dir() else given.parent for given in recordings]
    files = dict.fromkeys([folder / "labels.csv" for folder in folders] + [beside(given) for given in recordings])
    return Labels().and_then(*(read(path, zone) for path in files if path.is_file()))


def read(path: Path, zone: str = "") -> Labels:
    """The labels in a file. `zone`: of times without an offset, else they are refused. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: found bytes that are no UTF-8; save it as “CSV UTF-8”"]) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    findings: list[str] = []
    windows: list[Window] = []
    columns: list[str] = []
    try:
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = [cell.strip().lower() for cell in cells]
                findings += _wrong_columns(columns, where)
                if findings:
                    break
                continue
            try:
                windows.append(_window(_by_name(columns, cells), where, zone))
            except ValueError as error:
                findings.append(f"{where}: {error}")
    except csv.Error as error:
        findings.append(f"{path}:{reader.line_num}: this is no CSV: {error}")
    if findings:
        raise ConfigError(findings)
    return Labels(windows)


def write(path: Path, labels: Labels, zone: str) -> None:
    """Write them, times in `zone`; the file is there whole or as it was. Raises GatewayError."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_row(window, ZoneInfo(zone or "UTC")) for window in labels.windows)
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text.getvalue(), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise GatewayError(f"cannot write {path}: {error.strerror}") from error


def _wrong_columns(columns: Sequence[str], where: str) -> list[str]:
    allowed = ", ".join(COLUMNS)
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        other = next((sign for sign in ";\t" if sign in unknown[0]), "")
        hint = f"; cells stand apart by {other!r}, not by commas" if other else ""
        return [f"{where}: found the column {unknown[0]!r}; columns are {allowed}{hint}"]
    if "verdict" not in columns or not {"rule", "alert"} & set(columns):
        return [f"{where}: found {', '.join(columns)}; `verdict` is needed, and `rule` or `alert`, of {allowed}"]
    twice = [name for name in columns if columns.count(name) > 1]
    return [f"{where}: found the column {twice[0]!r} twice"] if twice else []


def _by_name(columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
        raise ValueError(f'found {len(cells)} cells in {len(columns)} columns; a subject with commas stands in "…"')
    return dict(zip(columns, (cell.strip() for cell in cells), strict=False))


def _window(row: dict[str, str], where: str, zone: str) -> Window:
    """One row. Raises ValueError."""
    said, alert = row.get("verdict", ""), row.get("alert", "")
    verdict = VERDICTS.get(said.lower())
    if verdict is None:
        raise ValueError(f"verdict: found {said!r}; expected right (属实) or wrong (误报)")
    rule = row.get("rule", "") or alert.rpartition("-")[0]
    if not rule:
        raise ValueError("found neither a rule nor an alert; one of them says what is judged")
    given = [row.get(name, "") for name in ("from", "to")]
    if alert and not any(given):  # this alert alone, whatever else its rule raised
        from_ns, to_ns = END_NS, -END_NS
    else:
        from_ns = _moment("from", given[0], zone) if given[0] else -END_NS
        to_ns = _moment("to", given[1], zone) if given[1] else END_NS
        if to_ns < from_ns:
            raise ValueError(f"to: found {given[1]}, which is before from, {given[0]}")
    return Window(rule, row.get("subject", ""), from_ns, to_ns, verdict, row.get("note", ""), alert, where)


def _moment(name: str, text: str, zone: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name}: found {text!r}; expected a time such as 2026-08-14T02:02:07+08:00") from None
    if moment.tzinfo is None:
        if not zone:
            raise ValueError(f"{name}: found {text!r}; it needs an offset, such as {text}+08:00")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment_ns(moment, UTC)


def _row(window: Window, zone: ZoneInfo) -> Iterable[str]:
    sides = [] if window.from_ns > window.to_ns else [window.from_ns, window.to_ns]
    times = [_at(ns, zone) if abs(ns) != END_NS else "" for ns in sides] or ["", ""]
    return (window.rule, window.subject, *times, window.verdict, window.note, window.alert)


def written(ns: int, zone: str) -> str:
    """ISO 8601 with the zone's offset."""
    return _at(ns, ZoneInfo(zone or "UTC"))


def _at(ns: int, zone: ZoneInfo) -> str:
    moment = datetime.fromtimestamp(ns // 10**9, UTC).replace(microsecond=ns % 10**9 // 1000)
    return moment.astimezone(zone).isoformat()
