"""A small MQTT broker inside the process, for machines that have none. It keeps nothing: the demo's only."""

from __future__ import annotations

import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def embedded_broker() -> AsyncGenerator[int]:
    """Run a broker (MQTT 3.1.1, anonymous) on a free loopback port while the context lasts; gives the port."""
    from amqtt.broker import Broker  # noqa: PLC0415 -- only the demo pays for it

    # It logs each packet's coming and going, and every client that leaves without a goodbye.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    port = _free_port()
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    try:
        yield port
    finally:
        await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
