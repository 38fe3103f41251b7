"""Alert lines that a core made, as a replay writes them and as a live `file` sink does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.events import Message
from gateway.sinks.outward import fields
from tests.core.build import T0, S, at, core_of, run, start, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.events import AlertRow
    from tests.core.build import Stamped

SENSORS = """
sensors:
  water: {mqtt: here, topic: "water/{gauge}", json: {time: t, level: v}, units: {level: m}}
  air: {mqtt: here, topic: "air/{device}", json: {time: t, pm25: p}, units: {pm25: ug/m3}}
"""
FLOOD = "  flood: {threshold: water.level, levels: {yellow: 2.8, orange: 3.3}, clear_by: 0.1}\n"
DUST = "  dust: {threshold: air.pm25, levels: {blue: 75}}\n"
TEXT = f"{SENSORS}rules:\n{FLOOD}{DUST}"
LEVELS = ((10, 2.9), (20, 3.4), (60, 3.0), (70, 2.5), (300, 2.85), (310, 2.1))
DUSTS = ((30, 80), (45, 60), (200, 90), (230, 20))


def water(second: float, level: float) -> Stamped:
    """A reading of the gauge."""
    return _reading("water/g1", second, b'"v":%g' % level)


def air(second: float, dust: float) -> Stamped:
    """A reading of a box."""
    return _reading("air/a", second, b'"p":%g' % dust)


def _reading(topic: str, second: float, value: bytes) -> Stamped:
    now = T0 + round(second * S)
    return at(Message("here", topic, b'{"t":%.3f,%s}' % (now / S, value)), now)


def rows(
    text: str = TEXT, levels: Sequence[tuple[float, float]] = LEVELS, dusts: Sequence[tuple[float, float]] = DUSTS
) -> list[AlertRow]:
    """What a core of this configuration says of these readings."""
    inputs = [water(*one) for one in levels] + [air(*one) for one in dusts] + ticks(T0, T0 + 400 * S, 10)
    return run(core_of(text), [*start(), *sorted(inputs, key=lambda one: one.admitted_ns)]).alerts


def replayed(alerts: Sequence[AlertRow]) -> list[bytes]:
    """As `zhiwang replay --alerts` writes them."""
    return [msgspec.json.encode({**fields(row), "status": "test"}) for row in alerts]


def live(alerts: Sequence[AlertRow]) -> list[bytes]:
    """As a live `file` sink writes them: without those of shadow rules."""
    shown, prev = list[bytes](), None
    for row in alerts:
        if not row.shadow:
            whole = fields(row, prev=prev, published="2026-05-29T04:30:00.000+08:00", durable=row.seq % 2 == 0)
            shown.append(msgspec.json.encode(whole))
            prev = row.seq
    return shown


def written(path: Path, lines: Sequence[bytes]) -> Path:
    """A file of them."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path
