"""From what a person names to one recording: which importer reads which source, all of them merged by time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.codecs.times import zone_of
from gateway.config.load import load, text_of
from gateway.errors import GatewayError
from gateway.exchange.choosing import Asked, Choosing
from gateway.exchange.given import Findings
from gateway.exchange.order import by_day, merged, within
from gateway.exchange.recorded import Written, together, write
from gateway.exchange.topics import Topics
from gateway.exchange.videos import Videos
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.config.model import Config
    from gateway.exchange.given import Beside, Given


class Imported(msgspec.Struct, frozen=True):
    """What an import came to."""

    written: Written
    findings: Findings
    silent: tuple[str, ...]
    """Sensors of one thing that promise readings (`every:`) and had none: a replay finds them silent."""
    timezone: str


class Watching(msgspec.Struct, frozen=True):
    """Who watches: `begun` is given what tells how far it is (share, 0–1; inputs so far); `stop` is asked often."""

    begun: Callable[[Callable[[], tuple[float, int]]], None] = lambda told: None  # noqa: ARG005 - named for who reads it
    stop: Callable[[], bool] = lambda: False


def import_into(output: Path, config_path: Path, asked: Asked, watching: Watching | None = None) -> Imported:
    """Write a recording of everything that is asked for, made for the configuration in a file.

    Raises ConfigError, and GatewayError where a source cannot be read at all.
    """
    watching = watching or Watching()
    if output.resolve() in {path.resolve() for path in (config_path, *map(Path, asked.sources))}:
        raise GatewayError(f"{output}: would be overwritten by what is made of it; write to another file")
    config, text = load(config_path, registry()), text_of(config_path)
    findings = Findings()
    importers = Choosing(config, asked, findings).importers()
    streams = [one.inputs() for one in importers]

    films = [one for one in importers if isinstance(one, Videos)]

    def beside() -> Iterator[Beside]:
        return chain.from_iterable(film.beside() for film in films)

    def told() -> tuple[float, int]:
        counts = findings.counts
        return sum(one.done() for one in importers) / len(importers), counts["messages"] + counts["looks"]

    def into(path: Path, given: Iterable[Given]) -> Written:
        return write(
            path,
            given,
            config,
            text,
            findings,
            hole_ns=asked.hole_ns,
            beside=beside,
            stop=watching.stop,
        )

    watching.begun(told)
    try:
        given = within(merged(streams), asked.from_ns, asked.to_ns)
        written = _days(output, given, config, into, watching.stop) if asked.by_day else into(output, given)
    finally:
        for stream in streams:
            stream.close()
    return Imported(written, findings, _silent(config, written), config.timezone)


def _days(
    folder: Path,
    given: Iterable[Given],
    config: Config,
    into: Callable[[Path, Iterable[Given]], Written],
    stop: Callable[[], bool],
) -> Written:
    """A recording for each day that has something. Raises GatewayError where none has."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Written] = []
    for date, part in by_day(given, zone_of(config.timezone)):
        parts.append(into(folder / f"{config.gateway}-{date}.mcap", part))
        if stop():
            break
    if not parts:
        raise GatewayError("nothing was found to import: no recording was written")
    return together(parts)


def _silent(config: Config, written: Written) -> tuple[str, ...]:
    if not written.topics:
        return ()
    topics, sources = Topics(config), {source for source, _ in written.topics}
    heard = {name for _, topic in written.topics for name in topics.heard(topic).sensors}
    return tuple(
        name
        for name, one in topics.wanted.items()
        if one.source in sources and one.sensor.common.every and name not in heard and not one.several()
    )
