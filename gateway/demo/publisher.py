"""Plays recorded hours as seconds, as the counters' own senders would: one MQTT message a counter an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.demo.footfall import Counter, Hour
    from gateway.ports import Clock

NS = 1_000_000_000
NS_PER_MS = 1_000_000


class Payload(msgspec.Struct):
    """What a counter sends: `time` in ms UTC (now, not when it was recorded), the people of the hour, its position."""

    time: int
    people: int
    lon: float
    lat: float
    recorded: str


async def play(hours: Iterable[Hour], counters: Iterable[Counter], *, port: int, clock: Clock) -> int:
    """Publish each hour a second after the one before, QoS 1, to `footfall/<counter>`; how many messages that were.

    The stamps are exactly a second apart, whenever the messages get out, so that the same hours always tell the same.
    """
    import aiomqtt  # noqa: PLC0415 -- `zhiwang --help` need not load it

    by_name = {counter.name: counter for counter in counters}
    published = 0
    async with aiomqtt.Client(
        "127.0.0.1", port, identifier="demo-counters", protocol=aiomqtt.ProtocolVersion.V311
    ) as mqtt:
        at_ns = clock.now_ns() // NS_PER_MS * NS_PER_MS
        for hour in hours:
            await clock.sleep(max(0, at_ns - clock.now_ns()) / NS)
            for name, people in hour.people.items():
                counter = by_name[name]
                payload = Payload(
                    time=at_ns // NS_PER_MS,
                    people=people,
                    lon=counter.lon,
                    lat=counter.lat,
                    recorded=f"{hour.date} {hour.hour}",
                )
                await mqtt.publish(f"footfall/{name}", msgspec.json.encode(payload), qos=1)
                published += 1
            at_ns += NS
    return published
