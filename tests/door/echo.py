"""A small real Core: it counts, and echoes every message as line protocol.

Bodies that begin with `alert`, `raise`, `bad`, `ask` or `none` make it do so. Its state is a count, the sum of
the bodies' lengths and the next seq, so that a lost, repeated or reordered input shows.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

from gateway.errors import StateError
from gateway.events import AlertRow, Configured, DeadLetter, Message, RequestRow, Restart, Stepped, Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import Cut

STATE = struct.Struct("<qqq")


class EchoCore:
    """`cuts` keeps what was stepped; `slow_s` is slept in every step."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.count = self.length = 0
        self.seq = 1
        self.cuts: list[Cut] = []
        self.slow_s = slow_s
        self.restored = 0

    def step(self, cut: Cut) -> Stepped:
        """Echo."""
        self.cuts.append(cut)
        if self.slow_s:
            time.sleep(self.slow_s)
        series: list[bytes] = []
        alerts: list[AlertRow] = []
        requests: list[RequestRow] = []
        dead: list[DeadLetter] = []
        changed = False
        for n, one in enumerate(cut.inputs, cut.n0):
            if isinstance(one, Restart):
                self.seq = max(self.seq, one.next_seq)
            if isinstance(one, Configured) and one.text == "raise":
                raise ValueError("this configuration raises")
            if isinstance(one, Tick):
                self.count += 1
                changed = True
            if not isinstance(one, Message) or one.body.startswith(b"none"):
                continue
            self.count += 1  # before it may raise, so that a core that is not brought back shows
            self.length += len(one.body)
            changed = True
            if one.body.startswith(b"raise"):
                raise ValueError("asked to raise")
            if one.body.startswith(b"bad"):
                dead.append(DeadLetter(int(cut.admitted_ns[0]), "route", one.topic, "it says bad", one.body))
            elif one.body.startswith(b"alert"):
                alerts.append(alert(self.seq, one.body))
                self.seq += 1
            elif one.body.startswith(b"ask"):
                requests.append(RequestRow(f"ask-{n}", "reply", "here", 2**62, one.body))
            else:
                series.append(b"%s,c=%d v=%d %d\n" % (one.topic.encode(), self.count, self.length, n))
                series.append(b"%s body=%s\n" % (one.topic.encode(), one.body))
        delta = self.snapshot() if changed else b""
        return Stepped(b"".join(series), len(series), alerts, requests, dead, delta)

    def snapshot(self) -> bytes:
        """The state."""
        return STATE.pack(self.count, self.length, self.seq)

    def restore(self, snapshot: bytes | None, deltas: Sequence[bytes]) -> None:
        """The newest delta, else the snapshot, is the whole state."""
        self.restored += 1
        state = ([snapshot] if snapshot is not None else []) + list(deltas)
        if state and len(state[-1]) != STATE.size:
            raise StateError(f"found {len(state[-1])} bytes of state, expected {STATE.size}")
        self.count, self.length, self.seq = STATE.unpack(state[-1]) if state else (0, 0, 1)


def alert(seq: int, body: bytes = b"{}") -> AlertRow:
    """One change of one alert."""
    return AlertRow(
        seq, "flood-1", "flood", "water.level", "city", ("severe",), "raised", "active", True, False, 5, body
    )


def messages(*bodies: str | bytes, source: str = "here", topic: str = "t") -> list[Message]:
    """Messages of one source."""
    return [Message(source, topic, body.encode() if isinstance(body, str) else body) for body in bodies]
