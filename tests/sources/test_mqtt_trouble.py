"""MQTT in when the door is slow, the broker is away, or one of the two is not who the other expects."""

from __future__ import annotations

import subprocess
from functools import partial
from typing import TYPE_CHECKING

import aiomqtt
import pytest
from mqtt5 import DisconnectReasonCode

from gateway.config.common import Secret
from gateway.config.scalars import Duration, Size
from gateway.sources.mqtt_v5_packets import named
from gateway.sources.mqtt_words import in_words
from tests.sources.door import VERSIONS, Door, broker_at, publish, running
from tests.sources.waiting import until
from tests.sources.wire import PINGREQ, PUBLISH, wired

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.certificates import Authority
    from tests.servers.mosquitto import Mosquitto

NS = 10**9


@VERSIONS
async def test_a_door_that_hangs_for_longer_than_the_keepalive_costs_no_disconnect_and_no_memory(
    mosquitto: Mosquitto, version: str
) -> None:
    """Reading pauses at the bound; pings go out, and their answers are not waited for.

    Otherwise the broker would end the connection after 1.5 s, and a client itself after 2 s.
    """
    door = Door()
    door.shut = True
    async with wired(mosquitto.host, mosquitto.port) as wire:
        broker = broker_at(wire.url, version, keepalive=Duration(NS), buffer=Size(200_000))
        async with running(broker, door, [(f"slow{version}/#", 1)], f"slow{version}") as source:
            messages = [(f"slow{version}/a", b"%05d" % n + b"x" * 2_000) for n in range(900)]
            await publish(mosquitto.host, mosquitto.port, messages)
            await until(lambda: source.stats()["paused_total"] == 1)
            pings = wire.count(PINGREQ)
            await until(lambda: wire.count(PINGREQ) >= pings + 7)
            held = source.stats()["unacknowledged_bytes"]
            assert 200_000 < held < 200_000 + 2_500
            assert source.stats()["unacknowledged"] == len(door.messages) < 100
            door.open()
            await until(lambda: len(door.messages) == 900 and not source.stats()["unacknowledged"])
            pings = wire.count(PINGREQ)
            await until(lambda: wire.count(PINGREQ) >= pings + 2)  # and the usual keep-alive goes on
            assert source.stats()["reconnects_total"] == 0, door.said
    assert door.bodies == [body for _, body in messages]
    assert wire.connections == 1
    assert door.health("connected") == [True]


@VERSIONS
async def test_a_broker_that_dies_while_reading_is_paused_is_noticed(own_mosquitto: Mosquitto, version: str) -> None:
    door = Door()
    door.shut = True
    broker = broker_at(own_mosquitto.url, version, keepalive=Duration(NS), buffer=Size(50_000))
    async with running(broker, door, [("dies/#", 1)], "dies") as source:
        await publish(own_mosquitto.host, own_mosquitto.port, [("dies/a", b"x" * 2_000)] * 200)
        await until(lambda: source.stats()["paused_total"])
        own_mosquitto.stop()
        await until(lambda: not source.stats()["connected"])
        own_mosquitto.start()
        door.open()
        await until(lambda: source.stats()["connected"] and not source.stats()["unacknowledged"])
        await until(lambda: len({m.packet_id for m in door.messages}) == 200)


@VERSIONS
async def test_a_broker_that_is_away_at_first_is_told_and_found(own_mosquitto: Mosquitto, version: str) -> None:
    own_mosquitto.stop()
    door = Door()
    async with running(broker_at(own_mosquitto.url, version), door, [("a/#", 1)], "away", subscribed=False) as source:
        await until(lambda: door.said)
        assert not door.said[0].ok
        assert door.said[0].detail == f"nothing listens at 127.0.0.1:{own_mosquitto.port}"
        own_mosquitto.start()
        await until(lambda: source.subscribed)
        own_mosquitto.stop()
        await until(lambda: len(door.health("connected")) >= 3)
        own_mosquitto.start()
        await until(lambda: source.stats()["connected"])
        await until(lambda: door.said[-1].ok)
    assert door.health("connected")[:4] == [False, True, False, True]
    assert source.stats()["sessions_lost_total"] == 0


@VERSIONS
async def test_a_broker_that_hangs_is_given_up_after_the_keepalive(own_mosquitto: Mosquitto, version: str) -> None:
    door = Door()
    async with running(
        broker_at(own_mosquitto.url, version, keepalive=Duration(NS)), door, [("a/#", 1)], "hang"
    ) as source:
        own_mosquitto.pause()
        await until(lambda: not door.said[-1].ok)
        assert "Keep alive timeout" in door.said[-1].detail
        own_mosquitto.resume()
        await until(lambda: source.stats()["connected"])


@VERSIONS
async def test_a_session_that_the_broker_did_not_keep_is_counted_and_told(
    own_mosquitto: Mosquitto, version: str
) -> None:
    """Once a new one begins, the first time too, redelivery marks of an older one mean nothing."""
    door = Door()
    lost: list[int] = []
    connects = partial(door.health, "connected")
    broker = broker_at(own_mosquitto.url, version)
    async with running(broker, door, [("a/#", 1)], "lost", session_lost=lambda: lost.append(len(connects()))) as source:
        await until(lambda: len(lost) == 1)
        assert source.stats()["sessions_lost_total"] == 0
        own_mosquitto.kill()
        (own_mosquitto.folder / "mosquitto.db").unlink(missing_ok=True)
        own_mosquitto.start()
        await until(lambda: source.stats()["reconnects_total"] == 1)
        assert source.stats()["sessions_lost_total"] == 1
        await until(lambda: source.subscribed == {"a/#"})
        await publish(own_mosquitto.host, own_mosquitto.port, [("a/b", b"1")])
        await until(lambda: door.bodies == [b"1"])
        assert lost == [0, 2]  # after "connected: no" of the old one, before "connected" of the new one


@VERSIONS
async def test_another_client_of_the_same_name_is_told(mosquitto: Mosquitto, version: str) -> None:
    door, other = Door(), Door()
    async with running(broker_at(mosquitto.url, version), door, [("a/#", 1)], f"twin{version}"):  # noqa: SIM117  one after the other
        async with running(broker_at(mosquitto.url, version), other, [("a/#", 1)], f"twin{version}"):
            await until(lambda: any(not h.ok for h in door.said))
            told = next(h for h in door.said if not h.ok)
            assert f"is another client named 'twin{version}'?" in told.detail  # 2.0.11 closes without a word


def test_reason_codes_are_told_in_words_and_say_what_to_do() -> None:
    def words(code: int, *, elsewhere: str | None = None, reason: str | None = None) -> str:
        name = named(DisconnectReasonCode(code))
        return in_words(code, name, "twin", elsewhere=elsewhere, reason=reason)

    assert words(142) == "another client took over the session: only one may be named 'twin'"
    assert words(139) == "Server shutting down"
    assert words(155, reason="we have no QoS") == "QoS not supported (it says: we have no QoS)"
    assert words(135).startswith("login refused (Not authorized)")
    assert words(157, elsewhere="b.example:1883") == (
        "the broker sends us to b.example:1883 (Server moved): change its url"
    )
    assert words(156).startswith("the broker sends us elsewhere")


@pytest.fixture
def guarded(own_mosquitto: Mosquitto) -> Mosquitto:
    """A broker that lets in only `gw`, password `right`."""
    own_mosquitto.stop()
    passwords = own_mosquitto.folder / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", passwords, "gw", "right"], check=True)
    own_mosquitto.configure(f"allow_anonymous false\npassword_file {passwords}")
    text = (own_mosquitto.folder / "mosquitto.conf").read_text().replace("allow_anonymous true\n", "")
    (own_mosquitto.folder / "mosquitto.conf").write_text(text)
    own_mosquitto.start()
    return own_mosquitto


@VERSIONS
async def test_a_wrong_password_is_told_without_it_and_not_tried_again_soon(
    guarded: Mosquitto, tmp_path: Path, version: str
) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong-secret\n")
    door = Door()
    async with wired(guarded.host, guarded.port) as wire:
        broker = broker_at(wire.url, version, password=Secret(file=str(secret)))
        async with running(broker, door, [("a/#", 1)], "gw", subscribed=False) as source:
            await until(lambda: len(door.said) == 2)
            assert [(h.condition, h.ok) for h in door.said] == [("login", False), ("connected", False)]
            assert "login refused" in door.said[0].detail
            assert "wrong-secret" not in str(door.said)
            await publish(guarded.host, guarded.port, [("a", b"1")], username="gw", password="right")  # takes its time
            assert wire.connections == 1
            assert source.stats()["connected"] == 0


@VERSIONS
async def test_the_right_password_lets_us_in_and_the_user_is_the_gateways_name(
    guarded: Mosquitto, tmp_path: Path, version: str
) -> None:
    secret = tmp_path / "password"
    secret.write_text("right\n")
    door = Door()
    broker = broker_at(guarded.url, version, password=Secret(file=str(secret)))
    async with running(broker, door, [("a/#", 1)], "gw"):
        assert all(health.ok for health in door.said)
        assert {health.condition for health in door.said} >= {"login", "connected"}


@VERSIONS
@pytest.mark.parametrize(("inline", "let_in"), [("gw:right", True), ("gw:wr0ng%40", False)])
async def test_a_login_in_the_url_is_used_and_told_to_nobody(
    guarded: Mosquitto, version: str, inline: str, *, let_in: bool
) -> None:
    """It is a warning of `check`, not a gateway that cannot get in; the keys beside it come first."""
    door = Door()
    url = guarded.url.replace("://", f"://{inline}@")
    async with running(broker_at(url, version), door, [("a/#", 1)], "box", subscribed=False):
        await until(lambda: door.health("connected"))
        assert door.health("login") == door.health("connected") == [let_in]
    assert "wr0ng" not in str(door.said)


@VERSIONS
async def test_what_works_is_said_to_work_though_only_an_earlier_process_knew_otherwise(
    guarded: Mosquitto, tmp_path: Path, version: str
) -> None:
    """Given alerts about login and subscriptions from before a restart, when both are well, that ends them."""
    secret = tmp_path / "password"
    secret.write_text("right\n")
    door = Door()
    broker = broker_at(guarded.url, version, password=Secret(file=str(secret)))
    async with running(broker, door, [("a/#", 1)], "gw"):
        await until(lambda: door.health("subscribed"))
    for condition in ("login", "connected", "subscribed"):
        assert door.health(condition) == [True]


@VERSIONS
async def test_a_password_that_cannot_be_read_is_told(mosquitto: Mosquitto, tmp_path: Path, version: str) -> None:
    """Given no file, or one that is no text: by its name, and without what is in it."""
    (tmp_path / "binary").write_bytes(b"hunter2\xff\n")
    for file, why in (
        ("/no/such/file", "No such file or directory"),
        (f"{tmp_path}/binary", "it is not UTF-8 text (byte 7)"),
    ):
        door = Door()
        broker = broker_at(mosquitto.url, version, password=Secret(file=file))
        async with running(broker, door, [("a/#", 1)], "nosecret", subscribed=False):
            await until(lambda door=door: door.said)
        assert door.said[0].detail == f"cannot read {file}: {why}"


def certificate(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """A key and a certificate made by openssl: (certificate, key)."""
    made = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-out", made[0], "-keyout", made[1], *more),
        ],
        check=True,
        capture_output=True,
    )
    return made


@VERSIONS
async def test_tls_with_our_own_authority_and_a_certificate_nobody_vouches_for(
    own_mosquitto: Mosquitto, tmp_path: Path, version: str
) -> None:
    crt, key = certificate(tmp_path, "here", "-addext", "subjectAltName=IP:127.0.0.1")
    other, _ = certificate(tmp_path, "other")
    own_mosquitto.stop()
    own_mosquitto.configure(f"certfile {crt}\nkeyfile {key}")
    own_mosquitto.start()
    url = own_mosquitto.url.replace("mqtt://", "mqtts://")
    door, stranger = Door(), Door()
    async with running(broker_at(url, version, ca=str(crt)), door, [("t/#", 1)], "tls") as source:
        trusting = aiomqtt.TLSParameters(ca_certs=str(crt))
        await publish(
            own_mosquitto.host, own_mosquitto.port, [("t/a", b"x" * 300_000)], tls_params=trusting, identifier="sensor"
        )
        await until(lambda: door.messages and not source.stats()["unacknowledged"])
        assert len(door.bodies[0]) == 300_000
    async with running(broker_at(url, version, ca=str(other)), stranger, [("t/#", 1)], "tls", subscribed=False):
        await until(lambda: stranger.said)
        assert "certificate of 127.0.0.1" in stranger.said[0].detail
        assert "is refused: self" in stranger.said[0].detail


@VERSIONS
async def test_a_broker_that_asks_for_our_certificate_gets_it(
    own_mosquitto: Mosquitto, authority: Authority, tmp_path: Path, version: str
) -> None:
    """Given `certificate:` and `key:` it lets us in; without, or with files that do not fit, that is told."""
    served, ours, other = (authority.issue(name) for name in ("broker", "gw", "other"))
    lines = (f"certfile {served.crt}", f"keyfile {served.key}", f"cafile {authority.ca}", "require_certificate true")
    own_mosquitto.stop()
    own_mosquitto.configure("\n".join(lines))
    own_mosquitto.start()
    url, ca = own_mosquitto.url.replace("mqtt://", "mqtts://"), str(authority.ca)
    let_in = broker_at(url, version, ca=ca, certificate=str(ours.crt), key=str(ours.key))
    async with running(let_in, Door(), [("t/#", 1)], "gw"):
        pass
    for broker, said in (
        (broker_at(url, version, ca=ca), ""),
        (
            broker_at(url, version, ca=ca, certificate=str(ours.crt), key=str(tmp_path / "none")),
            f"cannot read {tmp_path}/none",
        ),
        (broker_at(url, version, ca=ca, certificate=str(ours.crt), key=str(other.key)), f"{other.key} is not its key"),
    ):
        door = Door()
        async with running(broker, door, [("t/#", 1)], "gw", subscribed=False):
            await until(lambda door=door: door.health("connected"))
        assert door.health("connected")[0] is False
        assert said in door.said[0].detail


@VERSIONS
async def test_a_high_rate_over_a_small_buffer_loses_and_repeats_nothing(mosquitto: Mosquitto, version: str) -> None:
    door = Door()
    async with wired(mosquitto.host, mosquitto.port) as wire:
        broker = broker_at(wire.url, version, buffer=Size(20_000))
        async with running(broker, door, [(f"rate{version}/#", 1)], f"rate{version}") as source:
            await publish(mosquitto.host, mosquitto.port, [(f"rate{version}/a", b"%d" % n) for n in range(3000)])
            await until(lambda: len(door.messages) >= 3000 and not source.stats()["unacknowledged"])
            await until(lambda: len(wire.mids(PUBLISH, ours=False)) == 3000)
    assert door.bodies == [b"%d" % n for n in range(3000)]


@VERSIONS
async def test_over_tls_reading_pauses_and_goes_on_without_losing_a_byte(
    own_mosquitto: Mosquitto, authority: Authority, version: str
) -> None:
    served = authority.issue("broker")
    own_mosquitto.stop()
    own_mosquitto.configure(f"certfile {served.crt}\nkeyfile {served.key}")
    own_mosquitto.start()
    door, ca = Door(), str(authority.ca)
    door.shut = True
    broker = broker_at(own_mosquitto.url.replace("mqtt://", "mqtts://"), version, ca=ca, buffer=Size(50_000))
    bodies = [b"%d" % n + bytes(n % 7 * 2_000) for n in range(600)]
    async with running(broker, door, [("t/#", 1)], "tls-stream") as source:
        trusting = aiomqtt.TLSParameters(ca_certs=ca)
        await publish(
            own_mosquitto.host, own_mosquitto.port, [("t/a", b) for b in bodies], tls_params=trusting, identifier="s"
        )
        await until(lambda: source.stats()["paused_total"] == 1)
        door.open()
        await until(lambda: len(door.messages) == 600 and not source.stats()["unacknowledged"])
        assert source.stats()["reconnects_total"] == 0
    assert door.bodies == bodies
