"""What runs in a worker: one task, from its files to what it came to. Dask sends nothing else there and back."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec

from gateway.backtest.parts import Alert, Done, failed
from gateway.backtest.program import program_key
from gateway.clock import WallClock
from gateway.errors import GatewayError
from gateway.events import SEVERITIES
from gateway.recording.reader import Recording
from gateway.replaying.labels import HOLDING, Labels, spans
from gateway.replaying.play import play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.backtest.parts import Task
    from gateway.events import AlertRow, Stepped

TOPIC = "zhiwang-backtest"
STEPS = 50  # reports of a task's progress: a bar moves smoothly, and the scheduler hears little


class Report(TypedDict):
    """How many bytes of a task are done, as it goes over the scheduler's topic: only plain types pass there."""

    key: str
    done: int


class Spans:
    """Keeps of each alert what its span is made of: the first line, the last, and those between that end it or not."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[str, bytes]]] = {}
        self._rows: dict[str, tuple[str, str, bool]] = {}
        self._returned: defaultdict[str, list[int]] = defaultdict(list)

    def take(self, stepped: Sequence[Stepped]) -> None:
        """Each alert's change."""
        for one in stepped:
            for row in one.alerts:
                self._take(row)

    def _take(self, row: AlertRow) -> None:
        lines = self._lines.setdefault(row.id, [])
        if len(lines) > 1 and lines[-1][0] in HOLDING and row.change in HOLDING:
            lines.pop()  # it held and it holds: what came between tells nothing more
        lines.append((row.change, row.body))
        if row.change == "returned":
            self._returned[row.id].append(row.changed_ns)
        self._rows[row.id] = (row.class_, max(row.severities, key=SEVERITIES.index, default="minor"), row.shadow)

    def close(self, *, whole: bool = True) -> None:
        """Nothing to do."""
        del whole

    def __len__(self) -> int:
        """How many lines are kept: it grows with alerts that end, not with those that go on."""
        return sum(map(len, self._lines.values()))

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts, in the order of their first change."""
        lines = [body for told in self._lines.values() for _, body in told]
        raised = {name for name, told in self._lines.items() if told[0][0] == "raised"}
        return tuple(
            Alert(span, *self._rows[span.id], span.id in raised, tuple(self._returned.get(span.id, ())))
            for span in spans(lines)
        )


def perform(task: Task, report: Callable[[int], None] | None = None) -> Done:
    """Replay one group through one configuration. `report` is told how many of its bytes are done.

    What is wrong with a recording or a configuration is the result's `error`: repeating would not mend it.
    """
    clock, keeps, group = WallClock(), Spans(), task.group
    began_ns, told = clock.monotonic_ns(), 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if report is not None and (done - told) * STEPS >= total:
            told = done
            report(done * group.bytes // max(total, 1))

    try:
        recording = Recording.open([Path(file) for file in group.files])
        config = Path(task.variant.config) if task.variant.config else None
        played = play(recording, keeps, config=config, overlay=task.variant.overlay, progress=progress)
        windows = Labels.of_recording(recording, commands=False).windows
    except (GatewayError, OSError) as error:
        return failed(task, str(error))
    return msgspec.structs.replace(
        failed(task, ""),
        messages=played.summary.messages,
        took_s=(clock.monotonic_ns() - began_ns) / 1e9,
        alerts=keeps.alerts(),
        windows=windows,
        holes=tuple(played.holes),
    )


def perform_in_worker(task: Task) -> Done:
    """The same in a Dask worker: progress goes to who listens to the scheduler's topic."""
    from distributed import get_worker  # noqa: PLC0415 - only a worker has it

    worker = get_worker()
    return perform(task, lambda done: worker.log_event(TOPIC, Report(key=task.key, done=done)))


def program_of_worker() -> str:
    """Which program a worker runs."""
    return program_key()
