"""One backtest, from what was asked to its outputs: prepared, worked off, written.

prepare ─▶ Backtest.todo ─▶ spread.Pool.run ─▶ Backtest.take ─▶ Backtest.write: table, pictures, curve
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.backtest import pictures, written
from gateway.backtest.curve import Dot, curve
from gateway.backtest.groups import groups
from gateway.backtest.kept import Kept
from gateway.backtest.parts import Task
from gateway.backtest.program import program_key
from gateway.backtest.sweep import Axis
from gateway.backtest.table import Row, rows
from gateway.backtest.variants import RECORDED, variants
from gateway.errors import GatewayError
from gateway.replaying.labels import Labels
from gateway.replaying.labels_file import read, read_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.backtest.parts import Done, Group
    from gateway.backtest.variants import Variant
    from gateway.config.kinds import Registry


class Asked(msgspec.Struct, frozen=True):
    """What is to be compared over which recordings. `configs`: files, or `recorded`; `whole`: see groups."""

    files: tuple[Path, ...]
    configs: tuple[str, ...]
    axes: tuple[Axis, ...] = ()
    labels: Path | None = None
    whole: bool = False


class Ended(msgspec.Struct, frozen=True):
    """What a backtest came to.

    `dots` is the curve of a sweep over the paths `swept`, of the alerts of `whose`. `incomplete`: configurations of
    which tasks are missing or failed; in the table with the days that there are, and not in the curve.
    """

    table: list[Row]
    whose: str
    dots: list[Dot]
    swept: tuple[str, ...]
    incomplete: tuple[str, ...]
    outputs: list[Path]


class Backtest:
    """Tasks, and what they came to. `folder` holds the outputs and what is kept; see kept."""

    def __init__(self, asked: Asked, registry: Registry, folder: Path) -> None:
        """Raises ConfigError with every error of every configuration and label, GatewayError without a recording."""
        found, self.unreadable = groups(asked.files, whole=asked.whole)
        if not found:
            raise GatewayError("\n".join(self.unreadable.values()) or "found no recording; its files end in .mcap")
        self.groups: list[Group] = found
        self.variants: list[Variant] = variants(asked.configs or (RECORDED,), asked.axes, registry, _texts(found))
        self._asked, self._folder = asked, folder
        self._labels = _labels(asked.labels, found)
        self.tasks = [_task(group, variant) for variant in self.variants for group in found]
        self._kept = Kept(folder)
        before = [self._kept.get(task) for task in self.tasks]
        self._results: dict[str, Done] = {done.key: done for done in before if done}
        self.found_kept = len(self._results)

    @property
    def todo(self) -> list[Task]:
        """The tasks without a result."""
        return [task for task in self.tasks if task.key not in self._results]

    @property
    def results(self) -> list[Done]:
        """What is done, in the order of the tasks."""
        return [self._results[task.key] for task in self.tasks if task.key in self._results]

    @property
    def failures(self) -> list[Done]:
        """Tasks that came to nothing."""
        return [done for done in self.results if done.error]

    def take(self, done: Done) -> None:
        """A result, which is kept."""
        self._kept.put(done)
        self._results[done.key] = done

    def write(self) -> Ended:
        """The outputs of what is done so far. Raises GatewayError where one cannot be written."""
        table = rows(self.results, self.variants, self._judged())
        missing = {task.variant.name for task in self.todo} | {done.variant for done in self.failures}
        swept = [variant for variant in self.variants if variant.overlay and variant.name not in missing]
        whose, dots = curve(table, swept, self._asked.axes) if self._asked.axes else ("", [])
        outputs = written.write_table(self._folder, table, self)
        pictures.draw_days(table, picture := self._folder / "days.png")
        outputs.append(picture)
        if dots:
            outputs.append(written.write_curve(self._folder / "curve.csv", self._asked.axes, dots))
            pictures.draw_curve(dots, self._asked.axes, whose, picture := self._folder / "curve.png")
            outputs.append(picture)
        incomplete = tuple(variant.name for variant in self.variants if variant.name in missing)
        return Ended(table, whose, dots, tuple(one.path for one in self._asked.axes), incomplete, outputs)

    def _judged(self) -> dict[str, Labels]:
        """By gateway: the labels that were given, else those in the recordings, and those beside them."""
        if self._asked.labels is not None:
            return self._labels
        judged: dict[str, Labels] = {}
        for gateway, beside in self._labels.items():
            own = [window for done in self.results if done.gateway == gateway for window in done.windows]
            judged[gateway] = Labels(list(dict.fromkeys(own))).and_then(beside)
        return judged


def _texts(found: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(text for group in found for text in group.configs))


def _labels(given: Path | None, found: Sequence[Group]) -> dict[str, Labels]:
    """By gateway: the file that was given, or those beside the recordings. Raises ConfigError."""
    by_gateway: dict[str, list[Group]] = {}
    for group in found:
        by_gateway.setdefault(group.gateway, []).append(group)
    if given is not None:
        return dict.fromkeys(by_gateway, read(given, found[0].timezone))
    return {
        gateway: read_beside([Path(file) for group in mine for file in group.files], mine[0].timezone)
        for gateway, mine in by_gateway.items()
    }


def _task(group: Group, variant: Variant) -> Task:
    parts = (program_key(), group.key, variant.key)
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    return Task(key, msgspec.structs.replace(group, configs=()), variant)  # the texts are in the files
