"""A stream of distinct values at QoS 1, and what a broker still holds for a client that is away."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import paho.mqtt.client as mqtt

if TYPE_CHECKING:
    from types import TracebackType

DEVICES = 10
FLIP = 25
PUBLISH, PINGRESP = 3, 13


class Stream(threading.Thread):
    """Publishes 0, 1, 2, … to `<topic>/<device>` until it is finished. `published`: how many the broker has taken.

    Beside the value `v` each body has `a`, an alarm that a device turns on and off every FLIP readings (`flips`).
    """

    def __init__(self, port: int, topic: str, rate: float = 200.0) -> None:
        super().__init__(name=f"stream-{topic}", daemon=True)
        self._port, self._topic, self._rate = port, topic, rate
        self._finished = threading.Event()
        self.published = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> int:
        """End it once the broker has acknowledged everything; gives how many that is."""
        self._finished.set()
        self.join(30)
        assert not self.is_alive()
        return self.published

    def run(self) -> None:
        """Publish."""
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=self.name, protocol=mqtt.MQTTv5)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        begin, base_ms, sent = time.monotonic(), time.time_ns() // 10**6, 0
        while not self._finished.wait(0.02):
            due = [
                client.publish(f"{self._topic}/{n % DEVICES}", _body(base_ms, n), qos=1)
                for n in range(sent, int((time.monotonic() - begin) * self._rate))
            ]
            for one in due:
                if one.rc == mqtt.MQTT_ERR_NO_CONN:  # paho keeps it for the next connection, yet will not wait for it
                    one.rc = mqtt.MQTT_ERR_SUCCESS
                one.wait_for_publish(20)
            sent += len(due)
            self.published = sent
        client.disconnect()
        client.loop_stop()


def _body(base_ms: int, n: int) -> str:
    nth = n // DEVICES  # of its device
    return json.dumps({"t": base_ms + nth, "v": n, "a": nth // FLIP % 2})


def flips(published: int) -> dict[str, int]:
    """How often each device's alarm was turned on or off in so many values."""
    return {str(device): (published - 1 - device) // DEVICES // FLIP for device in range(min(DEVICES, published))}


def held_for(port: int, client_id: str) -> int:
    """How many messages the broker holds for a client that has gone: those that it did not acknowledge.

    Takes the client's session (MQTT 5, clean start off), and counts what comes before a ping is answered.
    """
    name = client_id.encode()
    connect = b"\x00\x04MQTT\x05\x00\x00\x3c" + b"\x05\x11\x00\x00\x0e\x10" + len(name).to_bytes(2) + name
    held = 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, sock.makefile("rb") as packets:
        sock.sendall(bytes([0x10, len(connect)]) + connect)
        kind, body = _packet(packets)
        assert (kind, body[1]) == (2, 0), f"the broker refused: {body!r}"
        assert body[0] == 1, "the broker kept no session, so it holds nothing: this shows nothing"
        sock.sendall(b"\xc0\x00")
        while (kind := _packet(packets)[0]) != PINGRESP:
            held += kind == PUBLISH
    return held


def _packet(packets: socket.SocketIO) -> tuple[int, bytes]:  # type: ignore[name-defined]  # what makefile gives
    kind = packets.read(1)[0] >> 4
    length = shift = 0
    while True:
        byte = packets.read(1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, packets.read(length)
