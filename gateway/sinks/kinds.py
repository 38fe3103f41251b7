"""Every kind of sink: a new one is one new file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.config.kinds import Kind
from gateway.sinks.file import File, FileAlerts, FileSeries
from gateway.sinks.frigate import Frigate, FrigateEvents
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from gateway.sinks.mqtt import Mqtt, MqttAlerts, MqttReplies
from gateway.sinks.mqtt_pictures import MqttPictures

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.ports import Sink
    from gateway.sinks.surroundings import Surroundings


class Built(NamedTuple):
    """A configured sink: one Sink for each stream it takes, and what the app keeps running for it (None: nothing).

    `in_order`: it cannot tell a row it has from an older one: newer series never pass what waits for it.
    """

    sinks: tuple[Sink, ...]
    run: Callable[[], Awaitable[None]] | None = None
    in_order: bool = False


def _v1(name: str, kind: V1, around: Surroundings) -> Built:
    return Built((build_v1(name, kind, around.base, around.gateway),))


def _v2(name: str, kind: V2, around: Surroundings) -> Built:
    return Built((build_v2(name, kind, around.base, around.gateway),))


def _mqtt(name: str, kind: Mqtt, around: Surroundings) -> Built:
    alerts = MqttAlerts(name, around, kind)
    replies = MqttReplies(alerts, around.clock)
    if around.evidence is None or kind.picture == "off":
        return Built((alerts, replies), alerts.run)
    return Built((alerts, replies, MqttPictures(alerts, around, int(kind.picture))), alerts.run)


def _file(name: str, kind: File, around: Surroundings) -> Built:
    return Built((FileSeries(name, kind, around), FileAlerts(name, kind, around)), in_order=True)


def _frigate(name: str, kind: Frigate, around: Surroundings) -> Built:
    events = FrigateEvents(name, around, kind)
    return Built((events,), events.run)


_ALL = (
    Kind("v2", V2, _v2),
    Kind("v1", V1, _v1),
    Kind("mqtt", Mqtt, _mqtt),
    Kind("frigate", Frigate, _frigate),
    Kind("file", File, _file),
)
SINKS = {kind.key: kind for kind in _ALL}
"""By key. `build(name, struct, surroundings) -> Built`; raises ConfigError where a secret cannot be read."""
