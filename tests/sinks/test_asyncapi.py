"""docs/asyncapi.yaml describes what is really sent: every payload of a whole conversation fits its channel."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import aiomqtt
import pytest
from ruamel.yaml import YAML

from gateway.config.model import Broker
from tests.conftest import ROOT
from tests.sinks.alerts import alert, rows
from tests.sinks.schemas import faults
from tests.sinks.test_frigate import row, seen, telling
from tests.sinks.test_mqtt import BASE, _reply, _soon, centre, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.gateway import Gateway
    from tests.servers.mosquitto import Mosquitto

RUNNING = """
gateway: lg-1
community: {{code: "330383017"}}
brokers: {{city: {{url: "{url}"}}}}
sensors: {{tank: {{mqtt: city, topic: tank, plain: level}}}}
sinks: {{alerts: {{mqtt: city}}}}
"""
DOCUMENT: dict[str, Any] = YAML(typ="safe").load((ROOT / "docs/asyncapi.yaml").read_text(encoding="utf-8"))
FRIGATE = {name for name in DOCUMENT["channels"] if name.startswith("frigate")}


def _at(ref: str) -> dict[str, Any]:
    """What a reference in the document points at."""
    found = DOCUMENT
    for key in ref.removeprefix("#/").split("/"):
        found = found[key]
    return found


def _problems(topic: str, payload: bytes) -> tuple[str, list[str]]:
    """The channel of a topic, and what of the payload does not fit any of its messages."""
    for name, channel in DOCUMENT["channels"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", channel["address"]), topic):
            if name == "open" and not payload:
                return name, []
            words = [_at(message["$ref"]).get("contentType") for message in channel["messages"].values()]
            value = payload.decode() if "text/plain" in words else json.loads(payload)
            schemas = [DOCUMENT["components"]["schemas"][message] for message in channel["messages"]]
            each = [faults(value, schema, DOCUMENT, ROOT / "docs") for schema in schemas]
            return name, min(each, key=len)
    pytest.fail(f"no channel describes {topic}")


async def test_every_message_of_a_conversation_fits_the_document(own_mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Alerts rise, close and are asked for; commands are obeyed and refused; it leaves: all channels, no fault."""
    counts: dict[str, int] = {}
    async with centre(own_mosquitto) as ops:
        async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
            changes = [
                alert(1, "flood-1"),
                alert(2, "flood-1", ("moderate", "severe"), "raised_level"),
                alert(3, "camera-1", ("minor",), class_="equipment"),
                alert(4, "flood-1", ("moderate", "severe"), "closed", open_=False),
                alert(5, "flood-1", ("severe",), "labelled", open_=False, label="wrong"),
            ]
            gateway.durable = False
            await gateway.alerts.deliver(rows(changes))
            await ops.send("command/camera-1", {"id": "c", "verb": "acknowledge", "who": "chief"})
            await gateway.replies.deliver([_reply(await _soon(gateway.commands))])
            await ops.send("command/flood-1", {"id": "b", "verb": "right", "who": "chief", "note": "seen"})
            await gateway.replies.deliver([_reply(await _soon(gateway.commands))])
            await ops.send("command/camera-1", {"id": "d", "verb": "acknowledge", "who": "stranger"})
            async with centre(own_mosquitto, f"{BASE}/request/reply") as asking:
                for request in ({"since_seq": 0, "id": "r"}, {"open": True}, {"open": True, "since_seq": 1}):
                    await asking.send("request", request)
                    await asking.next("/reply")
        async for message in ops.client.messages:
            topic, payload = str(message.topic), bytes(message.payload)
            channel, problems = _problems(topic, payload)
            assert problems == [], f"{topic}: {payload!r}"
            counts[channel] = counts.get(channel, 0) + 1
            if channel == "status" and json.loads(payload)["status"] == "offline":
                break
    frigate = {name for name in DOCUMENT["channels"] if name.startswith("frigate")}
    assert (
        set(counts) == set(DOCUMENT["channels"]) - {"evidence"} - frigate
    )  # needs a camera: tests/e2e/test_evidence.py
    assert counts["requestReply"] == 3


async def test_what_cameras_see_fits_the_document_and_all_of_it_is_described(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Somebody comes, enters a zone and goes; the sink leaves: all of Frigate's channels, no fault, no key more."""
    first, second, last = seen(0), seen(2, ("yard",)), seen(5, end=True)
    found: set[str] = set()
    async with aiomqtt.Client(own_mosquitto.host, own_mosquitto.port) as client:
        await client.subscribe("frigate/#")
        async with telling(Broker(url=own_mosquitto.url), tmp_path) as sink:
            await sink.deliver([row(1, None, first, 1), row(2, first, second, 1), row(3, second, last, 0)])
        async for message in client.messages:
            topic, payload = str(message.topic), bytes(message.payload)
            channel, problems = _problems(topic, payload)
            assert problems == [], f"{topic}: {payload!r}"
            found.add(channel)
            if channel == "frigateEvents":
                described = set(DOCUMENT["components"]["schemas"]["frigateObject"]["properties"])
                assert set(json.loads(payload)["after"]) == described
            if (topic, payload) == ("frigate/available", b"offline"):
                break
    assert found == FRIGATE


async def test_the_status_of_a_whole_gateway_fits_the_document_and_says_that_it_is_online(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given `zhiwang run`, its retained row of the table is online while it runs and offline once it has stopped."""
    gateway = gateway_of(RUNNING.format(url=own_mosquitto.url))
    gateway.start()
    async with centre(own_mosquitto, f"{BASE}/status") as ops:
        online = await ops.next("/status", lambda said: said.get("version") is not None)
        assert gateway.ask(status={})["status"]["status"] == "actual", "the page's word for its alerts"
        gateway.stop()
        offline = await ops.next("/status", lambda said: said["status"] == "offline")
    for said, status in ((online, "online"), (offline, "offline")):
        assert said["status"] == status
        assert _problems(f"{BASE}/status", json.dumps(said).encode()) == ("status", [])


def test_what_does_not_fit_is_noticed() -> None:
    """The check itself: a missing key, a wrong type, an unknown word."""
    topic = f"{BASE}/alert/city/moderate/flood"
    good = {**json.loads(alert(1).body), "prev": None, "status": "actual", "published": "2026-08-14T02:02:07+08:00"}
    assert _problems(topic, json.dumps(good).encode()) == ("alert", [])
    for key, value in (("prev", "x"), ("severity", "red"), ("published", "2026-08-14T02:02:07"), ("late_s", -1)):
        assert _problems(topic, json.dumps({**good, key: value}).encode())[1]
    del good["prev"]
    assert _problems(topic, json.dumps(good).encode())[1] == ["$: prev is missing"]
