"""A film through a whole gateway to tools made for Frigate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Peer
from tests.e2e.test_evidence import BYSTANDER, SUBJECT, film
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.gateway import Gateway
    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: witness
brokers: {{city: {{url: "{city}"}}}}
cameras:
  gate: {{detect: gate.mp4, model: model.onnx, rate: 5, loop: true, health: "off", motion: "off",
    zones: {{left: [[0, 0], [0.45, 0], [0.45, 1], [0, 1]]}}}}
sinks: {{seen: {{frigate: city}}}}
evidence: "off"
"""


class Tool(Peer):
    """Subscribed as a tool for Frigate is."""

    def __init__(self, broker: Mosquitto) -> None:
        super().__init__(broker, "tool", "frigate/events", "frigate/gate/person", "frigate/left/person")

    def _came(self, client: object, userdata: object, message: object) -> None:
        payload = message.payload  # type: ignore[attr-defined]  a message of paho's
        if not payload.startswith(b"{"):
            payload = b'{"count": ' + payload + b"}"
        message.payload = payload  # type: ignore[attr-defined]  as above
        super()._came(client, userdata, message)  # type: ignore[arg-type]  as above


@pytest.mark.timeout(120)
def test_two_people_of_a_film_begin_and_end_as_frigates_events(
    city: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given two people who stand for some seconds, one in a zone, then both begin, are counted, and end."""
    gateway = gateway_of(CONFIG.format(city=city.url))
    film(gateway.folder / "gate.mp4", [SUBJECT, BYSTANDER], seconds=13, begins_s=7)
    red_yolox(gateway.folder / "model.onnx", classes=80)
    with Tool(city) as tool:
        gateway.start()
        tool.wait(lambda one: one.topic == "frigate/gate/person" and one.body["count"] == 2, "two people")
        tool.wait(lambda one: one.topic == "frigate/left/person" and one.body["count"] == 1, "one in the zone")
        tool.wait(lambda one: one.body.get("type") == "end", "an end", 60)
        tool.wait(lambda one: one.topic == "frigate/gate/person" and one.body["count"] == 0, "nobody", 30)
    events = [one.body for one in tool.heard if one.topic == "frigate/events"]
    begun = [one["after"] for one in events if one["type"] == "new"]
    assert {one["camera"] for one in begun} == {"gate"}
    assert sorted(one["current_zones"] for one in begun[:2]) == [[], ["left"]]
    ended = next(one["after"] for one in events if one["type"] == "end")
    assert ended["id"] in {one["id"] for one in begun}
    assert 4 < ended["end_time"] - ended["start_time"] < 9
