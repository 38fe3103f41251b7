"""Imported inputs to a recording: one file, made="import", that opens under its name only when it is whole."""

from __future__ import annotations

import hashlib
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from gateway import __version__
from gateway.app.plan import find_models
from gateway.errors import GatewayError
from gateway.events import Configured, Cut, Detections, Message, Restart
from gateway.exchange.weave import Weave, began_ns
from gateway.recording.parts import About, Checkpoint, notes_of
from gateway.recording.writer import FileWriter
from gateway.whole import made_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from gateway.config.model import Config
    from gateway.events import Input
    from gateway.exchange.given import Beside, Findings, Given
    from gateway.exchange.weave import Stamped

T = TypeVar("T")
CUT = 2_000  # inputs of a record: a replay takes them apart again, and a seek reads one whole
CUT_BYTES = 500_000  # of payloads


class Written(msgspec.Struct, frozen=True):
    """What a recording came to hold; times are admission, UTC."""

    inputs: int
    messages: int
    ticks: int
    first_ns: int
    last_ns: int
    bytes: int
    topics: frozenset[tuple[str, str]]
    interrupted: bool


def write(
    path: Path,
    given: Iterable[Given],
    config: Config,
    text: str,
    findings: Findings,
    *,
    hole_ns: int | None = None,
    beside: Callable[[], Iterable[Beside]] = tuple,
    stop: Callable[[], bool] = lambda: False,
) -> Written:
    """Write what was given, in time order, to a recording. `text`: the configuration's, without secrets.

    `beside` gives what stands beside the inputs, and is asked when all of these are written. Where `stop`
    says so, the recording ends in order, with what there is. Raises GatewayError where nothing was given.
    """
    inputs = _until(given, stop)
    first = next(inputs, None)
    if first is None:
        raise GatewayError("nothing was found to import: the recording was not written")
    start_ns = began_ns(first.admitted_ns)
    about = about_of(config, text, first, findings)
    weave = Weave(findings, hole_ns)
    start: list[Input] = [Restart("", about.epoch, 1), Configured(config.sha, text)]
    stamped = weave.of(chain([first], inputs), start, start_ns)
    with made_whole(path) as part:
        writer = FileWriter(part, about, Checkpoint(0, start_ns, 0, 1, None))
        try:
            count, messages = _fill(writer, stamped, start_ns)
            for channel, log_ns, message in _until(beside(), stop):
                writer.beside(channel, log_ns, message)
        finally:
            writer.close()
        size = part.stat().st_size
    topics = frozenset(weave.topics)
    return Written(count, messages, weave.ticks, start_ns, weave.last_ns, size, topics, stop())


def together(parts: Sequence[Written]) -> Written:
    """Several recordings, in the order of their times, as if they were one."""
    return Written(
        inputs=sum(part.inputs for part in parts),
        messages=sum(part.messages for part in parts),
        ticks=sum(part.ticks for part in parts),
        first_ns=parts[0].first_ns,
        last_ns=parts[-1].last_ns,
        bytes=sum(part.bytes for part in parts),
        topics=frozenset[tuple[str, str]]().union(*(part.topics for part in parts)),
        interrupted=parts[-1].interrupted,
    )


def about_of(config: Config, text: str, first: Given, findings: Findings) -> About:
    """What is said of the recording. The same import gives the same epoch; that of another sensor's day another."""
    start_ns = began_ns(first.admitted_ns)
    manifests, notices = find_models(config)
    for notice in notices:
        if not notice.ok:
            findings.note(f"{notice.component}: {notice.detail}")
    one = first.input
    whose = one.topic if isinstance(one, Message) else one.camera if isinstance(one, Detections) else ""
    drawn = hashlib.sha256(f"{config.gateway} {config.sha} {start_ns} {whose}".encode()).hexdigest()[:4]
    return About(
        gateway=config.gateway,
        epoch=drawn,
        version=__version__,
        config_sha=config.sha,
        config=text,
        models=notes_of(manifests),
        made="import",
        began_ns=start_ns,
        timezone=config.timezone,
    )


def _until(given: Iterable[T], stop: Callable[[], bool]) -> Iterator[T]:
    for one in given:
        if stop():
            return
        yield one


def _fill(writer: FileWriter, stamped: Iterator[Stamped], start_ns: int) -> tuple[int, int]:
    """Write everything; (inputs, messages among them)."""
    n = messages = 0
    inputs, times, size = list["Input"](), list[int](), 0
    for at_ns, item in stamped:
        inputs.append(item)
        times.append(at_ns)
        if type(item) is Message:
            size += len(item.body)
            messages += 1
        if len(inputs) >= CUT or size > CUT_BYTES:
            writer.inputs(_cut(n, inputs, times, start_ns))
            n += len(inputs)
            inputs, times, size = [], [], 0
    if inputs:
        writer.inputs(_cut(n, inputs, times, start_ns))
    return n + len(inputs), messages


def _cut(n: int, inputs: list[Input], times: list[int], start_ns: int) -> Cut:
    admitted = np.array(times, np.int64)
    return Cut(n, inputs, admitted, admitted - start_ns)
