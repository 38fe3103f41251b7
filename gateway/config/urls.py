"""What a configured URL says: where it leads, who logs in there, and how it may be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Broker

MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def address(url: str) -> tuple[str, int, bool]:
    """Host (in lower case), port and whether TLS is wanted, of mqtt:// or mqtts://."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or MQTT_PORTS.get(parts.scheme, 1883), parts.scheme == "mqtts"


def shown(url: str) -> str:
    """The URL for people: without login, and without the query, where some keep one."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def without_login(url: str) -> str:
    """The URL to connect to: its login goes elsewhere."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def login(url: str) -> tuple[str | None, str | None]:
    """User and password that stand inline in the URL, unquoted."""
    parts = urlsplit(url)
    user, password = parts.username, parts.password
    return (unquote(user) if user else None), (unquote(password) if password is not None else None)


def login_of(broker: Broker, client: str, base: Path) -> tuple[str | None, str | None]:
    """A broker's user and password: the keys beside its URL, else what stands inline there.

    client: the user where a password is given and no user. base: the folder that files start from. Raises OSError or
    KeyError where the secret cannot be read.
    """
    user, password = login(broker.url)
    if broker.password is not None:
        password = broker.password.read(base)
    return broker.user or user or (client if password is not None else None), password
