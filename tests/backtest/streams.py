"""Recordings of a water gauge, made by the importers' own writer: a day a file, each with a flood or two."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.app import Replay, replay
from gateway.clock import ReplayClock
from gateway.config.load import loads
from gateway.events import Message
from gateway.exchange.given import Findings, Given
from gateway.exchange.recorded import write
from gateway.recording.parts import Begin, Checkpoint, Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.events import Cut, Stepped

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
    write(path, _readings(begin_ns, heights, every_s), made, text, Findings())
    return path


def _readings(begin_ns: int, heights: Sequence[float], every_s: int) -> Iterator[Given]:
    for number, height in enumerate(heights):
        for second in range(0, 600, every_s):
            level = 2.0 + (height - 2.0) * max(0.0, 1 - abs(second - 300) / 240)
            at_ns = begin_ns + (number * 600 + second) * NS
            yield Given(at_ns, Message("here", "water/north", f"{level:.3f}".encode()))


def over_midnight(folder: Path, height: float) -> tuple[Path, Path]:
    """One crest, at local midnight, in two files as the ring writes them: the second begins with a checkpoint."""
    whole = folder / "whole.mcap"
    text = YAML.replace("NAME", "gauge")
    begin_ns = int((DAY + timedelta(hours=10) - timedelta(seconds=300)).timestamp()) * NS  # 05:55 before midnight there
    write(whole, _readings(begin_ns, [height], 10), loads(text, folder, registry()), text, Findings())
    pieces = list(Recording.open([whole]).pieces(most=1))
    (about,) = (piece.about for piece in pieces if isinstance(piece, Begin))
    cuts = [piece.cut for piece in pieces if isinstance(piece, Part)]
    at = next(place for place, cut in enumerate(cuts) if cut.admitted_ns[0] >= begin_ns + 300 * NS)
    state, seq = _state_after(cuts[:at], begin_ns)
    last = cuts[at - 1]
    start = Checkpoint(0, begin_ns, 0, 1, None)
    middle = Checkpoint(cuts[at].n0, int(last.admitted_ns[-1]), int(last.elapsed_ns[-1]), seq, state)
    ring = msgspec.structs.replace(about, made="ring")
    paths = folder / "before.mcap", folder / "after.mcap"
    for serial, (path, checkpoint, part) in enumerate(
        zip(paths, (start, middle), (cuts[:at], cuts[at:]), strict=True), 1
    ):
        writer = FileWriter(path, msgspec.structs.replace(ring, serial=serial), checkpoint)
        for cut in part:
            writer.inputs(cut)
        writer.close()
    whole.unlink()
    return paths


def _state_after(cuts: list[Cut], begin_ns: int) -> tuple[bytes, int]:
    """(the core's state, the number of the next alert row)."""
    rows = 0

    def keep(stepped: Sequence[Stepped]) -> None:
        nonlocal rows
        rows += sum(len(one.alerts) for one in stepped)

    made = loads(YAML.replace("NAME", "gauge"), Path(), registry())

    async def run() -> bytes:
        what = Replay(models={}, state=None, next_n=0, cuts=iter(cuts), keep=keep)
        return (await replay(made, registry(), ReplayClock(begin_ns), asyncio.Event(), what)).state

    return asyncio.run(run()), rows + 1
