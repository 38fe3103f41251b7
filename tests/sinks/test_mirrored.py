"""Two sinks on one store mirror each other: one that is away or hangs holds up nobody, and then has everything."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.clock import NS, WallClock
from gateway.delivery import Delivery
from gateway.outbox import Outbox, Transaction
from gateway.outbox.records import SeriesRow
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from tests.door.until import until
from tests.outbox.conftest import write

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.events import Health
    from gateway.ports import Sink
    from tests.servers.influx import Influx, Victoria
    from tests.servers.proxy import Proxy

ROWS, POINTS = 40, 25
FAULTS: dict[str, Callable[[Proxy], None]] = {
    "refuses": lambda proxy: proxy.refuse(),
    "hangs": lambda proxy: proxy.stall(),
    "swallows": lambda proxy: proxy.half_open(),
    "is cut off again and again": lambda proxy: proxy.cut(),
}


class Mirror:
    """A store with two sinks, `near` on InfluxDB and `far` on another behind a proxy, each with its delivery."""

    def __init__(self, folder: Path, measurement: str, near: Sink, far: Sink) -> None:
        self._measurement = measurement.encode()
        self.clock = WallClock()
        self.outbox = Outbox.open(folder, self.clock)
        self.sinks = {"near": near, "far": far}
        self.told: list[Health] = []
        self.deliveries = {
            name: Delivery(self.outbox, sink, self.clock, self._report, 5_000_000) for name, sink in self.sinks.items()
        }
        self.written = 0

    async def _report(self, health: Health) -> None:
        self.told.append(health)

    async def write(self, rows: int) -> None:
        """So many rows of 25 points each, all different."""
        now_ns = self.clock.now_ns()
        for _ in range(rows):
            numbers = range(self.written, self.written + POINTS)
            body = b"".join(
                b"%b,d=%d v=%d %d\n" % (self._measurement, n % 5, n, now_ns - 60 * NS + n * 10**6) for n in numbers
            )
            self.written += POINTS
            row = SeriesRow(now_ns, POINTS, body)
            await write(self.outbox, Transaction(next_n=1, admitted_ns=now_ns, elapsed_ns=1, series=[row]))

    def waiting(self, sink: str) -> int:
        """Rows that a sink has not got."""
        return self.outbox.waiting("series", sink)


@pytest.mark.parametrize("fault", FAULTS)
async def test_one_that_fails_holds_up_nobody_and_gets_everything_afterwards(
    fault: str,
    influx: Influx,
    victoria: Victoria,
    proxy_to: Callable[[int], Proxy],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given a mirror whose other half fails, when rows come, then the sound half has them, and later both, exactly."""
    monkeypatch.setattr("gateway.sinks.influx_http.TIMEOUT_S", 0.3)
    monkeypatch.setattr("gateway.delivery.LAST_RETRY_S", 0.3)
    name = f"mirror{list(FAULTS).index(fault)}"
    proxy = proxy_to(influx.port)
    near = build_v2("near", V2(v2=victoria.url, bucket="b"), Path())
    far = build_v1("far", V1(v1=f"http://127.0.0.1:{proxy.port}", db=influx.database(name)), Path())
    mirror = Mirror(tmp_path, name, near, far)
    await mirror.outbox.declare([("near", "series", "oldest"), ("far", "series", "oldest")])
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.run()) for one in mirror.deliveries.values()]
        await mirror.write(5)
        await until(lambda: mirror.waiting("near") == mirror.waiting("far") == 0)
        FAULTS[fault](proxy)
        for _ in range(ROWS):
            await mirror.write(1)
            if fault == "is cut off again and again":
                proxy.cut()
            await until(lambda: mirror.waiting("near") == 0)
        if fault != "is cut off again and again":
            assert mirror.waiting("far") == ROWS
            await until(lambda: any(not health.ok for health in mirror.told))
            assert {health.component for health in mirror.told if not health.ok} == {"sink/far"}
            assert len(influx.query(f"SELECT v FROM {name}", name)) == 5 * POINTS  # noqa: S608 - a name of ours
        proxy.mend()
        await mirror.write(5)
        await until(lambda: mirror.waiting("near") == mirror.waiting("far") == 0)
        for task in running:
            task.cancel()
    for sink in mirror.sinks.values():
        await sink.aclose()
    every = list(range(mirror.written))
    in_influx = influx.query(f"SELECT v FROM {name}", name)  # noqa: S608 - a name of ours
    assert sorted(row["v"] for row in in_influx) == every  # type: ignore[type-var]  # numbers all
    assert sorted({v for series in victoria.export(f"{name}_v") for v in series["values"]}) == every  # type: ignore[attr-defined]  # JSON
    for delivery in mirror.deliveries.values():
        stats = delivery.stats()
        assert (stats["points_delivered_total"], stats["rejected_total"], stats["lag_rows"]) == (len(every), 0, 0)
    await mirror.outbox.close()
