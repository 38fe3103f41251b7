"""Which parts of a gateway would be one client of one broker: each would end the other's connection without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.config.urls import address

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec

    from gateway.config.findings import Path
    from gateway.config.model import Broker, Sensor, SinkConfig
    from gateway.config.report import Report

HERE = ("localhost", "::1")  # other names of 127.0.0.1


def check_connections(
    brokers: dict[str, Broker], sensors: Iterable[Sensor], sinks: Iterable[SinkConfig], report: Report
) -> None:
    """Two sinks on one broker, and one broker read under two names: their client ids are the same."""
    read: dict[str, Path] = {
        name: ("brokers", name, "url") for sensor in sensors if (name := broker_of(sensor.transport))
    }
    where = "to the same place as brokers.{first}; read under both names, each would end the other's connection"
    _tell(list(read.items()), brokers, f"leads {where}: keep one of them", report)
    written: list[tuple[str, Path]] = [
        (name, ("sinks", sink.name, sink.key)) for sink in sinks if (name := broker_of(sink.kind))
    ]
    _tell(written, brokers, "leads to a broker that another sink writes to already: keep one of them", report)


def broker_of(kind: msgspec.Struct) -> str:
    """The broker a transport or sink connects to; empty where it does not say."""
    return cast("str", kind.broker()) if hasattr(kind, "broker") else ""  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py


def _tell(used: list[tuple[str, Path]], brokers: dict[str, Broker], problem: str, report: Report) -> None:
    """Report each use of a place that one before it uses already; a broker that is missing is told elsewhere."""
    first: dict[tuple[str, int], str] = {}
    for name, path in used:
        if name in brokers:
            try:
                host, port, _ = address(brokers[name].url)
            except ValueError:  # no port: told at the url
                continue
            place = ("127.0.0.1" if host in HERE else host, port)
            if place in first:
                report.error(path, problem.format(first=first[place]))
            first.setdefault(place, name)
