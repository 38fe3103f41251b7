"""What a configured URL says: where it leads."""

from __future__ import annotations

from urllib.parse import urlsplit

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def address(url: str) -> tuple[str, int, bool]:
    """Host (in lower case), port and whether TLS is wanted, of mqtt:// or mqtts://."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or MQTT_PORTS.get(parts.scheme, 1883), parts.scheme == "mqtts"
