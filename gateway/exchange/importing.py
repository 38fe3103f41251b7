"""From what a person names to one recording: which importer reads which source, all of them merged by time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from gateway.config.load import load, text_of
from gateway.exchange.choosing import Asked, Choosing
from gateway.exchange.given import Findings
from gateway.exchange.order import merged, within
from gateway.exchange.recorded import Written, write
from gateway.exchange.topics import Topics
from gateway.exchange.videos import Videos
from gateway.registry import registry

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Config


class Imported(msgspec.Struct, frozen=True):
    """What an import came to."""

    written: Written
    findings: Findings
    silent: tuple[str, ...]
    """Sensors of one thing that promise readings (`every:`) and had none: a replay finds them silent."""
    timezone: str


class Watching(msgspec.Struct, frozen=True):
    """Who watches a long import: `progress(share, inputs)` is called now and then, `stop` asked often."""

    progress: Callable[[float, int], None] = lambda share, inputs: None  # noqa: ARG005 - named for who reads it
    stop: Callable[[], bool] = lambda: False


def import_into(output: Path, config_path: Path, asked: Asked, watching: Watching | None = None) -> Imported:
    """Write a recording of everything that is asked for, made for the configuration in a file.

    Raises ConfigError, and GatewayError where a source cannot be read at all.
    """
    watching = watching or Watching()
    config, text = load(config_path, registry()), text_of(config_path)
    findings = Findings()
    importers = Choosing(config, asked, findings).importers()
    sources = frozenset[str]().union(*(one.sources for one in importers))
    streams = [one.inputs() for one in importers]

    def progress(inputs: int) -> None:
        watching.progress(sum(one.done() for one in importers) / len(importers), inputs)

    try:
        written = write(
            output,
            within(merged(streams), asked.from_ns, asked.to_ns),
            config,
            text,
            sources,
            findings,
            hole_ns=asked.hole_ns,
            beside=lambda: chain.from_iterable(one.beside() for one in importers if isinstance(one, Videos)),
            progress=progress,
            stop=watching.stop,
        )
    finally:
        for stream in streams:
            stream.close()
    return Imported(written, findings, _silent(config, sources, written), config.timezone)


def _silent(config: Config, sources: frozenset[str], written: Written) -> tuple[str, ...]:
    if not config.sensors or not sources:
        return ()
    topics = Topics(config)
    heard = {name for _, topic in written.topics for name in topics.heard(topic).sensors}
    return tuple(
        name
        for name, one in topics.wanted.items()
        if one.source in sources and one.sensor.common.every and name not in heard and not one.several()
    )
