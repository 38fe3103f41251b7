"""An alert's outward JSON: what DESIGN promises a subscriber, less what sinks add (`status`, `prev`, `published`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.config.geo import wgs84
from gateway.config.model import Place, Text
from gateway.core import texts
from gateway.core.alerts import facts_of, state_of
from gateway.core.recent import STEP_NS
from gateway.core.rules.making import by_severity
from gateway.core.rules.threshold import Threshold
from gateway.events import COLOUR_OF, SEVERITIES, SEVERITY_OF

if TYPE_CHECKING:
    from gateway.core.evidence import Piece
    from gateway.core.plan import Plan
    from gateway.core.recent import Recent
    from gateway.core.record import Record

TREND_STEPS = 20  # half minutes: 10 min
ALIKE = 1e-7  # the past is kept to seven digits


class Bodies:
    """Writes bodies from records, the plan and the recent past."""

    def __init__(self, plan: Plan, recent: Recent) -> None:
        self._plan = plan
        self._recent = recent
        self._rules = {rule.name: rule.common for rule in plan.rules}
        self._lines = {rule.name: _lines(rule.kind) for rule in plan.rules}
        self._routes = {route.name: route.sensor for route in plan.routes}
        self._cameras = {camera.name: camera for camera in plan.cameras}

    def write(self, record: Record, change: str, admitted_ns: int, epoch: str, seq: int) -> bytes:
        """The JSON object of one change."""
        plan, common = self._plan, self._rules.get(record.rule)
        values, coverage = self._past(record)
        camera = self._cameras.get(record.camera)
        facts = self._facts(record, change, values, coverage)
        do = common.do if common else None
        shelf, seen = record.shelf, record.acknowledgement
        body = {
            "schema": 1,
            "id": record.id,
            "code": record.code,
            "epoch": epoch,
            "seq": seq,
            "class": record.class_,
            "change": change,
            "state": state_of(record),
            "severity": record.severity,
            "severity_max": record.severity_max,
            "colour": COLOUR_OF[record.severity],
            "rule": record.rule,
            "subject": record.subject,
            "unknown": record.unknown,
            "acknowledged": {"by": seen.by, "at": texts.stamp(seen.at_ns, plan.timezone)} if seen else None,
            "shelved": {"by": shelf.by, "why": shelf.why, "until": texts.stamp(shelf.until_ns, plan.timezone)}
            if shelf
            else None,
            "label": self._label(record),
            "gateway": plan.gateway,
            "community": plan.community.code if plan.community else None,
            "place": self._place(record),
            "started": texts.stamp(record.started_ns, plan.timezone),
            "changed": texts.stamp(record.changed_ns, plan.timezone),
            "late_s": round(max(0, admitted_ns - record.changed_ns) / 1e9, 3),
            "value": _rounded(record.value),
            "unit": record.unit or None,
            "limit": _rounded(record.limit),
            "recent": {"step_s": STEP_NS // 10**9, "values": [_rounded(v) for v in values]} if values else None,
            "coverage_1h": coverage,
            "title": texts.title(facts),
            "text": texts.text(facts),
            "do": {"zh": do.zh or do.en or "", "en": do.en or do.zh or ""} if do else None,
            "detail": record.detail or None,
            "camera": record.camera or None,
            "evidence": [self._piece(record, piece) for piece in record.evidence],
            "config_sha": plan.config_sha,
            "model_sha": camera.model_sha if camera else None,
        }
        return msgspec.json.encode(body)

    def _piece(self, record: Record, piece: Piece) -> dict[str, object]:
        """A picture or clip, and the topic that a broker gets it on."""
        community = self._plan.community
        base = f"zhiwang/v1/{(community and community.code) or '_'}/{self._plan.gateway}"
        return {
            "n": piece.n,
            "kind": piece.kind,
            "sha256": piece.sha256,
            "topic": f"{base}/evidence/{record.id}/{piece.n}",
            **({"taken": texts.stamp(piece.taken_ns, self._plan.timezone)} if piece.taken_ns else {}),
            "seq": piece.seq,
        }

    def _label(self, record: Record) -> dict[str, str] | None:
        """What a person said of it."""
        said = record.label
        if said is None:
            return None
        at = texts.stamp(said.at_ns, self._plan.timezone)
        return {"verdict": said.verdict, "who": said.who, "at": at, "note": said.note}

    def _facts(self, record: Record, change: str, values: list[float | None], coverage: float | None) -> texts.Facts:
        """What the texts are made of."""
        common = self._rules.get(record.rule)
        known = record.series is None or self._recent.hour_known(record.series, record.changed_ns)
        return facts_of(
            record,
            change,
            title=common.title if common else None,
            place=self._words(record),
            hold_ns=int(common.for_) if common else 0,
            trend=_trend(values, record.value),
            coverage=coverage if known else None,
            worse=self._worse(record),
            do=common.do if common else None,
            code=record.code,
            zone=self._plan.timezone,
        )

    def _past(self, record: Record) -> tuple[list[float | None], float | None]:
        """(values of the last half minutes, share of the last hour's readings that came); empty and None if unknown."""
        if record.series is None:
            return [], None
        past = self._recent.past(record.series, record.changed_ns)
        sensor = self._routes.get(record.subject.partition("{")[0].rpartition(".")[0])
        values = past.values
        while values and values[0] is None:
            values = values[1:]
        if sensor is None or not sensor.every:
            return values, None
        return values, round(min(1.0, past.readings * int(sensor.every) / (3600 * 10**9)), 3)

    def _worse(self, record: Record) -> tuple[str, float] | None:
        """The next line beyond the present level."""
        here = SEVERITIES.index(record.severity)
        return next(
            (line for line in self._lines.get(record.rule, ()) if SEVERITIES.index(SEVERITY_OF[line[0]]) > here), None
        )

    def _where(self, record: Record) -> Place | None:
        camera = self._cameras.get(record.camera)
        sensor = self._routes.get(record.subject.partition("{")[0].rpartition(".")[0])
        own = camera.camera.place if camera else sensor.place if sensor else None
        return own or self._plan.place

    def _words(self, record: Record) -> Text:
        """The community and the place, in words."""
        place, community = self._where(record), self._plan.community
        zh = " ".join(part for part in (community and community.zh, place and place.zh) if part)
        en = ", ".join(part for part in (community and community.en, place and place.en) if part)
        return Text(zh=zh or None, en=en or None)

    def _place(self, record: Record) -> dict[str, object] | None:
        """Where it is: a thing that moves was where its readings said, anything else stands where it was put."""
        place = self._where(record) or (Place() if record.position else None)
        if place is None:
            return None
        point = record.position or wgs84(place)
        here = [round(point[0], 6), round(point[1], 6)] if point else None
        return {"zh": place.zh, "en": place.en, "wgs84": here, "uncertainty_m": place.uncertainty_m}


def _lines(kind: object) -> tuple[tuple[str, float], ...]:
    """A threshold's lines, mildest first; other kinds have none that a value heads for."""
    if not isinstance(kind, Threshold) or kind.outside:
        return ()
    return tuple(by_severity(kind.levels or kind.below).items())


def _rounded(value: float | None) -> float | None:
    """Six significant digits after the point: what a sensor can mean, and no binary tail."""
    return None if value is None else round(value, 6)


def _trend(values: list[float | None], value: float | None) -> tuple[float, int] | None:
    """How much the value moved over the last minutes that are known: (change, minutes)."""
    if value is None or len(values) < 3:
        return None
    back = values[-TREND_STEPS - 1 :]
    first = next((i for i, old in enumerate(back) if old is not None), None)
    if first is None or (old := back[first]) is None:
        return None
    minutes = round((len(back) - 1 - first) * STEP_NS / 60e9)
    return (value - old, minutes) if minutes and abs(value - old) > abs(value) * ALIKE else None
