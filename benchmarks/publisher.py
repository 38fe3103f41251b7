"""A fast QoS 1 publisher, so that measuring is not waiting for it: ready packets, a window, one socket.

    python benchmarks/publisher.py PORT COUNT RATE TOPIC [FIRST BEGIN_MS]    RATE 0: as fast as the broker takes them

Messages of 100 devices in turn on TOPIC/<device>/up; a device's stamps are 1 ms apart from now on, or true at a rate.
With FIRST it is the stream of parts/corner.py from that message on: stamps 10 s apart a device, and one message of
1,000 leaps.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from parts.air import DEVICES, payload
from parts.corner import STEP_MS

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = 400  # unacknowledged at most: brokers take so many of MQTT 3.1.1 clients
CONNECT = b"\x00\x04MQTT\x04\x02\x01\x2c\x00\x00"  # MQTT 3.1.1, clean session, keep-alive 300 s, no client id


def packet(first: int, body: bytes) -> bytes:
    """An MQTT control packet."""
    left, size = len(body), bytearray()
    while True:
        left, seven = left >> 7, left & 0x7F
        size.append(seven | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(size) + body


def message(i: int, at_ms: int, topic: str, leap: bool = False, devices: int = DEVICES) -> bytes:
    """A PUBLISH with five fields."""
    name = f"{topic}/{i % devices:03}/up".encode()
    body = payload(i, at_ms, leap=leap)
    return packet(0x32, struct.pack("!H", len(name)) + name + struct.pack("!H", i % 65_535 + 1) + body)


def leaps(i: int) -> bool:
    """One of 1,000, each time another device's."""
    return i % 1000 == i // 1000 * 37 % DEVICES


def made(topic: str, rate: float) -> Callable[[int], bytes]:
    """What makes the message of a number."""
    if len(sys.argv) > 5:
        first, begin_ms = int(sys.argv[5]), int(sys.argv[6])

        def corner(i: int) -> bytes:
            i += first
            return message(i, begin_ms + i // DEVICES * STEP_MS, topic, leaps(i))

        return corner
    base_ms = time.time_ns() // 10**6
    if rate:
        return lambda i: message(i, base_ms + round(i / rate * 1000), topic)
    return lambda i: message(i, base_ms + i // DEVICES, topic)


def main() -> None:
    """Publish, and end when all is acknowledged."""
    port, count, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    make, begin = made(sys.argv[4], rate), time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(packet(0x10, CONNECT))
        assert sock.recv(4)[:1] == b"\x20"
        sent = acknowledged = 0
        half = b""
        while acknowledged < count:
            due = count if not rate else min(count, int((time.monotonic() - begin) * rate) + 1)
            upto = min(due, acknowledged + WINDOW)
            if upto > sent:
                sock.sendall(b"".join(make(i) for i in range(sent, upto)))
                sent = upto
            if sent > acknowledged:
                sock.settimeout(max(0.001, begin + sent / rate - time.monotonic()) if rate else 30)
                try:
                    half += sock.recv(65_536)
                except TimeoutError:
                    continue
                acknowledged += len(half) // 4  # a PUBACK has four bytes
                half = half[len(half) // 4 * 4 :]
            else:
                time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
        sock.sendall(packet(0xE0, b""))


if __name__ == "__main__":
    main()
