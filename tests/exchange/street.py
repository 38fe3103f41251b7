"""A configuration to import for, and what a recording holds, read as replay does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.config.load import loads
from gateway.events import Message, Tick
from gateway.exchange.choosing import Asked
from gateway.exchange.importing import import_into
from gateway.recording.parts import Begin, Part
from gateway.recording.reader import Recording
from gateway.registry import registry

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.events import Input
    from gateway.exchange.importing import Imported
    from gateway.recording.parts import About

S = 1_000_000_000
T0 = 1_780_000_020  # s: 2026-05-29 04:27:00 in Shanghai
STREET = """
gateway: lg-017-02
timezone: Asia/Shanghai
brokers: {here: {url: "mqtt://127.0.0.1:1883"}, city: {url: "mqtt://127.0.0.1:1884"}}
sensors:
  air:
    mqtt: here
    topic: "air/{site}/{device}/up"
    json: {time: ts, pm25: data.pm2_5, rh: data.hum}
    units: {pm25: ug/m3}
    every: 60 s
  water:
    mqtt: city
    topic: water/level
    json: {time: t, level: v}
    every: 10 s
rules:
  dust: {threshold: air.pm25, levels: {yellow: 100}, for: 30 s}
"""


class Came(NamedTuple):
    """One input with its stamps."""

    n: int
    admitted_ns: int
    elapsed_ns: int
    input: Input


class Read(NamedTuple):
    """A recording's inputs and what it says of itself."""

    about: About
    inputs: list[Came]

    def messages(self) -> list[tuple[int, str, bytes]]:
        """(admitted, topic, body) of each message."""
        return [(one.admitted_ns, one.input.topic, one.input.body) for one in self.inputs if type(one.input) is Message]

    def ticks(self) -> list[int]:
        """When each tick was admitted."""
        return [one.admitted_ns for one in self.inputs if type(one.input) is Tick]


def config_of(text: str, folder: Path) -> Config:
    """The decoded configuration."""
    return loads(text, folder, registry())


def imported(folder: Path, *sources: object, text: str = STREET, **asked: object) -> tuple[Imported, Read]:
    """Import the sources into a recording and read it again."""
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    done = import_into(folder / "out.mcap", path, Asked(sources=tuple(map(str, sources)), **asked))  # type: ignore[arg-type]  a test's own words
    return done, read(folder / "out.mcap")


def read(*paths: Path) -> Read:
    """Everything a recording holds, in order."""
    about: About | None = None
    inputs: list[Came] = []
    for piece in Recording.open(paths).pieces():
        if isinstance(piece, Begin):
            about = piece.about
        elif isinstance(piece, Part):
            cut = piece.cut
            rows = zip(np.arange(len(cut.inputs)) + cut.n0, cut.admitted_ns, cut.elapsed_ns, cut.inputs, strict=True)
            inputs += [Came(int(n), int(at), int(elapsed), one) for n, at, elapsed, one in rows]
    assert about is not None
    return Read(about, inputs)
