"""Cores for checks: made from a configuration's text and its kinds, stepped through inputs in any cuts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.app.plan import make_plan
from gateway.config.kinds import Kind
from gateway.config.load import loads
from gateway.config.manifest import Manifest
from gateway.core import Core
from gateway.events import Cut
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.core.plan import Plan
    from gateway.events import AlertRow, RequestRow, Stepped
    from gateway.testing.said import Step

HEAD = "gateway: tested\ntimezone: UTC\n"
BROKERS = "brokers: {here: {url: mqtt://127.0.0.1:1883}}\n"


class Recipe(msgspec.Struct, frozen=True):
    """What cores are made from. Survives pickling where its kinds do, so that another process can make the same."""

    text: str
    base: str
    kinds: tuple[Kind, ...]
    labels: tuple[str, ...]


class Maker:
    """Makes cores. `plan`: the core's; `brokers`: of the configuration. Raises ConfigError."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        known = registry()
        self._rules = {**known.rules, **{kind.key: kind for kind in recipe.kinds}}
        whole = msgspec.structs.replace(known, rules=self._rules)
        config = loads(recipe.text, Path(recipe.base), whole)
        manifests = {name: _model(recipe.labels) for name in config.cameras}
        self.plan: Plan = make_plan(config, whole, manifests)
        self.brokers = tuple(config.brokers)

    def core(self) -> Core:
        """A fresh one."""
        return Core(self.plan, self._rules)


class Came(NamedTuple):
    """What a core said, input by input put together, and its state at the end."""

    series: bytes
    alerts: list[AlertRow]
    requests: list[RequestRow]
    dead: list[object]
    state: bytes


def whole_text(text: str) -> str:
    """A configuration with the lines that every one needs."""
    keys = {line.partition(":")[0] for line in text.splitlines()}
    return ("" if "gateway" in keys else HEAD) + ("" if "brokers" in keys else BROKERS) + text


def _model(labels: tuple[str, ...]) -> Manifest:
    """A model that nobody runs: a rule only asks for its labels and score."""
    flat = (0.0, 0.0, 0.0)
    more = {"mean": flat, "std": flat, "letterbox": False, "pad": 0, "labels": labels, "score": 0.4}
    return Manifest("tested", "ssd", 300, 300, "nhwc", "uint8", "rgb", sha256="", licence="", **more)  # pyright: ignore[reportArgumentType] - by name


def cut_of(n0: int, part: Sequence[Step]) -> Cut:
    """Inputs as one cut; the first has number n0."""
    admitted, elapsed = (np.array([one[i] for one in part], np.int64) for i in (1, 2))
    return Cut(n0, [one.item for one in part], admitted, elapsed)


def cuts_of(steps: Sequence[Step], sizes: Sequence[int], n0: int = 1) -> Iterator[Cut]:
    """All inputs in cuts of these sizes, repeated."""
    done = turn = 0
    while done < len(steps):
        size = sizes[turn % len(sizes)]
        yield cut_of(n0 + done, steps[done : done + size])
        done, turn = done + size, turn + 1


def together(stepped: Sequence[Stepped], state: bytes) -> Came:
    """Steps put together."""
    return Came(
        b"".join(one.series for one in stepped),
        [row for one in stepped for row in one.alerts],
        [row for one in stepped for row in one.requests],
        [letter for one in stepped for letter in one.dead],
        state,
    )


def run(core: Core, steps: Sequence[Step], sizes: Sequence[int] = (1,)) -> Came:
    """A fresh core through all inputs, in cuts of these sizes."""
    stepped = [core.step(cut) for cut in cuts_of(steps, sizes)]
    return together(stepped, core.snapshot())
