"""What is kept of one alert: its present state, who did what to it, and how it stands among those before it."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.core.evidence import Piece

Verdict = Literal["right", "wrong"]


class Shelf(msgspec.Struct, frozen=True, array_like=True):
    """By whom an alert is shelved, why, until when (UTC for people, elapsed for us), and up to which severity."""

    by: str
    why: str
    until_ns: int
    until_elapsed_ns: int
    severity: str


class Acknowledgement(msgspec.Struct, frozen=True, array_like=True):
    """Who has seen an alert, and when."""

    by: str
    at_ns: int


class Label(msgspec.Struct, frozen=True, array_like=True):
    """What a person says of an alert: whether there was what it told of, who says so, when, and a note."""

    verdict: Verdict
    who: str
    at_ns: int
    note: str


class Times(msgspec.Struct, frozen=True, array_like=True):
    """The `nth` alert of its rule and subject in its local month (year × 12 + month − 1).

    right, wrong: how many of those before it in that month people said were.
    """

    month: int
    nth: int
    right: int
    wrong: int


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An alert. `severity` is the present or last one; `active` whether the condition holds."""

    id: str
    code: str
    rule: str
    owner: str
    kind: str
    subject: str
    class_: Literal["city", "equipment"]
    shadow: bool
    active: bool
    unknown: bool
    acknowledged: bool
    acknowledgement: Acknowledgement | None
    shelf: Shelf | None
    severity: str
    severity_max: str
    topics: tuple[str, ...]
    started_ns: int
    changed_ns: int
    opened_elapsed_ns: int
    value: float | None
    limit: float | None
    unit: str
    detail: str
    camera: str
    series: int | None
    position: tuple[float, float] | None
    seq: int
    label: Label | None = None  # from here on: what states stored by 0.1 do not have
    times: Times | None = None
    evidence: tuple[Piece, ...] = ()
    evidence_owed: bool = False  # whether it has a piece that no change has told of
    evidence_told_ns: int | None = None  # elapsed, when a change last did

    @property
    def key(self) -> str:
        """What tells it from other open alerts."""
        return f"{self.rule}|{self.subject}"

    @property
    def is_open(self) -> bool:
        """Until it is cleared and somebody has seen it."""
        return self.active or not self.acknowledged
