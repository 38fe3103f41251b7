"""Sinks over TLS: a city's own authority is enough, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.model import Broker
from gateway.errors import LoginRefused, Unreachable
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from tests.servers.influx import Influx, Victoria
from tests.sinks.alerts import alert, rows
from tests.sinks.conftest import series_rows
from tests.sinks.test_mqtt import running
from tests.sources.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gateway.sinks.influx import InfluxSink
    from tests.servers.certificates import Authority
    from tests.servers.mosquitto import Mosquitto

    Make = Callable[[str, str | None], InfluxSink]

ROWS = series_rows(b"tls,n=1 v=1.5 1700000000000000000\n")


@pytest.fixture
def secure_broker(own_mosquitto: Mosquitto, authority: Authority) -> Mosquitto:
    """A broker with the authority's certificate, which lets in clients with one of its certificates only."""
    served = authority.issue("broker")
    lines = (f"certfile {served.crt}", f"keyfile {served.key}", f"cafile {authority.ca}", "require_certificate true")
    own_mosquitto.stop()
    own_mosquitto.configure("\n".join(lines))
    own_mosquitto.start()
    return own_mosquitto


async def test_alerts_go_out_over_tls_with_a_certificate_of_our_own(
    secure_broker: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    """Given `ca:`, `certificate:` and `key:`, the broker takes alerts."""
    ours = authority.issue("lg-1")
    url = secure_broker.url.replace("mqtt://", "mqtts://")
    broker = Broker(url=url, ca=str(authority.ca), certificate=str(ours.crt), key=str(ours.key))
    async with running(broker, tmp_path) as gateway:
        assert list(await gateway.alerts.deliver(rows([alert(n, f"flood-{n}") for n in range(1, 51)]))) == []
        assert [health.ok for health in gateway.said] == [True]


async def test_a_broker_that_nobody_vouches_for_gets_no_alert_and_is_told(
    secure_broker: Mosquitto, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """By another authority's file, by the system's, and by the right one for another address."""
    ours = authority.issue("lg-1")
    secure = secure_broker.url.replace("mqtt://", "mqtts://")
    for url, ca, said in (
        (secure, str(stranger.ca), "self-signed certificate in certificate chain"),
        (secure, None, "certificate"),
        (secure.replace("127.0.0.1", "localhost"), str(authority.ca), "Hostname mismatch"),
    ):
        broker = Broker(url=url, ca=ca, certificate=str(ours.crt), key=str(ours.key))
        async with running(broker, tmp_path) as gateway:
            await until(lambda gateway=gateway: gateway.said)
        assert not gateway.said[0].ok
        assert "CERTIFICATE_VERIFY_FAILED" in gateway.said[0].detail
        assert said in gateway.said[0].detail


async def test_files_of_a_certificate_that_cannot_be_read_are_told(
    secure_broker: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    """Each by its name, and what is wrong with it."""
    (tmp_path / "text.crt").write_text("no certificate\n")
    url, good, other = secure_broker.url.replace("mqtt://", "mqtts://"), authority.issue("lg-1"), authority.issue("o")
    for ca, crt, key, said in (
        (authority.ca, "none.crt", good.key, "none.crt"),
        (authority.ca, good.crt, "none.key", "none.key"),
        ("text.crt", good.crt, good.key, "no certificates are in it"),
        (authority.ca, good.crt, other.key, f"or {other.key} is not its key"),
    ):
        broker = Broker(url=url, ca=str(ca), certificate=str(crt), key=str(key))
        async with running(broker, tmp_path) as gateway:
            await until(lambda gateway=gateway: gateway.said)
        assert "password or certificate cannot be read" in gateway.said[0].detail
        assert said in gateway.said[0].detail


@pytest.fixture(scope="module")
def secure_influx(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Influx]:
    """Influxd over HTTPS."""
    server = Influx(tmp_path_factory.mktemp("influx-tls"), tls=(authority.issue("influx"), authority.ca))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secure_victoria(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Victoria]:
    """VictoriaMetrics over HTTPS."""
    server = Victoria(tmp_path_factory.mktemp("victoria-tls"), tls=(authority.issue("victoria"), authority.ca))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["v1", "v2"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Influx | Victoria, Make]:
    """A server, and what makes a sink to a URL with a `ca:`."""
    if request.param == "v1":
        influx: Influx = request.getfixturevalue("secure_influx")
        influx.database("tls")
        return influx, lambda url, ca: build_v1("influx", V1(v1=url, db="tls", ca=ca), tmp_path)
    victoria: Victoria = request.getfixturevalue("secure_victoria")
    return victoria, lambda url, ca: build_v2("influx", V2(v2=url, bucket="b", ca=ca), tmp_path)


async def test_series_go_out_over_https(made: tuple[Influx | Victoria, Make], authority: Authority) -> None:
    """Given `ca:`, what is written is read back."""
    server, sink_to = made
    sink = sink_to(server.url, str(authority.ca))
    assert list(await sink.deliver(ROWS)) == []
    await sink.aclose()
    if isinstance(server, Influx):
        assert [row["v"] for row in server.query("SELECT v FROM tls", "tls")] == [1.5]
    else:
        assert server.export("tls_v")[0]["values"] == [1.5]


async def test_a_database_that_nobody_vouches_for_gets_no_series(
    made: tuple[Influx | Victoria, Make], authority: Authority, stranger: Authority
) -> None:
    """By another authority's file, by the system's, by the right one for another name; and without TLS at all."""
    server, sink_to = made
    for url, ca in (
        (server.url, str(stranger.ca)),
        (server.url, None),
        (server.url.replace("127.0.0.1", "localhost"), str(authority.ca)),
    ):
        sink = sink_to(url, ca)
        with pytest.raises(Unreachable, match=r"(?i)certificate"):
            await sink.deliver(ROWS)
        await sink.aclose()
    plain = sink_to(server.url.replace("https://", "http://"), None)
    with pytest.raises(Unreachable):
        await plain.deliver(ROWS)
    await plain.aclose()


async def test_an_authority_s_file_that_cannot_be_read_is_told(made: tuple[Influx | Victoria, Make]) -> None:
    """Given a `ca:` that is not there, when it is needed, then its path is said."""
    server, sink_to = made
    sink = sink_to(server.url, "none.crt")
    with pytest.raises(LoginRefused, match=r"none\.crt holds no certificates"):
        await sink.deliver(ROWS)
    await sink.aclose()
