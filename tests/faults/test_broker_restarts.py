"""The sensors' broker is restarted or killed, with and without its memory: what was acknowledged is stored, once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Peer
from tests.faults.streams import Stream, held_for
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

BURST = 200
PACKET = b"\x32LTTII\0"  # of a message beside its topic and body: kind, lengths, packet id, no properties
CONFIG = """
gateway: bereft
brokers: {{here: {{url: "{broker}", version: "{version}"}}}}
sensors:
  {name}: {{mqtt: here, topic: "{name}/{{device}}", json: {{time: t, value: v}}}}
rules: {{high: {{threshold: {name}.value, levels: {{red: 100}}}}}}
outbox: {{linger: 100 ms}}
sinks: {{influx: {{v1: "{influx}", db: {name}, from: oldest}}}}
"""


@pytest.fixture
def gateway_named(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway]
) -> Callable[[str, str], Gateway]:
    """A gateway that is connected, by its database's name and its version of MQTT."""

    def make(name: str, version: str) -> Gateway:
        influx.database(name)
        text = CONFIG.format(name=name, version=version, broker=own_mosquitto.url, influx=influx.url)
        gateway = gateway_of(text)
        gateway.start()
        return gateway

    return make


@pytest.mark.parametrize(
    ("version", "restarts"),
    [("5", 2), ("3.1.1", 2), pytest.param("5", 30, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])],
)
def test_a_broker_that_is_restarted_in_the_middle_of_a_stream(
    own_mosquitto: Mosquitto,
    influx: Influx,
    gateway_named: Callable[[str, str], Gateway],
    version: str,
    restarts: int,
) -> None:
    """Given a broker that saves what it holds, when it is restarted again and again, each value is stored once."""
    name = f"restarted{restarts}v{version[0]}"
    gateway = gateway_named(name, version)
    with Stream(own_mosquitto.port, name) as stream:
        for _ in range(restarts):
            sent = stream.published
            until(lambda sent=sent: stream.published > sent + 50, what="the stream to flow")
            own_mosquitto.restart()
        published = stream.finish()
    until(lambda: len(_values(influx, name)) >= published, 60, f"{published} values")
    assert _values(influx, name) == list(map(float, range(published)))
    assert gateway.metric("zhiwang_source_sessions_lost_total") == 0
    _well(gateway)
    if version == "5":
        assert held_for(own_mosquitto.port, "bereft") == 0, "not acknowledged"


@pytest.mark.parametrize("how", ["restarted without persistence", "killed after an old save", "restarted"])
def test_what_the_gateway_had_taken_when_the_broker_went_is_stored_once(
    own_mosquitto: Mosquitto, influx: Influx, gateway_named: Callable[[str, str], Gateway], how: str
) -> None:
    """Given a burst that the gateway has received and not acknowledged, whatever the broker remembers of it after."""
    name, persistent = f"taken{len(how)}", how != "restarted without persistence"
    if not persistent:
        own_mosquitto.stop()
        own_mosquitto.configure("persistence false")
        own_mosquitto.start()
    gateway = gateway_named(name, "5")
    base_s = time.time()
    os.kill(gateway.pid, signal.SIGSTOP)  # what is sent now waits in its socket
    sent = _burst(own_mosquitto, name, base_s, 0)
    until(lambda: _waiting_for_it(own_mosquitto.port) >= sent, what="the burst to be in its socket")
    if how == "killed after an old save":
        os.kill(own_mosquitto.pid, signal.SIGUSR1)  # it saves: all of the burst is unacknowledged there
        until((own_mosquitto.folder / "mosquitto.db").exists, what="the save")
        os.kill(gateway.pid, signal.SIGCONT)
        until(lambda: len(_values(influx, name)) == BURST, what="the burst")
        own_mosquitto.kill()
    else:
        own_mosquitto.stop()
        os.kill(gateway.pid, signal.SIGCONT)
        until(lambda: len(_values(influx, name)) == BURST, what="the burst")
    own_mosquitto.start()
    until(lambda: gateway.metric("zhiwang_source_reconnects_total") > 0, 60, "another connection")
    until(lambda: gateway.ready() and gateway.metric("zhiwang_source_connected"), what="it to be there")
    if persistent:
        until(lambda: gateway.metric("zhiwang_source_messages_total") == 2 * BURST, 30, "the burst a second time")
    _settled(gateway)
    _burst(own_mosquitto, name, base_s, BURST)
    until(lambda: len(_values(influx, name)) >= 2 * BURST, 30, "the next burst")
    assert _values(influx, name) == list(map(float, range(2 * BURST)))
    assert gateway.metric("zhiwang_source_sessions_lost_total") == (0 if persistent else 1)
    (alert,) = [one for one in gateway.open_alerts() if one["rule"] == "high"]
    assert alert["change"] in ("raised", "updated"), "the burst that came again has raised nothing anew"
    _well(gateway)
    assert held_for(own_mosquitto.port, "bereft") == 0, "not acknowledged"


def _burst(broker: Mosquitto, name: str, base_s: float, first: int) -> int:
    """Say it, and wait until the broker has it; how many bytes the gateway is sent, at the least."""
    topic, bodies = f"{name}/d", [{"t": base_s + n / 1000, "v": n} for n in range(first, first + BURST)]
    with Peer(broker, "meters") as meters:
        for one in [meters.say(topic, body) for body in bodies]:
            one.wait_for_publish(20)
    return sum(len(PACKET) + len(topic) + len(json.dumps(body)) for body in bodies)


def _waiting_for_it(port: int) -> int:
    """Bytes that clients of this port have not read yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[2].endswith(f":{port:04X}"))


def _settled(gateway: Gateway) -> None:
    """The trouble is over: the gateway says so once it has its subscription."""
    until(
        lambda: not [one for one in gateway.open_alerts() if one["class"] == "equipment" and _active(one)], 30, "well"
    )


def _active(alert: dict[str, object]) -> bool:
    return str(alert["state"]).startswith("active")


def _well(gateway: Gateway) -> None:
    assert gateway.metric("zhiwang_sink_rejected_total") == gateway.metric("zhiwang_door_dead_total") == 0
    until(lambda: not gateway.metric("zhiwang_source_unacknowledged"), what="everything to be acknowledged")
    assert gateway.stop() == 0


def _values(influx: Influx, name: str) -> list[float]:
    rows = influx.query(f"SELECT value FROM {name}", name)  # noqa: S608 - a name of ours
    return sorted(row["value"] for row in rows)  # type: ignore[type-var, misc]  # numbers all
