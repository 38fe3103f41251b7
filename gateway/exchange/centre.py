"""Alerts of gateways as what their ops centre would have heard: messages on the topics of DESIGN.md.

A source is a recording, or a file of alerts as JSON lines (`alerts.jsonl` of `export` or `replay --out`). Each change
is published when it was made; its severity in the topic is the highest that the alert had, and its end goes to every
topic it was on (SEMANTICS.md §9). Where some are actual, those with the status test are a shadow rule's, and are not
published; a replay's all have it. Several gateways' alerts are merged by time: so a centre is fed with all.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.events import Message
from gateway.exchange.given import Given, shown
from gateway.exchange.order import in_order
from gateway.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from gateway.exchange.given import Findings
    from gateway.exchange.topics import Topics

NS = 1_000_000_000
ACTUAL = "actual"
ENDS = frozenset({"cleared", "closed", "returned"})
ENDED = frozenset({"normal", "cleared_acknowledged"})
ALERT = "an alert is one JSON object a line, as `zhiwang export --format jsonl` writes it"


class _Alert(msgspec.Struct):
    """What a topic is made of."""

    id: str
    gateway: str
    rule: str
    severity_max: str
    change: str
    changed: str
    state: str
    late_s: float = 0.0
    status: str = ACTUAL
    community: str | None = None
    class_: str = msgspec.field(default="city", name="class")


class GatewayAlerts:
    """Fulfils given.Importer for one recording or file of alerts."""

    def __init__(self, path: Path, topics: Topics, findings: Findings) -> None:
        self.name = str(path)
        self._path = path
        self._topics = topics
        self._findings = findings
        self._share = 0.0
        self._decode = msgspec.json.Decoder(_Alert).decode
        self._on: dict[str, list[str]] = {}  # severities that an open alert was published under

    def done(self) -> float:
        """The share that was read."""
        return self._share

    def inputs(self) -> Generator[Given]:
        """The messages, in time order."""
        yield from in_order(self._messages(), lambda line: f"{self.name}:{line}", self._findings)
        self._share = 1.0

    def _messages(self) -> Iterator[tuple[Given, int]]:
        some_actual = any(b'"status":"actual"' in body.replace(b" ", b"") for body in self._bodies())
        for number, body in enumerate(self._bodies(), 1):
            try:
                alert = self._decode(body)
                at_ns = _ns(alert.changed) + round(alert.late_s * NS)  # when it was said, which may be later
            except (msgspec.DecodeError, ValueError):
                self._findings.bad(f"{self.name}:{number}", shown(body), ALERT)
                continue
            if some_actual and alert.status != ACTUAL:
                continue
            for severity in self._severities(alert):
                self._findings.counts["messages"] += 1
                base = f"zhiwang/v1/{alert.community or '_'}/{alert.gateway}"
                topic = f"{base}/alert/{alert.class_}/{severity}/{alert.rule}"
                yield Given(at_ns, Message(self._topics.heard(topic).source, topic, body)), number

    def _severities(self, alert: _Alert) -> tuple[str, ...]:
        heard = self._on.setdefault(alert.id, [])
        if alert.severity_max not in heard:
            heard.append(alert.severity_max)
        over = alert.change in ENDS or (alert.change == "acknowledged" and alert.state in ENDED)
        if alert.state == "normal":
            del self._on[alert.id]
        return tuple(heard) if over else (alert.severity_max,)

    def _bodies(self) -> Iterator[bytes]:
        if self._path.suffix == ".mcap":
            yield from Recording.open([self._path]).alerts()
            return
        size = max(1, self._path.stat().st_size)
        with self._path.open("rb") as file:
            done = 0
            for line in file:
                done += len(line)
                self._share = done / size
                if line.strip():
                    yield line.rstrip(b"\r\n")


def _ns(stamp: str) -> int:
    at = datetime.fromisoformat(stamp)
    return round(at.timestamp() * 1000) * 1_000_000  # stamps are to the millisecond
