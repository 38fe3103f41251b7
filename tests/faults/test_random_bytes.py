"""Random bytes as MQTT: the gateway does not die, keeps its memory, connects again, and a good broker loses nothing."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.garbage import GarbageBroker
from tests.faults.streams import Stream, held_for
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

EACH = 4  # brokers of nonsense for each version: after a bad packet each waits before it is asked again
GROWTH_BYTES = 60_000_000  # of resident memory: the bounds are 4 MB a broker in the door, and 256 kB a transaction
PANIC = "PyObject pointer is null"
"""What the library mqtt5 0.8 prints over text that is no UTF-8; the source takes it for a packet that is none."""
CONFIG = """
gateway: noisy
brokers:
  good: {{url: "{good}"}}
{brokers}
sensors:
  {name}: {{mqtt: good, topic: "{name}/{{device}}", json: {{time: t, value: v}}}}
{sensors}
sinks: {{influx: {{v1: "{influx}", db: {name}, from: oldest}}}}
"""


@pytest.mark.parametrize(
    "size",
    [100_000, pytest.param(10_000_000, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])],
    ids=["100 kB", "10 MB"],
)
def test_random_bytes_as_mqtt_harm_nobody_else(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway], size: int
) -> None:
    """Given brokers that send nonsense in MQTT 5 and 3.1.1, then one good broker's messages are all stored."""
    name = influx.database(f"noise{size}")
    seconds = 60 + size / 15_000  # most of it is spent waiting to be asked again
    with ExitStack() as stack:
        brokers = [
            stack.enter_context(GarbageBroker(seed, size // (2 * EACH), modern=seed % 2 == 0))
            for seed in range(2 * EACH)
        ]
        gateway = gateway_of(_config(name, own_mosquitto, influx, brokers))
        gateway.start()
        stream = stack.enter_context(Stream(own_mosquitto.port, name, rate=50.0))
        until(lambda: stream.published > 20, what="the stream")
        before = _resident_bytes(gateway.pid)
        until(lambda: sum(broker.sent for broker in brokers) >= size, seconds, f"{size} bytes to be taken")
        until(lambda: all(broker.connections > 1 for broker in brokers), 90, "each to be asked again")
        grown = _resident_bytes(gateway.pid) - before
        published = stream.finish()
        until(lambda: len(_values(influx, name)) >= published, 30, f"{published} values")
        assert _values(influx, name) == list(map(float, range(published)))
        assert grown < GROWTH_BYTES
        assert gateway.get("/healthz")[0] == 200
        assert gateway.stop() == 0, "it never died"
    log = gateway.log.read_text()
    assert log.count("Traceback") == log.count(PANIC), "nothing was raised but what is caught"
    assert held_for(own_mosquitto.port, "noisy") == 0, "not acknowledged"


def _config(name: str, good: Mosquitto, influx: Influx, brokers: list[GarbageBroker]) -> str:
    version = ("5", "3.1.1")
    return CONFIG.format(
        name=name,
        good=good.url,
        influx=influx.url,
        brokers="\n".join(
            f'  bad{n}: {{url: "mqtt://127.0.0.1:{broker.port}", version: "{version[n % 2]}"}}'
            for n, broker in enumerate(brokers)
        ),
        sensors="\n".join(
            f'  noise{n}: {{mqtt: bad{n}, topic: "noise/{{device}}", json: {{value: v}}, series: 50}}'
            for n in range(len(brokers))
        ),
    )


def _values(influx: Influx, name: str) -> list[float]:
    rows = influx.query(f"SELECT value FROM {name}", name)  # noqa: S608 - a name of ours
    return sorted(row["value"] for row in rows)  # type: ignore[type-var, misc]  # numbers all


def _resident_bytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024
