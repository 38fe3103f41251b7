"""What there is to show, taken from the View once a second for everybody who looks: pure data, no page."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.clock import zone_or_utc
from gateway.console.alert import NS, Alert, Words, from_json, worst_first
from gateway.ports import Component, Judged

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from gateway.ports import Counted, View

PAST = 200
"""How many closed alerts are read to say how many today had: more than that is said as 200."""
RECENT = 5
"""How many closed alerts the first screen lists."""
PAST_EVERY_NS = 20 * NS
COUNTED_EVERY_NS, HOUR_NS = 15 * NS, 3600 * NS
KINDS = {"camera": 0, "source": 1, "sink": 2}
"""What the strip shows, in its order."""
FRESH_NS = 900_000_000
"""A look is shared by everybody who asks within 0.9 s, so that ten screens cost as much as one."""


class Status(msgspec.Struct, frozen=True):
    """What the page reads of `View.status()`; everything else is shown as it is under Health."""

    gateway: str = ""
    community: dict[str, str | None] | str | None = None
    place: dict[str, object] | None = None
    timezone: str = ""
    status: str = "actual"
    durable: bool = True
    outbox_lag_s: float = 0.0


class Past(NamedTuple):
    """What the closed alerts said when they were last read."""

    read_ns: int
    last_ns: int
    today: int
    recent: list[Alert]


class Blind(msgspec.Struct, frozen=True):
    """Something that does not do its work: a component, with its equipment alert where there is one, or only that."""

    key: str
    kind: str
    name: str
    condition: str
    detail: str
    since_ns: int
    title: Words
    alert: Alert | None


class Situation(msgspec.Struct, frozen=True):
    """One moment.

    `city`: open alerts of the city, worst first; `shelved` apart. `seeing`: share of cameras and sources that are well,
    0–1. `last_ns`: when the last alert of the city changed, 0 where there was none. `today`: how many began today.
    `recent`: the last few that ended, the newest first. `judged`: what people said of each rule's alerts, by rule.
    """

    now_ns: int
    status: Status
    city: list[Alert]
    shelved: list[Alert]
    blind: list[Blind]
    components: list[Component]
    seeing: float
    last_ns: int
    today: int
    recent: list[Alert]
    judged: dict[str, Judged]

    @property
    def zone(self) -> ZoneInfo:
        """The gateway's time zone."""
        return zone_or_utc(self.status.timezone)

    def find(self, key: str) -> Alert | Blind | None:
        """The alert with this id, or the blind thing with this key."""
        for alert in (*self.city, *self.shelved, *self.recent):
            if alert.id == key:
                return alert
        return next((blind for blind in self.blind if blind.key == key), None)

    def first(self) -> str:
        """The key of what is worst, empty where there is nothing."""
        return self.city[0].id if self.city else self.blind[0].key if self.blind else ""

    def first_camera(self) -> str:
        """A camera that sees, for when there is nothing to look at in particular; empty where there is none."""
        return next((split(c.name)[1] for c in self.components if c.ok and split(c.name)[0] == "camera"), "")

    def camera_of(self, shown: Alert | Blind) -> str:
        """The camera that what is shown comes from, empty where it has none."""
        cameras = {split(component.name)[1] for component in self.components if split(component.name)[0] == "camera"}
        if isinstance(shown, Blind):
            return shown.name if shown.kind == "camera" else ""
        if shown.camera:
            return shown.camera
        stem = shown.subject.removeprefix("camera/").split("{")[0]
        while stem and stem not in cameras:
            stem = stem.rpartition(".")[0]
        return stem


def split(component: str) -> tuple[str, str]:
    """`camera/river` → (camera, river)."""
    kind, _, name = component.partition("/")
    return kind, name


def _blind(components: list[Component], equipment: list[Alert]) -> list[Blind]:
    by_subject: dict[str, Alert] = {}
    for alert in worst_first([alert for alert in equipment if not alert.is_shelved]):
        by_subject.setdefault(alert.subject.partition("{")[0] if "/" in alert.subject else alert.subject, alert)
    rows = [
        Blind(c.name, *split(c.name), c.condition, c.detail, c.since_ns, dict(c.title), by_subject.pop(c.name, None))
        for c in components
        if not c.ok
    ]
    for alert in by_subject.values():
        if not alert.is_cleared:
            kind, name = split(alert.subject.partition("{")[0] if "/" in alert.subject else alert.subject)
            rows.append(
                Blind(
                    key=alert.id,
                    kind=kind if name else "sensor",
                    name=name or f"{alert.subject.partition('{')[0]} {alert.device}".strip(),
                    condition=condition_of(alert),
                    detail="",
                    since_ns=alert.started_ns,
                    title={},
                    alert=alert,
                )
            )
    return sorted(rows, key=lambda row: (row.kind, row.name))


def condition_of(alert: Alert) -> str:
    """What an equipment alert is about: its subject's condition (`camera/river{condition=frozen}`), else its rule."""
    _, found, condition = alert.subject.partition("{condition=")
    return condition.rstrip("}") if found else alert.rule


class Lookout:
    """Looks at the gateway for everybody who watches it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._last: Situation | None = None
        self._past = Past(-PAST_EVERY_NS, 0, 0, [])
        self._counted: dict[str, tuple[int, list[Counted]]] = {}

    async def counted(self, camera: str) -> list[Counted]:
        """What a camera's zones and lines came to in the last hour; read for everybody every 15 s."""
        now_ns = self.view.now_ns()
        read_ns, counted = self._counted.get(camera, (-COUNTED_EVERY_NS, []))
        if not 0 <= now_ns - read_ns < COUNTED_EVERY_NS:
            counted = await self.view.counted(camera, now_ns - HOUR_NS, now_ns)
            self._counted[camera] = (now_ns, counted)
        return counted

    async def look(self, *, fresh: bool = False) -> Situation:
        """The situation now, at most 0.9 s old; `fresh` asks for a new one, after a command."""
        now_ns = self.view.now_ns()
        if self._last is not None and not fresh and 0 <= now_ns - self._last.now_ns < FRESH_NS:
            return self._last
        status = msgspec.convert(self.view.status(), Status, strict=False)
        alerts = [alert for body in await self.view.open_alerts() if (alert := from_json(body)) and not alert.is_closed]
        components = self.view.components()
        seen = [c.ok for c in components if split(c.name)[0] in {"camera", "source"}]
        city = [alert for alert in alerts if alert.class_ == "city"]
        past = await self._read_past(now_ns, zone_or_utc(status.timezone), city, fresh=fresh)
        self._last = Situation(
            now_ns=now_ns,
            status=status,
            city=worst_first([a for a in city if not a.is_shelved]),
            shelved=worst_first([a for a in alerts if a.is_shelved]),
            blind=_blind(components, [a for a in alerts if a.class_ == "equipment"]),
            components=sorted(components, key=lambda c: (KINDS.get(split(c.name)[0], len(KINDS)), c.name)),
            seeing=sum(seen) / len(seen) if seen else 1.0,
            last_ns=past.last_ns,
            today=past.today,
            recent=past.recent,
            judged={one.rule: one for one in self.view.judged()},
        )
        return self._last

    async def _read_past(self, now_ns: int, zone: ZoneInfo, city: list[Alert], *, fresh: bool) -> Past:
        if fresh or not 0 <= now_ns - self._past.read_ns < PAST_EVERY_NS:
            midnight = datetime.fromtimestamp(now_ns // NS, zone).replace(hour=0, minute=0, second=0, microsecond=0)
            seen = {alert.id: alert for alert in city}
            ended: list[Alert] = []
            for body in await self.view.past_alerts(PAST):
                if (alert := from_json(body)) and alert.class_ == "city" and alert.id not in seen:
                    seen[alert.id] = alert
                    ended.append(alert)
            last_ns = max((alert.changed_ns for alert in seen.values()), default=0)
            today = sum(alert.started_ns >= int(midnight.timestamp()) * NS for alert in seen.values())
            ended.sort(key=lambda alert: -alert.changed_ns)
            self._past = Past(now_ns, last_ns, today, ended[:RECENT])
        return self._past
