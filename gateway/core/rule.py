"""What a rule is to the core: it meets things, is stepped with readings, looks and ticks, and says what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config.model import RuleCommon
    from gateway.core.looks import Look
    from gateway.core.machine import Transition
    from gateway.core.state import Part
    from gateway.core.things import Thing
    from gateway.core.watch import Run
    from gateway.events import Looked


class Subject(NamedTuple):
    """What an alert is about, `text` as in SEMANTICS.md §4.

    `series` where it has readings of its own; `unit` of its value; `severity` where the subject decides it, not the
    level; `position` (lon, lat) of a thing that moves.
    """

    text: str
    unit: str = ""
    series: int | None = None
    thing: Thing | None = None
    camera: str = ""
    severity: str = ""
    detail: str = ""
    position: tuple[float, float] | None = None


class Moment(NamedTuple):
    """The stamps of an input that is stepped alone; `tick` counts ticks."""

    n: int
    admitted_ns: int
    elapsed_ns: int
    tick: int


class Speaker(Protocol):
    """What raises alerts.

    `colours` are those of its levels, mildest first, `limits` their lines; `lows` the lower ones, where a
    level has two; `owner` is a hash of the configuration that decides its state.
    """

    @property
    def name(self) -> str: ...
    @property
    def place(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def common(self) -> RuleCommon: ...
    @property
    def owner(self) -> str: ...
    @property
    def colours(self) -> tuple[str, ...]: ...
    @property
    def limits(self) -> tuple[float, ...]: ...
    @property
    def lows(self) -> tuple[float, ...]: ...
    def subject(self, slot: int) -> Subject: ...


class Rule(Speaker, Protocol):
    """One configured rule; `table` holds what is kept of its subjects, `on()` the level of each that has one.

    Everything that it must remember is in state that it declared. It tolerates everything twice, late and out of order.
    `meet` is given the things that are new, and gives the series among theirs that it will speak of.
    `flaws`: why it cannot say anything of some or all of its subjects, words by condition.
    """

    @property
    def things(self) -> Sequence[Thing | None]: ...
    @property
    def table(self) -> Part: ...
    def on(self) -> Mapping[int, int]: ...
    def flaws(self) -> dict[str, str]: ...
    def meet(self, things: Sequence[Thing]) -> Sequence[int]: ...
    def readings(self, run: Run, tick: int) -> list[Transition]: ...
    def detections(self, look: Look, moment: Moment, run: Run) -> list[Transition]: ...
    def looked(self, looked: Looked, moment: Moment) -> list[Transition]: ...
    def tick(self, moment: Moment) -> list[Transition]: ...
