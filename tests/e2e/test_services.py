"""What stands beside the gateway may fail and come back; the end is clean whatever a sink has to say."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.conftest import free_port
from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.gateway import Gateway
    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: beside
brokers: {{here: {{url: "{broker}"}}, away: {{url: "mqtt://127.0.0.1:{away}"}}}}
sensors: {{meter: {{mqtt: here, topic: "meter/+", json: {{value: v}}}}}}
sinks: {{centre: {{mqtt: away}}}}
"""


@pytest.mark.timeout(120)
def test_a_port_that_is_taken_is_said_and_tried_again(
    mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    gateway = gateway_of(CONFIG.format(broker=mosquitto.url, away=free_port()))
    with socket.create_server(("127.0.0.1", gateway.port)):
        gateway.start(ready=False)
        socket_file = gateway.folder / "state" / "zhiwang.sock"
        until(socket_file.exists, what="the local socket")
        subjects = until(
            lambda: [a for a in gateway.open_alerts() if a["subject"].startswith("service/page")], what="its alert"
        )
        assert subjects[0]["class"] == "equipment"
        assert "Address already in use" in subjects[0]["detail"]
    until(gateway.ready, 60, "the server, once the port is free")


@pytest.mark.timeout(120)
def test_the_end_is_clean_while_a_sink_has_something_to_say(
    mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    gateway = gateway_of(CONFIG.format(broker=mosquitto.url, away=free_port()))
    gateway.start()
    until(lambda: [a for a in gateway.open_alerts() if a["subject"].startswith("sink/centre")], what="the sink's alert")
    assert gateway.stop() == 0
    assert "Traceback" not in gateway.log.read_text()
