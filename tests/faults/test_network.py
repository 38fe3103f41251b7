"""The network fails in every way, before the broker and before the databases: nothing is lost, all else goes on.

stream ─▶ broker ─▶ PROXY ─▶ gateway ─▶ PROXY ─▶ InfluxDB, VictoriaMetrics
stream ─▶ sound broker ─────▶   └─────▶ file
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import free_port
from tests.faults.streams import Stream, held_for
from tests.servers.gateway import Gateway, until
from tests.servers.influx import Influx, Victoria

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.certificates import Authority
    from tests.servers.mosquitto import Mosquitto
    from tests.servers.proxy import Proxy

CONFIG = """
gateway: faulty
brokers:
  shaky: {{url: "{broker}", keepalive: 5 s{ca}}}
  sound: {{url: "{sound}"}}
sensors:
  {name}: {{mqtt: shaky, topic: "{name}/{{device}}", json: {{time: t, value: v}}}}
  calm: {{mqtt: sound, topic: "calm/{{device}}", json: {{time: t, value: v}}}}
outbox: {{linger: 100 ms}}
sinks:
  influx: {{v1: "{influx}", db: {name}, from: oldest{ca}}}
  victoria: {{v2: "{victoria}", bucket: b, from: oldest{ca}}}
  log: {{file: log, from: oldest}}
"""
FAULTS: dict[str, Callable[[Proxy], None]] = {
    "delay": lambda proxy: proxy.delay(0.2),
    "stall": lambda proxy: proxy.stall(),
    "cut": lambda proxy: proxy.cut(),
    "half_open": lambda proxy: proxy.half_open(),
    "throttle": lambda proxy: proxy.throttle(5_000),
    "refuse": lambda proxy: proxy.refuse(),
    "corrupt": lambda proxy: proxy.corrupt(),
}
HOLDING = ("stall", "half_open", "refuse")
BREAKING = ("cut", "half_open", "refuse", "corrupt")
"""After these there is another connection."""
BROKER, DATABASES = "before the broker", "before the databases"
SHORT_S, LONG_S = 1.0, 60.0


class Rig(NamedTuple):
    """A gateway, what is around it, and the proxies in between, each with the place it stands at."""

    name: str
    gateway: Gateway
    broker: Mosquitto
    sound: Mosquitto
    influx: Influx
    victoria: Victoria
    proxies: list[tuple[str, Proxy]]

    def in_influx(self) -> list[float]:
        """The stream's values there: a redelivered point lands on itself."""
        rows = self.influx.query(f"SELECT value FROM {self.name}", self.name)  # noqa: S608 - a name of ours
        return sorted(row["value"] for row in rows)  # type: ignore[type-var, misc]  # numbers all

    def in_victoria(self) -> list[float]:
        """And there, where one that was written twice may be read twice."""
        found = self.victoria.export(f"{self.name}_value")
        return sorted({value for series in found for value in series["values"]})  # type: ignore[attr-defined]  # JSON

    def in_file(self, name: str) -> list[float]:
        """A stream's values in the file."""
        lines = (self.gateway.folder / "log.lp").read_text().splitlines()
        return sorted(float(line.split()[1].partition("=")[2]) for line in lines if line.startswith(f"{name},"))


class Around(NamedTuple):
    """What a rig is made of, but for the servers that may speak TLS."""

    sound: Mosquitto
    gateway_of: Callable[[str], Gateway]
    proxy_to: Callable[[int], Proxy]

    def rig(self, name: str, broker: Mosquitto, port: int, influx: Influx, victoria: Victoria, ca: Path | None) -> Rig:
        """One whose stream and database have this name; `port`: where the broker listens for it; `ca`: over TLS."""
        before, one, other = self.proxy_to(port), self.proxy_to(influx.port), self.proxy_to(victoria.port)
        text = CONFIG.format(
            name=influx.database(name),
            broker=f"mqtt{'s' if ca else ''}://127.0.0.1:{before.port}",
            sound=self.sound.url,
            influx=f"http{'s' if ca else ''}://127.0.0.1:{one.port}",
            victoria=f"http{'s' if ca else ''}://127.0.0.1:{other.port}",
            ca=f", ca: {ca}" if ca else "",
        )
        proxies = [(BROKER, before), (DATABASES, one), (DATABASES, other)]
        return Rig(name, self.gateway_of(text), broker, self.sound, influx, victoria, proxies)


@pytest.fixture
def around(sound: Mosquitto, gateway_of: Callable[[str], Gateway], proxy_to: Callable[[int], Proxy]) -> Around:
    """For one test."""
    return Around(sound, gateway_of, proxy_to)


@pytest.fixture
def rig(around: Around, own_mosquitto: Mosquitto, influx: Influx, victoria: Victoria) -> Callable[[str], Rig]:
    """Makes one, by its name."""
    return lambda name: around.rig(name, own_mosquitto, own_mosquitto.port, influx, victoria, None)


def endure(rig: Rig, fault: str, places: tuple[str, ...], seconds: float) -> None:
    """A stream, the fault at these places for a while, and the exact count of everything."""
    proxies = [proxy for place, proxy in rig.proxies if place in places]
    rig.gateway.start()
    with Stream(rig.broker.port, rig.name) as stream, Stream(rig.sound.port, "calm") as other:
        until(lambda: min(len(rig.in_influx()), len(rig.in_victoria())) > 50, what="the stream to flow")
        begun, before, calm = time.monotonic(), stream.published, other.published
        connections = [proxy.connections for proxy in proxies]
        _again(fault, proxies)
        until(lambda: len(rig.in_file("calm")) > calm + 100, what="the other flow to go on")
        while (left := begun + seconds - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            if fault == "cut":
                _again(fault, proxies)
        if fault in HOLDING:
            assert len(rig.in_influx()) < stream.published - (stream.published - before) / 2, "the fault did nothing"
        for proxy in proxies:
            proxy.mend()
        after = stream.published + 50  # sent behind all that the broker sends again
        until(lambda: len(rig.in_influx()) > after, 90, "the stream to flow again")
        published, beside = stream.finish(), other.finish()
    _all_is_there(rig, published, beside)
    if fault in BREAKING:
        assert all(proxy.connections > had for proxy, had in zip(proxies, connections, strict=True))
    assert rig.gateway.stop() == 0
    assert (held_for(rig.broker.port, "faulty"), held_for(rig.sound.port, "faulty")) == (0, 0), "not acknowledged"


def _again(fault: str, proxies: list[Proxy]) -> None:
    for proxy in proxies:
        FAULTS[fault](proxy)


def _all_is_there(rig: Rig, published: int, beside: int) -> None:
    """Each value once, at every place it was to go to, nothing refused, everything acknowledged."""
    for stored in (rig.in_influx, rig.in_victoria, lambda: rig.in_file(rig.name)):
        until(lambda stored=stored: len(stored()) >= published, 90, f"{published} values")
        assert stored() == list(map(float, range(published)))
    until(lambda: len(rig.in_file("calm")) >= beside, what=f"{beside} values beside")
    assert rig.in_file("calm") == list(map(float, range(beside)))
    assert rig.gateway.metric("zhiwang_door_dead_total") == rig.gateway.metric("zhiwang_sink_rejected_total") == 0
    until(lambda: not rig.gateway.metric("zhiwang_source_unacknowledged"), what="everything to be acknowledged")


EVERYWHERE = (BROKER, DATABASES)
EACH = [
    *((fault, EVERYWHERE) for fault in ("delay", "stall", "throttle", "half_open")),
    *((fault, (place,)) for fault in ("cut", "refuse") for place in EVERYWHERE),
]


@pytest.mark.parametrize(("fault", "places"), EACH, ids=[f"{fault} {' and '.join(places)}" for fault, places in EACH])
def test_a_network_that_fails_for_a_moment_loses_nothing(
    rig: Callable[[str], Rig], fault: str, places: tuple[str, ...]
) -> None:
    """Given a stream, when the fault was there and has ended, every value is stored once and acknowledged."""
    endure(rig(f"{fault}{len(places[0])}"), fault, places, SHORT_S)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "corrupt"])
def test_a_network_that_fails_for_a_minute_everywhere_loses_nothing(rig: Callable[[str], Rig], fault: str) -> None:
    """The long form: at both places at once."""
    endure(rig(f"{fault}long"), fault, EVERYWHERE, LONG_S)


@pytest.fixture
def secure(
    around: Around, own_mosquitto: Mosquitto, tmp_path: Path, authority: Authority
) -> Iterator[Callable[[str], Rig]]:
    """The same over TLS, which alone notices that a bit was flipped."""
    port, served = free_port(), authority.issue("server")
    own_mosquitto.stop()
    own_mosquitto.configure(f"listener {port} 127.0.0.1\ncertfile {served.crt}\nkeyfile {served.key}")
    own_mosquitto.start()
    for kind in ("influx", "victoria"):
        (tmp_path / f"{kind}-tls").mkdir()
    influx = Influx(tmp_path / "influx-tls", tls=(served, authority.ca))
    victoria = Victoria(tmp_path / "victoria-tls", tls=(served, authority.ca))
    influx.start()
    victoria.start()
    yield lambda name: around.rig(name, own_mosquitto, port, influx, victoria, authority.ca)
    influx.stop()
    victoria.stop()


@pytest.mark.parametrize(
    "seconds",
    [SHORT_S, pytest.param(LONG_S, marks=[pytest.mark.soak, pytest.mark.timeout(900)])],
    ids=["short", "long"],
)
def test_flipped_bits_under_tls_lose_nothing_and_alter_nothing(secure: Callable[[str], Rig], seconds: float) -> None:
    """Given TLS to broker and databases, when bits flip on the way, every value is stored once, as it was sent."""
    endure(secure(f"corrupt{seconds:.0f}"), "corrupt", EVERYWHERE, seconds)
