"""paho's client for MQTT 3.1.1, made for a gateway: a socket that costs few system calls, TLS and login."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.config.tls import context_of
from gateway.config.urls import address, login_of
from gateway.sources.mqtt_v311_publish import Taken, take
from gateway.sources.mqtt_words import CONNECT_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.config.model import Broker

_CHUNK = 65_536
_NO_FAULT = (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError)  # of TLS itself
_PUBACK = 0x4002  # its type, and two bytes that follow


class BufferedSocket:
    """A non-blocking socket as paho wants one.

    paho reads a packet with three `recv` and sends each PUBACK alone; this one reads 64 kB at a time and, while corked,
    gathers what is sent.

    error: what ended TLS, where the broker's alert or a broken record did. Whoever reads or sends is told so only once:
    over TLS 1.3 the refusal of our certificate comes with the first read, and paho makes a lost connection of it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.error: ssl.SSLError | None = None
        self._read = b""
        self._at = 0
        self._unsent = bytearray()
        self._corked = False

    def recv(self, buffer_size: int) -> bytes:
        """At most so many bytes; b"" at the end. Raises BlockingIOError or ssl.SSLWantReadError when none are there."""
        if self._at == len(self._read):
            read = self._receive()
            if len(read) <= buffer_size:
                return read
            self._read, self._at = read, 0
        part = self._read[self._at : self._at + buffer_size]
        self._at += len(part)
        return part

    def ahead(self) -> tuple[bytes, int]:
        """What was read from the socket, and up to where it is used; reads anew where all is, if there is something."""
        if self._at == len(self._read):
            try:
                self._read, self._at = self._receive(), 0
            except OSError:  # nothing there, or the connection is lost: `recv` meets it again and says which
                self._read, self._at = b"", 0
        return self._read, self._at

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(_CHUNK)
        except ssl.SSLError as error:
            self._ended_by(error)
            raise

    def _ended_by(self, error: ssl.SSLError) -> None:
        if not isinstance(error, _NO_FAULT):
            self.error = self.error or error

    def use(self, upto: int) -> None:
        """What is ahead is used up to there."""
        self._at = upto

    def pending(self) -> int:
        """Bytes that can be read without waiting for the socket."""
        below = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        return len(self._read) - self._at + below

    def send(self, buffer: bytes | bytearray) -> int:
        """Takes all of it."""
        self._unsent += buffer
        if not self._corked:
            self.flush()
        return len(buffer)

    def cork(self) -> None:
        """Gather until `flush`."""
        self._corked = True

    def flush(self) -> None:
        """Send what was gathered, as far as the socket takes it. Raises OSError when the connection is lost."""
        self._corked = False
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except ssl.SSLError as error:
                self._ended_by(error)
                raise
            del self._unsent[:sent]

    @property
    def unsent(self) -> bool:
        """Whether it waits for the socket to take more."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """For poll."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """As a socket's."""
        self._sock.close()


class Client(paho.Client):
    """paho's client over a BufferedSocket. One a connection: the session is the broker's, nothing is carried over."""

    stream: BufferedSocket | None = None
    tls: ssl.SSLContext | None = None

    def _create_socket(self) -> Any:
        """Paho has no public way to hand it a socket, and its own way leaks one with each TLS handshake that fails."""
        sock = socket.create_connection((self.host, self.port), timeout=CONNECT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # acknowledgements are gathered here, not by Nagle
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_hostname=self.host)
        self.stream = BufferedSocket(sock)
        return self.stream

    def take_publishes(self, source: str, room: int) -> Taken | None:
        """The PUBLISH packets that have arrived in a row, as far as they are simple; None where paho is to read."""
        stream = self.stream
        if stream is None or self._in_packet["command"]:  # it has begun to read a packet
            return None
        taken = take(*stream.ahead(), source, room=room)
        if not taken.messages:
            return None
        stream.use(taken.end)
        self._last_bytes_received = paho.time_func()
        return taken

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send a PUBACK for each, in order."""
        if self.stream is not None and packet_ids:
            words = [word for packet_id in packet_ids for word in (_PUBACK, packet_id)]
            self.stream.send(struct.pack(f"!{len(words)}H", *words))
            self._last_msg_out = paho.time_func()

    def ping_while_paused(self) -> None:
        """Keep the broker from dropping us, though its answer is not read: the wait for it is called off.

        paho closes a connection whose PINGRESP it has not seen for a keep-alive, and offers no way around.
        """
        self._send_pingreq()
        self._ping_t = 0.0

    def heard_again(self) -> None:
        """Reading goes on: silence is measured from now."""
        self._ping_t = 0.0
        self._last_bytes_received = paho.time_func()


def make_client(broker: Broker, client_id: str, base: Path) -> Client:
    """A client that keeps its session and acknowledges by hand, ready to `reconnect()`.

    Secrets and certificates are read anew each time, so that a changed one is found. Raises OSError or KeyError where
    one cannot be read.
    """
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=False,
        protocol=paho.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    user, password = login_of(broker, client_id, base)
    if user is not None:
        client.username_pw_set(user, password)
    host, port, secure = address(broker.url)
    if secure:
        client.tls = context_of(broker, base)
    client.connect_async(host, port, max(1, round(broker.keepalive / 1e9)))
    return client
