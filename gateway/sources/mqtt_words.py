"""What goes wrong with a broker, in words for a person: what it means and what to do."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from gateway.config.urls import address

if TYPE_CHECKING:
    from gateway.config.model import Broker

CONNECT_S = 5.0  # for the socket and TLS together; a stop waits no longer than that
_LOGIN = {134, 135, 138, 140}  # bad user or password, not authorised, banned, bad authentication method
_ELSEWHERE = {156, 157}  # use another server, server moved
IF_OLD = " (does the broker speak MQTT 5? If not: version: 3.1.1)"
OLD_BROKER = "the broker refuses this version of MQTT: try version: 3.1.1"


def is_login(code: int) -> bool:
    """Whether a reason code (MQTT 5 §2.4) refuses who we are: trying often would lock the account."""
    return code in _LOGIN


def in_words(code: int, name: str, client_id: str, *, elsewhere: str | None = None, reason: str | None = None) -> str:
    """A reason code: `name` is the standard's, `elsewhere` the server it sends us to, `reason` what it says itself."""
    if is_login(code):
        words = f"login refused ({name}): check user and password"
    elif code == 142:
        words = f"another client took over the session: only one may be named {client_id!r}"
    elif code == 132:
        words = OLD_BROKER
    elif code == 128:
        words = lost(client_id)
    elif code in _ELSEWHERE:
        where = f"to {elsewhere}" if elsewhere else "elsewhere without saying where"
        words = f"the broker sends us {where} ({name}): change its url"
    else:
        words = name
    return f"{words} (it says: {reason})" if reason else words


def lost(client_id: str) -> str:
    """A connection that ended without a word."""
    return f"the connection was lost (if that repeats: is another client named {client_id!r}?)"


def error_in_words(error: Exception, broker: Broker) -> str:
    """Why a connection could not be made."""
    host, port, _ = address(broker.url)
    where = f"{host}:{port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"the certificate of {where} is refused: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        words = f"TLS with {where} failed: {error.reason or error}"
    elif isinstance(error, ConnectionRefusedError):
        words = f"nothing listens at {where}"
    elif isinstance(error, TimeoutError):
        words = f"{where} does not answer within {CONNECT_S:g} s"
    elif isinstance(error, socket.gaierror):
        words = f"no address is known for {host}"
    elif isinstance(error, KeyError):
        words = f"the environment variable {error} for the password is not set"
    elif isinstance(error, OSError) and error.filename is not None:
        words = f"cannot read {error.filename}: {error.strerror}"
    else:
        words = f"{where}: {error}"
    return words
