"""An alert's outward JSON (experience.md §2), as the page and `watch` read it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from urllib.parse import unquote

import msgspec

from gateway.events import COLOUR_OF, SEVERITIES

NS = 1_000_000_000
Words = dict[str, str]
"""The same words by language: zh, en."""


class Ack(msgspec.Struct, frozen=True):
    """Who acknowledged, and when (ISO 8601)."""

    by: str = ""
    at: str = ""


class Shelf(msgspec.Struct, frozen=True):
    """Who shelved, why, until when (ISO 8601)."""

    by: str = ""
    why: str = ""
    until: str = ""


class Label(msgspec.Struct, frozen=True):
    """What a person said of it (right, wrong), who, when (ISO 8601), and a note."""

    verdict: str = ""
    who: str = ""
    at: str = ""
    note: str = ""


class Recent(msgspec.Struct, frozen=True):
    """The last values, `step_s` apart, the newest last."""

    step_s: float = 0
    values: list[float | None] = []


class Piece(msgspec.Struct, frozen=True):
    """A picture or clip: its media type, its hash, when it was taken (ISO 8601)."""

    kind: str
    sha256: str
    taken: str = ""


class Alert(msgspec.Struct, frozen=True, rename={"class_": "class"}):
    """One alert. Every field but the id has a default: an older or newer gateway is still readable."""

    id: str
    code: str = ""
    epoch: str = ""
    seq: int = 0
    status: str = "actual"
    class_: Literal["city", "equipment"] = "city"
    change: str = ""
    state: str = ""
    severity: str = "minor"
    severity_max: str = ""
    rule: str = ""
    subject: str = ""
    gateway: str = ""
    community: str | None = None
    place: dict[str, object] | None = None
    started: str = ""
    changed: str = ""
    late_s: float | None = None
    value: float | bool | str | None = None
    unit: str | None = None
    limit: float | bool | str | None = None
    recent: Recent | None = None
    coverage_1h: float | None = None
    title: Words = {}
    text: Words = {}
    do: Words | None = None
    detail: str | None = None
    camera: str | None = None
    unknown: bool = False
    acknowledged: Ack | None = None
    shelved: Shelf | None = None
    label: Label | None = None
    evidence: tuple[Piece, ...] = ()

    @property
    def colour(self) -> str:
        """The colour people know the severity by."""
        return COLOUR_OF.get(self.severity, "blue")

    @property
    def rank(self) -> int:
        """Greater is worse."""
        return SEVERITIES.index(self.severity) if self.severity in SEVERITIES else 0

    @property
    def is_shelved(self) -> bool:
        """Whether a person has put it aside."""
        return self.state == "shelved"

    @property
    def is_acknowledged(self) -> bool:
        """Whether a person has taken it on."""
        return self.state.endswith("_acknowledged")

    @property
    def is_cleared(self) -> bool:
        """Whether its condition has ended."""
        return self.state.startswith("cleared")

    @property
    def is_closed(self) -> bool:
        """Whether this is its last word."""
        return self.change == "closed" or self.state == "normal"

    @property
    def verdict(self) -> str:
        """What a person said of it: right, wrong, or nothing."""
        return self.label.verdict if self.label else ""

    @property
    def device(self) -> str:
        """What tells its subject from others of the same title: the tags' values, `0017 a`; empty where it has none."""
        _, found, tags = self.subject.partition("{")
        return " ".join(unquote(tag.partition("=")[2]) for tag in tags.rstrip("}").split(",")) if found else ""

    @property
    def which(self) -> str:
        """Its device, where the title does not say which it is: titles of equipment and of rules without one do."""
        said = self.class_ != "city" or any(self.subject in words for words in self.title.values())
        return "" if said else self.device

    @property
    def started_ns(self) -> int:
        """When it began, UTC nanoseconds; 0 where it does not say."""
        return parse_ns(self.started)

    @property
    def changed_ns(self) -> int:
        """When it last changed, UTC nanoseconds; 0 where it does not say."""
        return parse_ns(self.changed)


def parse_ns(text: str) -> int:
    """ISO 8601 with an offset → UTC nanoseconds (to the microsecond); 0 where it is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        return 0
    return round(moment.timestamp() * 1e6) * 1000


def from_json(body: dict[str, object] | bytes) -> Alert | None:
    """The alert in its JSON, or None where it is not one."""
    try:
        return msgspec.json.decode(body, type=Alert) if isinstance(body, bytes) else msgspec.convert(body, Alert)
    except msgspec.MsgspecError:
        return None


def worst_first(alerts: list[Alert]) -> list[Alert]:
    """Worst first, what nobody has taken on before what somebody has, then the newest first; shelved ones last."""
    return sorted(alerts, key=lambda a: (a.is_shelved, a.is_cleared, -a.rank, a.is_acknowledged, -a.started_ns, a.id))
