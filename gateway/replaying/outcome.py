"""What is done with a replay's outputs as they come: kept in memory, written to a folder, or only counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.recording.alert_line import alert_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from gateway.events import AlertRow, RequestRow, Stepped

ALERTS, SERIES, REQUESTS = "alerts.jsonl", "series.lp", "requests.jsonl"


class Keeps(Protocol):
    """Takes outputs in order, then is closed, once."""

    def take(self, stepped: Sequence[Stepped]) -> None:
        """Must not wait."""
        ...

    def close(self, *, whole: bool = True) -> None:
        """What was taken is complete; not `whole`: the replay failed."""
        ...


def line_of(row: AlertRow) -> bytes:
    """The alert as a replay tells it, a JSON object with `status: test`, without a newline."""
    return alert_line(row, "test")


class Memory:
    """Keeps alert lines and series blobs."""

    def __init__(self) -> None:
        self.alerts: list[bytes] = []
        self.series: list[bytes] = []
        self.requests: list[RequestRow] = []

    def take(self, stepped: Sequence[Stepped]) -> None:
        """In order."""
        for one in stepped:
            self.alerts += map(line_of, one.alerts)
            self.requests += one.requests
            if one.series:
                self.series.append(one.series)

    def close(self, *, whole: bool = True) -> None:
        """Nothing to do."""
        del whole


class Files:
    """Writes what is asked for: alerts and requests as JSON lines, series as line protocol.

    Written beside as `.part` and given its name by `close`: a file of that name is whole. Raises GatewayError where
    one cannot be written.
    """

    def __init__(self, *, alerts: Path | None = None, series: Path | None = None, requests: Path | None = None) -> None:
        self._files: dict[str, tuple[BinaryIO, Path]] = {}
        for name, path in (("alerts", alerts), ("series", series), ("requests", requests)):
            if path is not None:
                self._files[name] = (_open(path), path)

    @classmethod
    def below(cls, folder: Path) -> Files:
        """All three in a folder, which is made."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(f"{folder}: cannot be made ({error.strerror})") from error
        return cls(alerts=folder / ALERTS, series=folder / SERIES, requests=folder / REQUESTS)

    def take(self, stepped: Sequence[Stepped]) -> None:
        """Append, in order."""
        for one in stepped:
            if one.alerts:
                self._write("alerts", b"".join(line_of(row) + b"\n" for row in one.alerts))
            if one.requests:
                self._write("requests", b"".join(msgspec.json.encode(request_of(row)) + b"\n" for row in one.requests))
            if one.series:
                self._write("series", one.series)

    def close(self, *, whole: bool = True) -> None:
        """Give the files their names, where they are whole. Raises GatewayError where what waited cannot be written."""
        files, self._files = list(self._files.values()), {}
        failed: GatewayError | None = None
        for file, path in files:
            try:
                file.close()
                if whole:
                    Path(file.name).replace(path)
            except OSError as error:
                failed = failed or GatewayError(f"{path}: cannot be written ({error.strerror})")
        if failed is not None and whole:
            raise failed

    def _write(self, name: str, lines: bytes) -> None:
        if name in self._files:
            file, path = self._files[name]
            try:
                file.write(lines)
            except OSError as error:
                raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error


class Both:
    """Gives everything to several."""

    def __init__(self, *each: Keeps) -> None:
        self._each = each

    def take(self, stepped: Sequence[Stepped]) -> None:
        """To each."""
        for one in self._each:
            one.take(stepped)

    def close(self, *, whole: bool = True) -> None:
        """All of them."""
        for one in self._each:
            one.close(whole=whole)


def request_of(row: RequestRow) -> dict[str, object]:
    """A request as a JSON object."""
    return {**msgspec.structs.asdict(row), "body": row.body.decode("utf-8", "replace")}


def _open(path: Path) -> BinaryIO:
    try:
        return path.with_name(f"{path.name}.part").open("wb", buffering=1 << 20)
    except OSError as error:
        raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error
