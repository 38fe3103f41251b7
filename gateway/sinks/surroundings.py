"""What the app gives every sink beside its own configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.config.box import Commands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from gateway.config.model import Broker
    from gateway.events import Command, Health, Stream
    from gateway.ports import Clock
    from gateway.sinks.history import History

    ReadEvidence = Callable[[str, str, int], Awaitable[bytes | None]]


class Surroundings(NamedTuple):
    """The gateway around a sink.

    base: the folder that relative files start from; community: its code; history: answers requests and keeps `prev`;
    status: what the retained status says beside gateway, status and time; durable: whether the outbox is on a sound
    disk; command: hands a person's command to the door and returns when it is durable; report: hands what the sink says
    of itself (`sink/<name>`) to the door, on change, and returns when it is durable; evidence(alert, sha256, most): a
    file's bytes, a JPEG of at most so many (0: as it is), None where it is gone; None: there are no cameras; cursor: up
    to which position a sink has a stream.
    """

    gateway: str
    community: str | None
    zone: ZoneInfo
    base: Path
    brokers: dict[str, Broker]
    clock: Clock
    history: History
    status: Callable[[], dict[str, object]]
    durable: Callable[[], bool]
    command: Callable[[Command], Awaitable[None]]
    report: Callable[[Health], Awaitable[None]]
    commands: Commands = Commands()
    evidence: ReadEvidence | None = None
    cursor: Callable[[Stream, str], int] = lambda _stream, _sink: 0
