"""Every sink keeps the contract of ports.Sink, with its real server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import aiomqtt

from gateway.clock import WallClock
from gateway.config.box import HistoryConfig
from gateway.config.model import Broker
from gateway.errors import Unreachable
from gateway.ports import Row
from gateway.sinks import mqtt_link
from gateway.sinks.file import File, FileAlerts, FileSeries
from gateway.sinks.frigate import Frigate
from gateway.sinks.history import History, HistoryAlerts, HistorySeries
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from gateway.sinks.kinds import SINKS
from gateway.sinks.memory import MemorySink
from tests.sinks.alerts import NS, T0_NS, alert, rows
from tests.sinks.conftest import series_rows
from tests.sinks.contract import Case, check_sink
from tests.sinks.test_mqtt import BASE, Gateway, running

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from tests.servers.influx import Influx, Victoria
    from tests.servers.mosquitto import Mosquitto

SERIES = series_rows(*(b"contract,n=%d v=%d.5 %d\n" % (n, n, T0_NS + n * NS) for n in range(5)))
ALERTS = rows(alert(n, f"flood-{n}") for n in range(1, 6))
BAD_LINE = Row(99, 0, "", 1, b"contract,n=1 v= 5\n")
BAD_ALERT = Row(99, 0, "x/1", 1, b"\xc1")


async def test_memory_keeps_it() -> None:
    """In memory."""
    sink = MemorySink(refuse=lambda row: "v has no value" if row is BAD_LINE else None)

    async def read() -> list[object]:
        return list(sink.rows)

    def break_() -> None:
        sink.fail = Unreachable("away")

    def mend() -> None:
        sink.fail = None

    await check_sink(Case(sink, SERIES, BAD_LINE, read, break_, mend))


async def test_influx_1_keeps_it(own_influx: Influx) -> None:
    """Influxd 1.6."""
    sink = build_v1("influx", V1(v1=own_influx.url, db=own_influx.database("contract")), Path())

    async def read() -> list[object]:
        return [(row["time"], row["v"], row["n"]) for row in own_influx.query("SELECT v, n FROM contract", "contract")]

    await check_sink(Case(sink, SERIES, BAD_LINE, read, own_influx.stop, own_influx.start))


async def test_influx_2_keeps_it(victoria: Victoria) -> None:
    """VictoriaMetrics, which passes over bad lines by itself."""
    sink = build_v2("influx", V2(v2=victoria.url, org="o", bucket="b"), Path())

    async def read() -> list[object]:
        found = victoria.export("contract_v")
        return sorted((json.dumps(s["metric"]), sorted(set(map(str, s["values"])))) for s in found)  # type: ignore[call-overload]  # JSON

    await check_sink(Case(sink, SERIES, None, read))


async def test_the_history_keeps_it(tmp_path: Path) -> None:
    """SQLite: both of its streams."""
    history = History(tmp_path / "h", HistoryConfig(), WallClock())

    async def read_alerts() -> Sequence[object]:
        return await history.since(0, 1000)

    async def read_series() -> Sequence[object]:
        return [last for last in await history.latest() if last.subject.startswith("contract.")]

    await check_sink(Case(HistoryAlerts(history), ALERTS, BAD_ALERT, read_alerts))
    await check_sink(Case(HistorySeries(history), SERIES, None, read_series))
    await history.aclose()


async def test_mqtt_keeps_it(own_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mosquitto: what is retained is what is open."""
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 1.0)
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:

        async def read() -> Sequence[object]:
            return await _retained_seqs(own_mosquitto)

        await check_sink(Case(gateway.alerts, ALERTS, BAD_ALERT, read, own_mosquitto.stop, own_mosquitto.start))


async def test_a_file_keeps_it(tmp_path: Path) -> None:
    """Both of its files; the folder above them cannot be one while a file stands in its place."""
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path)
    await gateway.history.begin("e1")
    for number, (kind, each, bad) in enumerate(((FileSeries, SERIES, None), (FileAlerts, ALERTS, BAD_ALERT))):
        folder, away = tmp_path / f"out{number}", tmp_path / f"away{number}"

        async def read(folder: Path = folder) -> Sequence[object]:
            return [line for line in _only_file(folder).read_text().splitlines() if not line.startswith("#")]

        def break_(folder: Path = folder, away: Path = away) -> None:
            folder.rename(away)
            folder.touch()

        def mend(folder: Path = folder, away: Path = away) -> None:
            folder.unlink()
            away.rename(folder)

        sink = kind("log", File(file=f"out{number}/log"), gateway.around)
        await check_sink(Case(sink, each, bad, read, break_, mend))
    await gateway.history.aclose()


async def test_a_sink_of_each_kind_is_built_from_its_configuration(tmp_path: Path) -> None:
    """By its key, with its streams; what the app must keep running is stated."""
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path)
    kinds = {
        "v1": V1(v1="http://x", db="d"),
        "v2": V2(v2="http://x", bucket="b"),
        "mqtt": gateway.kind,
        "file": File(file="f"),
        "frigate": Frigate(frigate=gateway.kind.mqtt),
    }
    streams = {"mqtt": ["alerts", "requests"], "file": ["series", "alerts"], "frigate": ["requests"]}
    assert set(kinds) == set(SINKS)
    for key, kind in kinds.items():
        assert SINKS[key].struct is type(kind)
        built = SINKS[key].build("name", kind, gateway.around)
        assert (built.run is not None) == (key in {"mqtt", "frigate"})
        assert built.in_order == (key == "file")
        assert [sink.stream for sink in built.sinks] == streams.get(key, ["series"])
        for sink in built.sinks:
            assert sink.name == "name"
            await sink.aclose()
    await gateway.history.aclose()


def _only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


async def _retained_seqs(broker: Mosquitto) -> list[object]:
    found: list[object] = []
    async with aiomqtt.Client(broker.host, broker.port) as client:
        await client.subscribe(f"{BASE}/open/+", qos=1)
        await client.subscribe("sync/contract")
        await client.publish("sync/contract", b"", qos=1)
        async with asyncio.timeout(10):
            async for message in client.messages:
                if str(message.topic) == "sync/contract":
                    break
                found.append((str(message.topic), json.loads(bytes(message.payload))["seq"]))
    return sorted(found)  # type: ignore[type-var]  # tuples of a text and a number
