"""Certificates that expired or are somebody else's: said in words, tried again, and over once they are replaced."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import free_port
from tests.e2e.centre import Peer
from tests.faults.streams import held_for
from tests.servers.gateway import Gateway, until
from tests.servers.influx import Influx, Victoria

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.certificates import Authority, Certificate
    from tests.servers.mosquitto import Mosquitto

COUNT = 100
CONFIG = """
gateway: certified
brokers:
  here: {{url: "mqtts://127.0.0.1:{port}", version: "{version}", ca: "{ca}", certificate: "{crt}", key: "{key}"}}
sensors:
  meter: {{mqtt: here, topic: "meter/{{device}}", json: {{time: t, value: v}}}}
outbox: {{linger: 100 ms}}
sinks:
  log: {{file: log, from: oldest}}
{sinks}
"""


class Worn:
    """The files of a certificate that is replaced."""

    def __init__(self, folder: Path, name: str) -> None:
        self.crt, self.key = folder / f"{name}.crt", folder / f"{name}.key"

    def put_on(self, certificate: Certificate) -> None:
        """From now on this one lies there."""
        shutil.copy(certificate.crt, self.crt)
        shutil.copy(certificate.key, self.key)


class Rig:
    """A broker that asks for certificates, with another door for those who publish; a gateway; who they are."""

    def __init__(
        self,
        broker: Mosquitto,
        gateway_of: Callable[[str], Gateway],
        folder: Path,
        authority: Authority,
        other: Authority,
    ) -> None:
        self.broker, self.authority, self._other = broker, authority, other
        self.served, self.ours, self.stored = (Worn(folder, name) for name in ("served", "ours", "stored"))
        for worn, name in ((self.served, "broker"), (self.ours, "certified"), (self.stored, "database")):
            worn.put_on(authority.issue(name))
        self._port, self._gateway_of = free_port(), gateway_of
        broker.stop()
        broker.configure(
            f"listener {self._port} 127.0.0.1\ncertfile {self.served.crt}\nkeyfile {self.served.key}\n"
            f"cafile {authority.ca}\nrequire_certificate true"
        )
        broker.start()

    def gateway(self, version: str, sinks: str = "") -> Gateway:
        """One that was connected once."""
        text = CONFIG.format(
            port=self._port,
            version=version,
            ca=self.authority.ca,
            crt=self.ours.crt,
            key=self.ours.key,
            sinks=sinks,
        )
        gateway = self._gateway_of(text)
        gateway.start()
        return gateway

    def wrong(self, how: str, name: str) -> Certificate:
        """One that is not to be believed."""
        if how == "expired":
            return self.authority.expired(name)
        return self._other.issue(name) if how == "a stranger's" else self.authority.issue(name, "DNS:elsewhere.example")

    def publish(self, first: int) -> None:
        """COUNT values, which the broker has acknowledged."""
        now = time.time()
        with Peer(self.broker, "meters") as meters:
            sent = [meters.say("meter/d", {"t": now + n / 1000, "v": n}) for n in range(first, first + COUNT)]
            for one in sent:
                one.wait_for_publish(20)


@pytest.fixture
def rig(
    own_mosquitto: Mosquitto,
    gateway_of: Callable[[str], Gateway],
    tmp_path: Path,
    authority: Authority,
    stranger: Authority,
) -> Rig:
    """For one test."""
    return Rig(own_mosquitto, gateway_of, tmp_path, authority, stranger)


def _in_file(gateway: Gateway) -> list[float]:
    path = gateway.folder / "log.lp"
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(float(line.split()[1].partition("=")[2]) for line in lines if line.startswith("meter,"))


def _told(gateway: Gateway, component: str, words: str) -> bool:
    """Whether the log and an open alert say so."""
    told = any(component in line and words in line for line in gateway.log.read_text().splitlines())
    return told and any(alert["subject"].startswith(component) for alert in gateway.open_alerts())


def _all_there(rig: Rig, gateway: Gateway) -> None:
    """Two times COUNT values, each once, all acknowledged, and no alert left open."""
    until(lambda: len(_in_file(gateway)) >= 2 * COUNT, 60, "what had waited")
    assert _in_file(gateway) == list(map(float, range(2 * COUNT)))
    until(lambda: not [one for one in gateway.open_alerts() if one["unknown"] is None and _active(one)], 60, "all well")
    until(lambda: not gateway.metric("zhiwang_source_unacknowledged"), what="everything to be acknowledged")
    assert gateway.stop() == 0
    assert held_for(rig.broker.port, "certified") == 0, "not acknowledged"


def _active(alert: dict[str, object]) -> bool:
    return str(alert["state"]).startswith("active")


@pytest.mark.parametrize(
    ("how", "version", "words"),
    [
        ("expired", "5", "certificate has expired"),
        ("a stranger's", "3.1.1", "unable to get local issuer certificate"),
        ("another address's", "5", "certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_brokers_certificate_that_is_not_to_be_believed(rig: Rig, how: str, version: str, words: str) -> None:
    """Given a session, when the broker comes back with it, it is said; replaced, what the broker held is stored."""
    gateway = rig.gateway(version)
    rig.publish(0)
    until(lambda: len(_in_file(gateway)) == COUNT, what="the first values")
    rig.served.put_on(rig.wrong(how, "broker"))
    rig.broker.restart()
    rig.publish(COUNT)
    until(lambda: _told(gateway, "source/here", words), 8, f"{words!r} in {gateway.log}")
    assert len(_in_file(gateway)) == COUNT
    rig.served.put_on(rig.authority.issue("broker"))
    rig.broker.restart()
    _all_there(rig, gateway)


@pytest.mark.parametrize(
    ("how", "version", "words"),
    [
        ("expired", "5", "CERTIFICATE_EXPIRED"),
        ("a stranger's", "3.1.1", "UNKNOWN_CA"),
    ],
)
def test_a_certificate_of_our_own_that_the_broker_refuses(rig: Rig, how: str, version: str, words: str) -> None:
    """Given a session, when the broker no longer takes ours, it is said; replaced, it goes on without a restart."""
    gateway = rig.gateway(version)
    rig.publish(0)
    until(lambda: len(_in_file(gateway)) == COUNT, what="the first values")
    rig.ours.put_on(rig.wrong(how, "certified"))
    rig.broker.restart()
    rig.publish(COUNT)
    until(lambda: _told(gateway, "source/here", words), 5, f"{words!r} in {gateway.log}")
    assert len(_in_file(gateway)) == COUNT
    rig.ours.put_on(rig.authority.issue("certified"))
    _all_there(rig, gateway)


@pytest.fixture
def databases(rig: Rig, tmp_path: Path) -> Iterator[tuple[Influx, Victoria]]:
    """Both over TLS."""
    for kind in ("influx-tls", "victoria-tls"):
        (tmp_path / kind).mkdir()
    served = (rig.stored, rig.authority.ca)
    influx = Influx(tmp_path / "influx-tls", tls=served)  # type: ignore[arg-type]  # a certificate's two files
    victoria = Victoria(tmp_path / "victoria-tls", tls=served)  # type: ignore[arg-type]  # as above
    influx.start()
    victoria.start()
    yield influx, victoria
    influx.stop()
    victoria.stop()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("expired", "certificate has expired"),
        pytest.param(
            "another address's",
            "certificate is not valid for '127.0.0.1'",
            marks=[pytest.mark.soak, pytest.mark.timeout(300)],
        ),
    ],
)
def test_a_databases_certificate_that_is_not_to_be_believed(
    rig: Rig, databases: tuple[Influx, Victoria], how: str, words: str
) -> None:
    """Given two databases with it, it is said of each; replaced, every value is in both, once, and none was lost."""
    influx, victoria = databases
    influx.database("certified")
    kinds = (
        f'  one: {{v1: "{influx.url}", db: certified, from: oldest, ca: "{rig.authority.ca}"}}',
        f'  two: {{v2: "{victoria.url}", bucket: b, from: oldest, ca: "{rig.authority.ca}"}}',
    )
    for server in databases:
        server.stop()
    gateway = rig.gateway("5", "\n".join(kinds))
    rig.stored.put_on(rig.wrong(how, "database"))
    for server in databases:
        server.begin()
    rig.publish(0)
    for sink in ("sink/one", "sink/two"):
        until(lambda sink=sink: _told(gateway, sink, words), 40, f"{words!r} of {sink} in {gateway.log}")
    for server in databases:
        server.stop()
    rig.stored.put_on(rig.authority.issue("database"))
    for server in databases:
        server.start()
    rig.publish(COUNT)
    wanted = list(map(float, range(2 * COUNT)))
    until(lambda: _values(influx) == wanted, 60, "every value in InfluxDB")
    until(lambda: _exported(victoria) == wanted, 60, "every value in VictoriaMetrics")
    assert gateway.metric("zhiwang_sink_rejected_total") == 0
    _all_there(rig, gateway)


def _values(influx: Influx) -> list[float]:
    return sorted(row["value"] for row in influx.query("SELECT value FROM meter", "certified"))  # type: ignore[type-var, misc]  # numbers all


def _exported(victoria: Victoria) -> list[float]:
    """One that was written twice may be read twice there."""
    return sorted({value for one in victoria.export("meter_value") for value in one["values"]})  # type: ignore[attr-defined]  # JSON
