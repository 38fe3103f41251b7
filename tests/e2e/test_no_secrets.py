"""Passwords that stand inline in URLs: they log in, and stand nowhere else."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from mcap.reader import make_reader

from tests.conftest import free_port
from tests.e2e.centre import Peer
from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.gateway import Gateway
    from tests.servers.mosquitto import Mosquitto

SECRET = b"hunter2"
CONFIG = """
gateway: quiet
brokers:
  here: {{url: "mqtt://box:hunter2-here@127.0.0.1:{here}"}}
  city: {{url: "mqtt://box:hunter2-city@127.0.0.1:{nobody}"}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 9}}}}}}
sinks:
  alerts: {{mqtt: city}}
  influx: {{v1: "http://box:hunter2-influx@127.0.0.1:{nobody}", db: d, from: oldest}}
"""
EXPECTED = {
    "source/here{condition=connected}",
    "sink/alerts{condition=connected}",
    "sink/influx{condition=delivering_series}",
}


def _blobs(path: Path) -> list[bytes]:
    """Every value in a database, unpacked where it is compressed (after the CRC-32 of 4 bytes, too)."""
    values: list[bytes] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - the names are the file's own
                values += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    for value in list(values):
        for packed in (value, value[4:]):
            with suppress(zlib.error):
                values.append(zlib.decompress(packed))
    return values


def _records(path: Path) -> bytes:
    """All of a recording, read by the standard's own reader."""
    with path.open("rb") as file:
        reader = make_reader(file)
        messages = [message.data for _, _, message in reader.iter_messages()]
        attachments = [attachment.data for attachment in reader.iter_attachments()]
        metadata = [str(one.metadata).encode() for one in reader.iter_metadata()]
    return b"\n".join([*messages, *attachments, *metadata])


def test_a_password_in_a_url_is_in_no_log_no_alert_and_no_database(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given brokers and a database that go or are away, what is said of them names the place and never the login."""
    gateway = gateway_of(CONFIG.format(here=own_mosquitto.port, nobody=free_port()))
    gateway.start()
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5").wait_for_publish(10)
        until(gateway.open_alerts, 20, "the tank's alert")
    own_mosquitto.stop()
    until(lambda: {alert["subject"] for alert in gateway.open_alerts()} >= EXPECTED, 60, "everything to be away")
    shown = json.dumps([gateway.open_alerts(), gateway.ask(status={}), gateway.get("/metrics")]).encode()
    assert gateway.stop() == 0
    assert b"127.0.0.1" in shown
    places = {"page and socket": shown, "log": gateway.log.read_bytes()}
    databases = sorted((gateway.folder / "state").glob("*.sqlite"))
    assert len(databases) == 2
    for path in databases:
        blobs = _blobs(path)
        assert any(b"127.0.0.1" in blob for blob in blobs), f"{path.name} can be read"
        places[path.name] = b"\n".join([*blobs, path.read_bytes()])
    [recording] = (gateway.folder / "state/recording").iterdir()
    places["recording"] = _records(recording)
    assert b"tank/a" in places["recording"]
    assert b"mqtt://" in places["recording"], "the configuration is in it"
    assert [place for place, text in places.items() if SECRET in text] == []
