"""Cores from a configuration's text, and inputs cut into steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.codecs import json_
from gateway.config.common import Struct
from gateway.config.kinds import Kind, Registry
from gateway.config.load import loads
from gateway.config.topics import TopicPattern
from gateway.core.core import Core
from gateway.core.plan import CameraPlan, Plan, Route
from gateway.events import Configured, Cut, Health, Input, Restart, Stepped, Tick
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gateway.config.model import Config
    from gateway.events import AlertRow, DeadLetter, RequestRow

S = 1_000_000_000
T0 = 1_780_000_020 * S  # 2026-05-29 04:27:00 in Shanghai: a whole minute
LABELS = ("person", "car")
HEAD = "gateway: lg-017-02\ntimezone: Asia/Shanghai\nbrokers: {here: {url: mqtt://127.0.0.1:1883}}\n"


class Mqtt(Struct, frozen=True):
    """Payloads that come from a broker: all that the core must know of it."""

    mqtt: str
    topic: TopicPattern

    def tags(self) -> tuple[str, ...]:
        """The names in its topic."""
        return self.topic.names


RULES = registry().rules
REGISTRY = Registry(
    transports={"mqtt": Kind("mqtt", Mqtt, Mqtt)},
    codecs={"json": Kind("json", json_.Json, json_.build)},
    rules=RULES,
    sinks={},
)


class Stamped(NamedTuple):
    """An input with the door's stamps."""

    item: Input
    admitted_ns: int
    elapsed_ns: int


class Came(NamedTuple):
    """What a sequence of inputs came to, cut by cut put together."""

    series: bytes
    alerts: list[AlertRow]
    requests: list[RequestRow]
    dead: list[DeadLetter]
    deltas: list[bytes]

    def brief(self) -> list[tuple[str, str, str, str]]:
        """(rule, subject, change, severity) of each alert row."""
        return [(row.rule, row.subject, row.change, body_of(row)["severity"]) for row in self.alerts]

    def of(self, rule: str) -> list[tuple[str, str]]:
        """(change, severity) of a rule's alert rows."""
        return [(change, severity) for name, _, change, severity in self.brief() if name == rule]


def config_of(text: str) -> Config:
    """The decoded configuration, with the lines that every one needs."""
    return loads(text if text.startswith("gateway:") else HEAD + text, Path("/"), REGISTRY)


def plan_of(config: Config) -> Plan:
    """As `app` makes it, with a model of two labels for every camera."""
    routes = tuple(
        Route(
            sensor.name,
            sensor.transport.mqtt,  # type: ignore[attr-defined]  the only transport here
            sensor.transport.topic,  # type: ignore[attr-defined]  as above
            sensor.common,
            json_.build(sensor.codec, sensor.common, config.timezone),  # type: ignore[arg-type]  the only codec here
        )
        for sensor in config.sensors.values()
    )
    cameras = tuple(CameraPlan(name, camera, LABELS, 0.4, "5ba1") for name, camera in config.cameras.items())
    return Plan(
        config.gateway,
        config.timezone,
        config.sha,
        config.community,
        config.place,
        config.commands,
        routes,
        cameras,
        tuple(config.rules.values()),
    )


def core_of(text: str, rules: Mapping[str, Kind] = RULES) -> Core:
    """A fresh core."""
    return Core(plan_of(config_of(text)), rules)


def start(at_ns: int = T0, epoch: str = "b3f1", *, up: bool = True) -> list[Stamped]:
    """What every run begins with; `up`: the broker is connected."""
    first: list[Input] = [Restart("", epoch, 1), Configured("sha", "")]
    return stamped([*first, *([Health("source/here", "connected", ok=True)] if up else [])], at_ns)


def stamped(items: Iterable[Input], at_ns: int) -> list[Stamped]:
    """Inputs admitted at one moment."""
    return [Stamped(item, at_ns, at_ns - T0) for item in items]


def ticks(from_ns: int, to_ns: int, every_s: float = 1.0) -> list[Stamped]:
    """A tick after every `every_s`, up to and with `to_ns`."""
    return [at(Tick(), t) for t in range(from_ns + round(every_s * S), to_ns + 1, round(every_s * S))]


def at(item: Input, at_ns: int) -> Stamped:
    """An input admitted then."""
    return Stamped(item, at_ns, at_ns - T0)


def cut_of(n0: int, part: Sequence[Stamped]) -> Cut:
    """Inputs as one cut."""
    admitted, elapsed = (np.array([one[i] for one in part], np.int64) for i in (1, 2))
    return Cut(n0, [one.item for one in part], admitted, elapsed)


def cuts_of(inputs: Sequence[Stamped], sizes: Iterator[int], n0: int = 1) -> Iterator[Cut]:
    """The inputs in parts of these sizes."""
    done = 0
    while done < len(inputs):
        size = next(sizes)
        yield cut_of(n0 + done, inputs[done : done + size])
        done += size


def together(steps: Iterable[Stepped]) -> Came:
    """Steps put together."""
    came = Came(b"", [], [], [], [])
    series: list[bytes] = []
    for step in steps:
        assert step.points == step.series.count(b"\n")
        series.append(step.series)
        came.alerts.extend(step.alerts)
        came.requests.extend(step.requests)
        came.dead.extend(step.dead)
        came.deltas.append(step.delta)
    return came._replace(series=b"".join(series))


def run(core: Core, inputs: Sequence[Stamped], sizes: Iterable[int] | None = None, n0: int = 1) -> Came:
    """Step a core through inputs: in cuts of these sizes, repeated; without, in one."""
    given = list(sizes or [max(1, len(inputs))])

    def endless() -> Iterator[int]:
        while True:
            yield from given

    return together([core.step(cut) for cut in cuts_of(inputs, endless(), n0)])


def body_of(row: AlertRow) -> dict[str, object]:
    """An alert row's JSON."""
    return msgspec.json.decode(row.body)
