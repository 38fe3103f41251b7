"""Recordings of a water gauge, made by the importers' own writer: a day a file, each with a flood or two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gateway.config.load import loads
from gateway.events import Message
from gateway.exchange.given import Findings, Given
from gateway.exchange.recorded import write
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NS = 10**9
YAML = """\
gateway: NAME
timezone: Asia/Shanghai
brokers: {here: {url: "mqtt://127.0.0.1"}}
sensors:
  water: {mqtt: here, topic: "water/{site}", plain: level, every: 10 s, units: {level: m}}
rules:
  flood: {threshold: water.level, levels: {yellow: 2.8, red: 3.8}, for: 10 s, clear_by: 0.1}
  rise: {rate: water.level, levels: {blue: 1 m/min}}
"""
DAY = datetime(2026, 8, 14, 6, tzinfo=UTC)


def config(folder: Path, name: str = "gauge", *, yellow: float = 2.8) -> Path:
    """The gateway's file."""
    path = folder / f"{name}.yaml"
    path.write_text(YAML.replace("NAME", "gauge").replace("2.8", str(yellow)), encoding="utf-8")
    return path


def crests(path: Path, day: int, heights: Sequence[float], *, gateway: str = "gauge", every_s: int = 10) -> Path:
    """A recording of one day: for each height the water rises to it and falls again, in ten minutes."""
    begin_ns = int((DAY + timedelta(days=day)).timestamp()) * NS
    text = YAML.replace("NAME", gateway)
    made = loads(text, path.parent, registry())
    write(path, _readings(begin_ns, heights, every_s), made, text, ["here"], Findings())
    return path


def _readings(begin_ns: int, heights: Sequence[float], every_s: int) -> Iterator[Given]:
    for number, height in enumerate(heights):
        for second in range(0, 600, every_s):
            level = 2.0 + (height - 2.0) * max(0.0, 1 - abs(second - 300) / 240)
            at_ns = begin_ns + (number * 600 + second) * NS
            yield Given(at_ns, Message("here", "water/north", f"{level:.3f}".encode()))
