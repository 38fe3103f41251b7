"""What cameras see as Frigate publishes it, for tools made for that: `<prefix>/events`, counts, `available`.

outbox ─ requests `track` ─▶ FrigateEvents ─▶ Link (aiomqtt) ─▶ <prefix>/events, <prefix>/<camera or zone>/<label>
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from gateway.config.common import Struct
from gateway.core.sightings import KIND, Seen, Told
from gateway.errors import GatewayError
from gateway.events import RequestRow
from gateway.ports import Rejected
from gateway.sinks.mqtt_client import Incoming, Outgoing
from gateway.sinks.mqtt_link import Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.names import Names
    from gateway.events import Stream
    from gateway.ports import Clock, Row
    from gateway.sinks.surroundings import Surroundings

GOODBYE_S = 2.0
ALL = "all"
_REQUEST = msgspec.msgpack.Decoder(RequestRow)


class Frigate(Struct, frozen=True):
    """Sightings to a broker, by its name, in the shape of Frigate's. `cameras`: only of these; default: of all."""

    frigate: str
    prefix: str = "frigate"
    cameras: tuple[str, ...] = ()

    def problems(self) -> list[tuple[str, str]]:
        """A prefix is one or more levels of a topic."""
        if self.prefix and not set("+#\0") & set(self.prefix) and not self.prefix.startswith(("/", "$", "zhiwang/")):
            return []
        said = "levels of a topic such as frigate or city/frigate, without + and #, and none of our own (zhiwang/)"
        return [("prefix", f"found {self.prefix!r}; {said}")]

    def broker(self) -> str:
        """The broker it connects to."""
        return self.frigate

    def check(self, names: Names) -> list[tuple[str, str]]:
        """What is wrong with the names of broker and cameras."""
        wrong = names.broker("frigate", self.frigate)
        return wrong + [problem for camera in self.cameras for problem in names.camera("cameras", camera)]

    def sightings(self) -> tuple[str, ...]:
        """The cameras whose sightings it wants; none: all."""
        return self.cameras


class FrigateEvents:
    """The requests stream, of which it takes what was seen. `run` keeps the connection."""

    stream: Stream = "requests"

    def __init__(self, name: str, around: Surroundings, kind: Frigate) -> None:
        self.name = name
        self._prefix, self._cameras = kind.prefix, frozenset(kind.cameras)
        self._clock: Clock = around.clock
        self._closing, self._ended = asyncio.Event(), asyncio.Event()
        self._ended.set()
        broker = around.brokers[kind.frigate]
        if broker.password is not None and broker.user is None:  # the client's own id is no user
            broker = msgspec.structs.replace(broker, user=around.gateway)
        self._link = Link(
            name,
            broker,
            f"{around.gateway}-{name}-frigate",
            around.base,
            around.clock,
            Outgoing(f"{self._prefix}/available", b"offline", retain=True),
            self._closing,
            self._session,
            _ignored,
            around.report,
        )

    async def run(self) -> None:
        """Keep the connection until cancelled or closed."""
        self._ended.clear()
        try:
            await self._link.run()
        finally:
            self._ended.set()

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Publish the events in order, and the counts as of the last; returns when the broker took all of them."""
        events: list[Outgoing] = []
        counts: dict[str, int] = {}
        rejected: list[Rejected] = []
        for row in rows:
            try:
                request = _REQUEST.decode(row.body)
                wanted = request.kind == KIND and request.expires_ns > self._clock.now_ns()
                told = msgspec.json.decode(request.body, type=Told) if wanted else None
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no request row: {error}"))
                continue
            if told is not None and (not self._cameras or told.after.camera in self._cameras):
                events.append(Outgoing(f"{self._prefix}/events", msgspec.json.encode(event(told))))
                counts.update(self._counts(told))
        if events:
            await self._link.wait_ready()
            changed = [Outgoing(topic, str(count).encode()) for topic, count in counts.items()]
            await self._link.publish([*events, *changed])
        return rejected

    def _counts(self, told: Told) -> dict[str, int]:
        """Topic and number, of each label and of all together."""
        out: dict[str, int] = {}
        for found, end in ((told.cameras, ""), (told.zones, ""), (told.active, "/active")):
            for place, labels in found.items():
                for label, count in (*labels.items(), (ALL, sum(labels.values()))):
                    out[f"{self._prefix}/{place}/{label}{end}"] = count
        return out

    async def aclose(self) -> None:
        """Say that the gateway is no longer there and leave the broker; `run` returns."""
        self._closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * GOODBYE_S):
                await self._ended.wait()

    async def _session(self) -> None:
        try:
            await self._link.publish([self._available("online")])
            self._link.ready()
            await self._closing.wait()
        finally:
            with suppress(GatewayError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._link.publish([self._available("offline")])

    def _available(self, state: str) -> Outgoing:
        return Outgoing(f"{self._prefix}/available", state.encode(), retain=True)


async def _ignored(_: Incoming) -> None:
    """Nothing is subscribed to."""


def event(told: Told) -> dict[str, object]:
    """A change as Frigate's `events` has it. Before the first one it was "a false positive"."""
    after = _object(told.after)
    before = {**after, "false_positive": True} if told.before is None else _object(told.before)
    return {"type": told.type, "before": before, "after": after}


def _object(seen: Seen) -> dict[str, object]:
    """A tracked object with Frigate's names. What we do not have is null, false or empty, never made up."""
    x1, y1, x2, y2 = seen.box
    width, height = x2 - x1, y2 - y1
    return {
        "id": seen.id,
        "camera": seen.camera,
        "frame_time": seen.frame_ns / 1e9,
        "snapshot_time": None,
        "snapshot": None,
        "label": seen.label,
        "sub_label": None,
        "score": seen.score,
        "top_score": seen.top_score,
        "false_positive": False,
        "start_time": seen.start_ns / 1e9,
        "end_time": None if seen.end_ns is None else seen.end_ns / 1e9,
        "box": [x1, y1, x2, y2],
        "area": width * height,
        "ratio": round(width / max(height, 1), 2),
        "region": [0, 0, *seen.size],  # all of the picture is looked at
        "active": not seen.stationary,
        "stationary": seen.stationary,
        "motionless_count": seen.motionless,
        "position_changes": seen.moves,
        "current_zones": list(seen.zones),
        "entered_zones": list(seen.entered),
        "attributes": {},
        "current_attributes": [],
        "thumbnail": None,
        "has_clip": False,
        "has_snapshot": False,
    }
