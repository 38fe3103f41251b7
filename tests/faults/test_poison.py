"""Payloads that no codec can read, or that break one: set aside whole with their reason, fed in again once mended."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Peer
from tests.faults.letters import letters
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

BOMBS: dict[str, tuple[bytes, str]] = {
    "nested lists": (b"[" * 100_000, "deep"),
    "nested lists that end": (b"[" * 100_000 + b"]" * 100_000, "deep"),
    "nested objects": (b'{"v":' * 100_000 + b"1" + b"}" * 100_000, "deep"),
    "a number of 100,000 digits": (b'{"v": ' + b"7" * 100_000 + b"}", "digits"),
    "1e999": (b'{"v": 1e999}', "too large"),
    "NaN": (b'{"v": NaN}', "NaN"),
    "Infinity": (b'{"v": -Infinity}', "Inf"),
    "half a character": (b'{"v": "\xe6\x99"}', "UTF-8"),
    "lone bytes": (b'\xff\xfe{"v": 1}', "UTF-8"),
    "100 kB of noise": (random.Random(1).randbytes(100_000), ""),
    "100 kB of zeros": (b"\0" * 100_000, ""),
}
CONFIG = """
gateway: {gateway}
brokers: {{here: {{url: "{broker}"}}}}
sensors:
  {name}: {{mqtt: here, topic: "{name}/{{device}}", {codec}}}
  calm: {{mqtt: here, topic: "calm/{{device}}", plain: v}}
outbox: {{linger: 100 ms}}
sinks: {{influx: {{v1: "{influx}", db: {name}, from: oldest}}}}
"""


@pytest.fixture
def configured(own_mosquitto: Mosquitto, influx: Influx) -> Callable[..., str]:
    """The text of a gateway with a sensor of this name and codec."""

    def text(name: str, codec: str) -> str:
        return CONFIG.format(gateway=name, name=name, codec=codec, broker=own_mosquitto.url, influx=influx.url)

    return text


def test_json_bombs_are_set_aside_byte_for_byte_and_all_else_is_stored(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway], configured: Callable[..., str]
) -> None:
    """Given bombs among good messages, each is a dead letter with its reason, in order; every good one is stored."""
    name = influx.database("bombs")
    gateway = gateway_of(configured(name, "json: {value: v}"))
    gateway.start()
    with Peer(own_mosquitto, "bomber") as bomber:
        for place, (body, _) in enumerate(BOMBS.values()):
            bomber.say(f"{name}/bomb", body)
            bomber.say(f"{name}/good{place}", {"v": place})
            bomber.say(f"calm/{place}", str(place))
        bomber.say(f"{name}/twice", b'{"v": 1, "v": 2}').wait_for_publish(20)
        until(lambda: _count(influx, name, name) == len(BOMBS) + 1, what="the good ones")
        until(lambda: _count(influx, "calm", name) == len(BOMBS), what="the other flow")
    (twice,) = influx.query(f"SELECT value FROM {name} WHERE device = 'twice'", name)  # noqa: S608 - a name of ours
    assert twice["value"] == 2, "of a key that is there twice the last counts (RFC 8259, section 4), as everywhere"
    assert gateway.stop() == 0
    found = letters(gateway.folder / "state")
    assert [letter.body for letter in found] == [body for body, _ in BOMBS.values()]
    for letter, (what, (_, reason)) in zip(found, BOMBS.items(), strict=True):
        assert (letter.where, letter.topic) == (name, f"{name}/bomb")
        assert reason in letter.reason, what
        assert letter.reason, what
        assert len(letter.reason) <= 2000, what


def test_what_a_wrong_path_set_aside_is_stored_after_it_is_mended_and_asked_for_again(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway], configured: Callable[..., str]
) -> None:
    """Given 50 messages whose value stands elsewhere, when the path is mended and `outbox retry` run, all are there."""
    name = influx.database("mended")
    gateway = gateway_of(configured(name, "json: {value: wrong.place, time: t}"))
    gateway.start()
    bodies = [json.dumps({"t": 1_790_000_000 + n, "right": {"place": n}}).encode() for n in range(50)]
    with Peer(own_mosquitto, "meters") as meters:
        sent = [meters.say(f"{name}/d", body) for body in bodies]
        sent[-1].wait_for_publish(20)
    until(lambda: gateway.metric("zhiwang_door_dead_total") == 50, what="fifty dead letters")
    assert gateway.stop() == 0
    assert [letter.body for letter in letters(gateway.folder / "state")] == bodies
    gateway.write(configured(name, "json: {value: right.place, time: t}"))
    gateway.start()
    assert _retry(gateway) == 50
    until(lambda: _count(influx, name, name) == 50, what="fifty values")
    rows = influx.query(f"SELECT value FROM {name}", name)  # noqa: S608 - a name of ours
    stored = [(int(str(row["time"])) // 10**6, row["value"]) for row in rows]  # below a ms: a hash of the value
    assert stored == [((1_790_000_000 + n) * 1000, n) for n in range(50)]
    until(lambda: not letters(gateway.folder / "state"), what="the letters to be gone")


BROKEN = """
import msgspec
from gateway.codecs.rows import Rows, assemble, fields_of
from gateway.codecs.times import zone_of
from gateway.config.kinds import Kind
from gateway.config.common import Struct

class Frame(Struct, frozen=True):
    frame: str
    def values(self):
        return (self.frame,)

class Decoder:
    pure = True
    def __init__(self, fields, zone):
        self.fields, self._zone = fields, zone
    def decode(self, bodies):
        rows = Rows(1)
        for place, body in enumerate(bodies):
            rows.add(place, None, (float(body[1:]) if {mended} else float(body[1:]) / (body[0] - 80),))
        return assemble(self.fields, rows, self._zone)

def build(config, common, timezone):
    return Decoder(fields_of({{config.frame: config.frame}}, common), zone_of(common.zone or timezone))

KIND = Kind("frame", Frame, build)
"""


def test_a_codec_of_somebody_elses_that_breaks_costs_its_message_alone_until_it_is_mended(
    own_mosquitto: Mosquitto,
    influx: Influx,
    gateway_of: Callable[[str], Gateway],
    configured: Callable[..., str],
    tmp_path: Path,
) -> None:
    """Given a codec that raises over some messages, then the others go on; mended, what it broke over is stored too."""
    installed = tmp_path / "installed"
    about = installed / "framing-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: framing\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[zhiwang.codecs]\nframe = framing:KIND\n")
    (installed / "framing.py").write_text(BROKEN.format(mended=False))
    name = influx.database("framed")
    gateway = gateway_of(configured(name, "frame: value"))
    # no compiled copy: the mended file is of the same size and second
    prefix = ("env", f"PYTHONPATH={installed}", "PYTHONDONTWRITEBYTECODE=1")
    gateway.start(prefix=prefix)
    with Peer(own_mosquitto, "meters") as meters:
        for n in range(60):
            meters.say(f"{name}/d{n}", (b"P%d" if n % 6 == 0 else b"Q%d") % n)  # P is 80: the codec divides by 0
            meters.say(f"calm/{n}", str(n))
        until(lambda: _count(influx, name, name) == 50, what="what it can read")
        until(lambda: _count(influx, "calm", name) == 60, what="the other flow")
    assert gateway.stop() == 0
    found = letters(gateway.folder / "state")
    assert [letter.body for letter in found] == [b"P%d" % n for n in range(0, 60, 6)]
    assert all("ZeroDivisionError" in letter.reason or "division by zero" in letter.reason for letter in found)
    (installed / "framing.py").write_text(BROKEN.format(mended=True))
    gateway.start(prefix=prefix)
    assert _retry(gateway, f"PYTHONPATH={installed}") == 10
    until(lambda: _count(influx, name, name) == 60, what="the rest")
    rows = influx.query(f"SELECT value FROM {name}", name)  # noqa: S608 - a name of ours
    assert sorted(row["value"] for row in rows) == list(map(float, range(60)))  # type: ignore[type-var]  # numbers
    until(lambda: not letters(gateway.folder / "state"), what="the letters to be gone")


def _retry(gateway: Gateway, *environment: str) -> int:
    """`zhiwang outbox retry`; gives how many letters it marked."""
    command = [sys.executable, "-m", "gateway", "outbox", "retry", "--json", str(gateway.config)]
    around = {**os.environ, **dict(one.split("=", 1) for one in environment)}
    done = subprocess.run(command, capture_output=True, text=True, env=around, check=True)
    return int(json.loads(done.stdout)["asked_again"])


def _count(influx: Influx, measurement: str, db: str) -> int:
    field = "v" if measurement == "calm" else "value"
    rows = influx.query(f"SELECT count({field}) FROM {measurement}", db)  # noqa: S608 - names of ours
    return int(str(rows[0]["count"])) if rows else 0
