"""What cameras see, in Frigate's shape, on a real broker."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiomqtt
import msgspec
import pytest

from gateway.config.model import Broker
from gateway.core.sightings import KIND, Seen, Told
from gateway.errors import Unreachable
from gateway.events import RequestRow
from gateway.ports import Row
from gateway.sinks import mqtt_link
from gateway.sinks.frigate import Frigate, FrigateEvents
from tests.sinks.test_mqtt import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

NS = 10**9
T0 = 1_780_000_000 * NS
FOREVER = 2**62
DOCUMENTED = {
    "id", "camera", "frame_time", "snapshot", "label", "sub_label", "top_score", "false_positive", "start_time",
    "end_time", "score", "box", "area", "ratio", "region", "current_zones", "entered_zones", "thumbnail",
    "has_snapshot", "has_clip", "active", "stationary", "motionless_count", "position_changes", "attributes",
    "current_attributes",
}  # fmt: skip
"""What docs.frigate.video/integrations/mqtt shows of an event, but for plates, speeds and snapshots' details."""


def seen(at_s: float, zones: tuple[str, ...] = (), *, end: bool = False, camera: str = "street") -> Seen:
    """A person at some moment."""
    now = T0 + round(at_s * NS)
    entered = ("yard",)
    return Seen(
        "1780000000.000000-ab12cd", camera, "person", T0, now, now if end else None, 0.81, 0.9,
        (100, 200, 140, 300), (640, 480), zones, entered, False, 3, 1,
    )  # fmt: skip


def row(position: int, before: Seen | None, after: Seen, people: int, *, expires_ns: int = FOREVER) -> Row:
    """As the outbox hands a change over."""
    kind = "end" if after.end_ns else "update" if before else "new"
    counts = {"person": people}
    zones = {"yard": {"person": len(after.zones)}}
    told = Told(kind, before, after, {after.camera: counts}, zones, {after.camera: counts})
    request = RequestRow(f"r{position}", KIND, f"camera/{after.camera}", expires_ns, msgspec.json.encode(told))
    return Row(position, T0, request.id, 1, msgspec.msgpack.encode(request))


@asynccontextmanager
async def telling(broker: Broker, folder: Path, kind: Frigate | None = None) -> AsyncGenerator[FrigateEvents]:
    """The sink, kept running as the app does."""
    gateway = Gateway(broker, folder)
    sink = FrigateEvents("seen", gateway.around, kind or Frigate(frigate="city"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sink.run())
        try:
            yield sink
        finally:
            await sink.aclose()
    await gateway.history.aclose()


async def heard(client: aiomqtt.Client, wanted: int) -> list[tuple[str, Any]]:
    """So many messages: (topic, payload)."""
    out: list[tuple[str, Any]] = []
    async with asyncio.timeout(20):
        while len(out) < wanted:
            message = await anext(client.messages)
            text = bytes(message.payload).decode()  # type: ignore[arg-type]  bytes
            out.append((str(message.topic), json.loads(text) if text[:1] in "{0123456789" else text))
    return out


async def test_events_and_counts_are_what_tools_for_frigate_read(own_mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Given a beginning, a change and an end, then events with Frigate's fields, and the counts as of the last."""
    first, second, last = seen(0), seen(2, ("yard",)), seen(5, end=True)
    async with aiomqtt.Client(own_mosquitto.host, own_mosquitto.port) as client:
        await client.subscribe("frigate/#")
        async with telling(Broker(url=own_mosquitto.url), tmp_path) as sink:
            reply = RequestRow("c1", "reply", "mqtt/x", FOREVER, b"{}")
            other = Row(9, T0, "c1", 1, msgspec.msgpack.encode(reply))
            assert await sink.deliver([row(1, None, first, 1), other, row(2, first, second, 1)]) == []
            assert await sink.deliver([row(3, second, last, 0)]) == []
            came = await heard(client, 1 + 2 + 6 + 1 + 6)
        gone = await heard(client, 1)
    assert came[0] == ("frigate/available", "online")
    assert gone == [("frigate/available", "offline")]
    events = [body for topic, body in came if topic == "frigate/events"]
    assert [one["type"] for one in events] == ["new", "update", "end"]
    assert all(set(one[side]) >= DOCUMENTED for one in events for side in ("before", "after"))
    new, update, end = events
    assert (new["before"]["false_positive"], new["after"]["false_positive"]) == (True, False)
    assert update["before"] == new["after"]
    assert update["after"]["current_zones"] == update["after"]["entered_zones"] == ["yard"]
    assert (update["after"]["box"], update["after"]["area"], update["after"]["ratio"]) == (
        [100, 200, 140, 300],
        4000,
        0.4,
    )
    assert (update["after"]["end_time"], end["after"]["end_time"]) == (None, T0 / NS + 5)
    counts = dict(came[3:9])
    assert counts == {
        f"frigate/{place}/{label}": 1
        for place in ("street", "yard")
        for label in ("person", "all", *(("person/active", "all/active") if place == "street" else ()))
    }
    assert set(dict(came[10:]).values()) == {0}


async def test_cameras_prefix_and_age_are_looked_at(own_mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Given a sink for one camera under another prefix, then others' rows and those that expired are left out."""
    kind = Frigate(frigate="city", prefix="town/seen", cameras=("street",))
    async with aiomqtt.Client(own_mosquitto.host, own_mosquitto.port) as client:
        await client.subscribe("town/#")
        async with telling(Broker(url=own_mosquitto.url), tmp_path, kind) as sink:
            rows = [
                row(1, None, seen(0, camera="yard"), 1),
                row(2, None, seen(0), 1, expires_ns=T0),
                row(3, None, seen(1), 1),
            ]
            bad = Row(4, T0, "x", 1, b"\xc1")
            assert [one.row for one in await sink.deliver([*rows, bad])] == [bad]
            came = await heard(client, 2)
    assert came[0] == ("town/seen/available", "online")
    assert came[1][1]["after"]["frame_time"] == T0 / NS + 1


async def test_a_broker_that_is_away_is_said_and_nothing_is_lost(
    own_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no broker, then the rows are to be delivered again; once it is back they are."""
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.5)
    own_mosquitto.stop()
    async with telling(Broker(url=own_mosquitto.url), tmp_path) as sink:
        with pytest.raises(Unreachable):
            await sink.deliver([row(1, None, seen(0), 1)])
        own_mosquitto.start()
        monkeypatch.setattr(mqtt_link, "ANSWER_S", 20.0)
        async with aiomqtt.Client(own_mosquitto.host, own_mosquitto.port) as client:
            await client.subscribe("frigate/events")
            await sink.deliver([row(1, None, seen(0), 1)])
            assert (await heard(client, 1))[0][1]["type"] == "new"


@pytest.mark.parametrize("prefix", ["", "a/+", "#", "/x", "$SYS", "zhiwang/v1"])
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    """Given wildcards, or topics that are another's, then it is said what is expected."""
    [(key, said)] = Frigate(frigate="city", prefix=prefix).problems()
    assert key == "prefix"
    assert "frigate" in said
