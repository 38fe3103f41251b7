"""Which importer reads which source: by names, by the configuration, or as told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.app.plan import find_models
from gateway.codecs.times import zone_of
from gateway.config.names import listed, nearest
from gateway.errors import GatewayError
from gateway.exchange import influx
from gateway.exchange.centre import GatewayAlerts
from gateway.exchange.columns import Told
from gateway.exchange.csv_file import CsvFile
from gateway.exchange.influx import InfluxQuery, Login
from gateway.exchange.mosquitto import STANDARD_INPUT, MosquittoLog, Payload
from gateway.exchange.order import WINDOW_NS
from gateway.exchange.parquet_file import ParquetFile
from gateway.exchange.readings import Readings, fields_in, zone_in
from gateway.exchange.topics import Topics
from gateway.exchange.videos import SUFFIXES, Videos

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.exchange.given import Findings, Importer
    from gateway.exchange.topics import Wanted

Format = Literal["mosquitto", "csv", "parquet", "video", "influx", "alerts"]
FORMATS: dict[str, Format] = {
    ".log": "mosquitto",
    ".txt": "mosquitto",
    ".gz": "mosquitto",
    ".json": "mosquitto",
    ".jsonl": "mosquitto",
    ".ndjson": "mosquitto",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".mcap": "alerts",
    **dict.fromkeys(SUFFIXES, "video"),
}
_ALERTS = "alerts.jsonl"  # what `export --format jsonl` and `replay --out` call them


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for. Times are ns UTC; `now_ns`: the end of a query that has none.

    format: of all sources, where their names do not say. source: whose messages they are. zone: of times that state
    none. window_ns: how far a log may be out of order. hole_ns: how long a source may be quiet before it is taken as
    not connected. by_day: a recording a day, each beginning anew, into a folder.
    """

    sources: tuple[str, ...]
    format: Format | None = None
    source: str | None = None
    sensors: tuple[str, ...] = ()
    camera: str | None = None
    told: Told = Told()
    zone: str | None = None
    payload: Payload = "text"
    window_ns: int = WINDOW_NS
    hole_ns: int | None = None
    shift_ns: int = 0
    start_ns: int | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    now_ns: int = 0
    every: int | None = None
    threads: int = 1
    keep_video: bool = False
    login: Login = Login()
    query: str | None = None
    by_day: bool = False


class Choosing:
    """Finds the importers for what was asked."""

    def __init__(self, config: Config, asked: Asked, findings: Findings) -> None:
        self._config = config
        self._asked = asked
        self._findings = findings
        self._zone = self._zone_told()
        self._paths: list[tuple[Path, Format]] = []

    def importers(self) -> list[Importer]:
        """All of them, each for one file or one sensor of a server."""
        found: list[Importer] = []
        for source in self._asked.sources:
            if source.startswith((influx.SCHEME, "http://", "https://")):
                found += self._queries(source)
            else:
                self._paths += list(self._files(source))
        logs = [path for path, kind in self._paths if kind == "mosquitto"]
        found += [self._log(path) for path in logs]
        found += [self._table(path, kind) for path, kind in self._paths if kind in {"csv", "parquet"}]
        found += self._films([path for path, kind in self._paths if kind == "video"])
        alerts = [path for path, kind in self._paths if kind == "alerts"]
        found += [GatewayAlerts(path, Topics(self._config, self._asked.source), self._findings) for path in alerts]
        if not found:
            raise GatewayError(f"found nothing to import in {', '.join(self._asked.sources)}; known: {listed(FORMATS)}")
        return found

    def _zone_told(self) -> tzinfo:
        try:
            return zone_of(self._asked.zone or self._config.timezone)
        except ValueError as error:
            raise GatewayError(f"--zone: {error}") from error

    def _files(self, source: str) -> Iterator[tuple[Path, Format]]:
        """The file with its format; of a folder every file of a known one. Raises GatewayError."""
        from pathlib import Path  # noqa: PLC0415 - elsewhere a type only

        path = Path(source)
        if source == STANDARD_INPUT:
            yield path, self._asked.format or "mosquitto"
        elif path.is_dir():
            for one in sorted(each for each in path.rglob("*") if each.is_file()):
                kind = _format_of(one)
                if kind is not None and self._asked.format in {None, kind}:
                    yield one, kind
        elif not path.exists():
            raise GatewayError(f"{source}: there is no such file or folder")
        else:
            kind = self._asked.format or _format_of(path)
            if kind is None:
                raise GatewayError(f"{source}: its name does not say what it is; known: {listed(FORMATS)}; or --format")
            yield path, kind

    def _log(self, path: Path) -> Importer:
        asked = self._asked
        topics = Topics(self._config, asked.source)
        return MosquittoLog(
            path, topics, self._findings, zone=self._zone, payload=asked.payload, window_ns=asked.window_ns
        )

    def _sensor_for(self, path: Path) -> Wanted:
        """The sensor told, else the one that the file or its folder is named after, else the only one."""
        topics = Topics(self._config)
        if len(self._asked.sensors) > 1:
            raise GatewayError(f"--sensor: found {len(self._asked.sensors)}; a table holds the readings of one")
        name = self._asked.sensors[0] if self._asked.sensors else None
        if name is None:
            name = next((one for one in (path.stem, path.parent.name) if one in topics.wanted), None)
        if name is None and len(topics.wanted) == 1:
            self._findings.note(f"{path}: readings of {next(iter(topics.wanted))}, the only sensor")
        return topics.named(name, f"say whose readings {path} holds with --sensor")

    def _readings(self, wanted: Wanted, *, floor: bool = False) -> Readings:
        fields = fields_in(wanted, self._config)
        return Readings(wanted, fields, self._findings, shift_ns=self._asked.shift_ns, floor=floor)

    def _table(self, path: Path, kind: Format) -> Importer:
        wanted = self._sensor_for(path)
        fields, readings = fields_in(wanted, self._config), self._readings(wanted)
        zone = zone_in(wanted, self._config, self._asked.zone)
        make = CsvFile if kind == "csv" else ParquetFile
        return make(path, wanted, fields, readings, self._findings, told=self._asked.told, zone=zone)

    def _queries(self, source: str) -> list[Importer]:
        asked, config = self._asked, self._config
        topics = Topics(config)
        if source.startswith(influx.SCHEME):
            server = influx.server_of_sink(source.removeprefix(influx.SCHEME), config)
        else:
            server = influx.server_at(source, asked.login)
        if asked.query and len(asked.sensors) != 1:
            raise GatewayError("--query: say whose readings it asks for with --sensor NAME")
        names = asked.sensors or tuple(topics.wanted)
        return [
            InfluxQuery(
                server,
                wanted,
                fields_in(wanted, config),
                self._readings(wanted, floor=True),
                self._findings,
                told=asked.told,
                from_ns=asked.from_ns,
                to_ns=asked.to_ns or asked.now_ns,
                query=asked.query,
            )
            for wanted in (topics.named(name, "") for name in names)
        ]

    def _films(self, paths: Sequence[Path]) -> list[Importer]:
        by_camera: dict[str, list[Path]] = {}
        for path in paths:
            by_camera.setdefault(self._camera_of(path), []).append(path)
        if not by_camera:
            return []
        manifests, notices = find_models(self._config)
        for name in by_camera:
            if name not in manifests:
                why = [one.detail for one in notices if one.component == f"camera/{name}"]
                raise GatewayError(f"camera {name}: its model cannot be had: {' '.join(why)}")
        asked = self._asked
        return [
            Videos(
                name,
                self._config.cameras[name],
                manifests[name],
                files,
                self._findings,
                zone=self._zone,
                start_ns=asked.start_ns,
                every=asked.every,
                threads=asked.threads,
                keep=asked.keep_video,
            )
            for name, files in by_camera.items()
        ]

    def _camera_of(self, path: Path) -> str:
        """The camera told, else the one that the file or a folder above it is named after, else the only one."""
        cameras = self._config.cameras
        told = self._asked.camera
        if told is not None:
            if told not in cameras:
                raise GatewayError(
                    f"--camera: found {told!r}{nearest(told, cameras) or f'; allowed: {listed(cameras)}'}"
                )
            return told
        for part in (path.stem, *(parent.name for parent in path.parents)):
            if part in cameras:
                return part
        begun = [name for name in cameras if path.stem.startswith(name)]
        if begun or len(cameras) == 1:
            return max(begun, key=len) if begun else next(iter(cameras))
        raise GatewayError(f"{path}: which camera took it? say --camera; the configuration's: {listed(cameras)}")


def _format_of(path: Path) -> Format | None:
    if path.name.endswith(_ALERTS):
        return "alerts"
    return FORMATS.get(path.suffix.lower())
