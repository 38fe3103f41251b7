"""The running gateway as the page, `/metrics`, the local socket and the demo's summary see it: ports.View."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec

from gateway import __version__
from gateway.app import box
from gateway.app.counted import counted
from gateway.app.heat import HeatMaps
from gateway.app.logs import Wellness
from gateway.config.scalars import NS
from gateway.errors import TransientError
from gateway.events import Detections, Health
from gateway.ports import Component, Latest, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from gateway.app.pen import Pen
    from gateway.config.model import Config, Text
    from gateway.core import Core
    from gateway.door import Door
    from gateway.events import AlertRow, Command, Input, Stepped
    from gateway.outbox import Outbox
    from gateway.ports import Clock, Counted, Drawing, Heat, Judged, Picture
    from gateway.sinks.history import History


def words(text: Text | None) -> dict[str, str]:
    """Words by language, those that there are."""
    return {language: said for language, said in (("zh", text.zh), ("en", text.en)) if said} if text else {}


def builtins(struct: msgspec.Struct | None) -> object:
    """A struct as a map, without what is not set; None without one."""
    given = msgspec.structs.asdict(struct) if struct else None
    return given and {key: value for key, value in given.items() if value is not None}


SILENCED = ("raised", "returned")  # the changes of a silence that begins
THINGS_TOLD = 1000  # whose silences are counted by name; those of any further things together
TOLD_S, LOOK_S = 2.0, 0.01  # a history that does not take it in that time is in trouble, and is said to be


class Rate:
    """How fast a counter grows, over the last seconds."""

    def __init__(self, clock: Clock, count: Callable[[], float]) -> None:
        self._clock, self._count = clock, count
        self._seen: deque[tuple[int, float]] = deque(maxlen=8)

    def text(self) -> str:
        """`5.0/s`; empty until it can be said. Looks at the counter at most once a second."""
        now_ns = self._clock.monotonic_ns()
        if not self._seen or now_ns - self._seen[-1][0] >= NS:
            self._seen.append((now_ns, self._count()))
        (from_ns, first), (to_ns, last) = self._seen[0], self._seen[-1]
        return f"{(last - first) * NS / (to_ns - from_ns):.1f}/s" if to_ns > from_ns else ""


class Summary(msgspec.Struct, frozen=True):
    """What a run came to."""

    messages: int
    readings: int
    frames: int
    detections: int
    alerts: int
    points_delivered: int


class Running:
    """See the module. `parts` are (kind, name, stats): whatever has counters; `picture` is the cameras'."""

    def __init__(self, config: Config, clock: Clock, core: Core, door: Door, outbox: Outbox, history: History) -> None:
        self.config = config
        self.door = door
        self.closing = False
        self._clock, self._core, self._outbox, self._history = clock, core, outbox, history
        self._started_ns = clock.monotonic_ns()
        self._said: dict[tuple[str, str], Component] = {}
        self._wellness = Wellness(clock)
        self._attached: set[str] = set()
        self._titles = {f"camera/{name}": words(camera.title) for name, camera in config.cameras.items()}
        self._asked: dict[str, bytes] = {}
        self._alerts = 0
        self._silenced: Counter[str] = Counter()
        self.parts: list[tuple[str, str, Callable[[], Mapping[str, float]]]] = []
        self.rates: dict[str, Rate] = {}
        self._take_picture: Callable[[str], Picture | None] = lambda _: None
        self.read_evidence: Callable[[str, str, int], Awaitable[bytes | None]] | None = None
        self._heat: HeatMaps | None = None
        self.pen: Pen | None = None
        door.on_stepped(self._stepped)

    def see(self, take_picture: Callable[[str], Picture | None], scores: Mapping[str, float]) -> None:
        """There are cameras: where their pictures come from, and from which score on a box of each counts."""
        self._take_picture, self._heat = take_picture, HeatMaps(self._clock, scores)

    # ── what passes through ──────────────────────────────────────────────────────────────────────────────────────────

    async def commit(self, batch: Sequence[Input]) -> None:
        """The door, for every source: notes what parts say of themselves on the way."""
        kinds = set(map(type, batch))  # most batches are thousands of messages
        if Health in kinds or Detections in kinds:
            for one in batch:
                if type(one) is Health:
                    self._note(one)
                elif type(one) is Detections and self._heat:
                    self._heat.take(one)
        await self.door.commit(batch)

    async def report(self, health: Health, *, quietly: bool = False) -> None:
        """What a part says of itself outside its inputs; nothing any more when the door closes. `quietly`: not here."""
        if self.closing:
            return
        if quietly:
            await self.door.commit([health])
        else:
            await self.commit([health])

    def _note(self, health: Health) -> None:
        self._wellness.take(health)
        key = (health.component, health.condition)
        was = self._said.get(key)
        since = was.since_ns if was and was.ok == health.ok else self._clock.now_ns()
        if health.ok and health.condition == "connected":
            self._attached.add(health.component)
        title = self._titles.get(health.component, {})
        self._said[key] = Component(health.component, health.ok, health.condition, health.detail, since, title)

    def said(self, component: str, condition: str) -> bool:
        """Whether this part has said anything of this condition."""
        return (component, condition) in self._said

    def _stepped(self, stepped: Sequence[Stepped]) -> None:
        for one in stepped:
            self._alerts += sum(row.change == "raised" for row in one.alerts)
            for row in one.alerts:
                if row.rule == "silent" and row.change in SILENCED:
                    known = row.subject in self._silenced or len(self._silenced) < THINGS_TOLD
                    self._silenced[row.subject if known else "others"] += 1
            for request in one.requests:
                if request.kind == "reply" and request.id in self._asked:
                    self._asked[request.id] = request.body

    # ── ports.View ───────────────────────────────────────────────────────────────────────────────────────────────────

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return self._clock.now_ns()

    def components(self) -> list[Component]:
        """What is not well first, each component once: its worst condition, or that it is well."""
        worst: dict[str, Component] = {}
        for said in self._said.values():
            known = worst.get(said.name)
            if known is None or (known.ok and not said.ok):
                worst[said.name] = said
        told = [self._detailed(component) for component in worst.values()]
        return sorted(told, key=lambda component: (component.ok, component.name))

    def _detailed(self, component: Component) -> Component:
        """A component that is well says how much it does."""
        rate = self.rates.get(component.name)
        return msgspec.structs.replace(component, detail=rate.text()) if rate and component.ok else component

    def status(self) -> dict[str, object]:
        """Enough for a row in a table of 300 gateways."""
        uptime_s = (self._clock.monotonic_ns() - self._started_ns) / 1e9
        stats, delivered = self._outbox.stats(), dict(self._lags())
        return {
            "version": __version__,
            "gateway": self.config.gateway,
            "status": "actual",
            "community": builtins(self.config.community),
            "place": builtins(self.config.place),
            "timezone": self.config.timezone,
            "config_sha": self.config.sha,
            "uptime_s": round(uptime_s),
            "durable": stats.durable,
            "outbox_lag_s": round(max(delivered.values(), default=0.0), 1),
            "outbox_bytes": stats.bytes,
            "sources": self._seeing("source"),
            "cameras": self._seeing("camera"),
            "sinks": self._seeing("sink"),
            "clock_ok": self._ok("clock/wall"),
            "disk_free_bytes": shutil.disk_usage(self.config.state).free if self.config.state.exists() else None,
            "dead_letter_bytes": stats.dead_bytes,
            "written_a_day_bytes": box.written_a_day(uptime_s),
            "cpu_temperature_c": box.cpu_temperature_c(),
        }

    @property
    def durable(self) -> bool:
        """Whether what is acknowledged is on a sound disk."""
        return self._outbox.durable

    def _ok(self, name: str) -> bool:
        return all(said.ok for said in self._said.values() if said.name == name)

    def _seeing(self, kind: str) -> dict[str, int]:
        of = {"source": self.config.brokers, "camera": self.config.cameras, "sink": self.config.sinks}[kind]
        mine = {f"{kind}/{name}" for name in of}
        return {"ok": sum(one.ok for one in self.components() if one.name in mine), "of": len(of)}

    def _lags(self) -> list[tuple[str, float]]:
        return [(name, stats().get("lag_s", 0.0)) for kind, name, stats in self.parts if kind == "sink"]

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Every counter and gauge: (name, labels, value)."""
        out: list[tuple[str, dict[str, str], float]] = []
        for kind, name, stats in self.parts:
            out += [(f"zhiwang_{kind}_{what}", {kind: name} if name else {}, value) for what, value in stats().items()]
        for what, count in sorted(self._core.counts.items()):
            name, _, sensor = what.partition("/")  # `thing_flooding/air` is counted by sensor
            labels = {"sensor": sensor} if sensor else {}
            out.append((f"zhiwang_{name}_total" if sensor else f"zhiwang_core_{what}_total", labels, float(count)))
        out.append(("zhiwang_alerts_raised_total", {}, float(self._alerts)))
        for one in self.judged():
            for verdict, times in (("right", one.said_right), ("wrong", one.said_wrong)):
                if times:
                    labels = {"rule": one.rule, "verdict": verdict}
                    out.append(("zhiwang_alerts_labelled_total", labels, float(times)))
        for thing, times in self._silenced.items():
            out.append(("zhiwang_thing_silenced_total", {"thing": thing}, float(times)))
        for component in self.components():
            kind, _, name = component.name.partition("/")
            out.append(("zhiwang_component_up", {"kind": kind, "name": name}, float(component.ok)))
        return out

    def latest(self) -> list[Latest]:
        """Each series' last accepted value, with its rules' lines."""
        titles = {name: words(sensor.common.title) for name, sensor in self.config.sensors.items()}
        named = [(one, titles.get(one.subject.partition("{")[0].rpartition(".")[0], {})) for one in self._core.latest()]
        return [msgspec.structs.replace(one, title=title) if title else one for one, title in named]

    def judged(self) -> list[Judged]:
        """What people said of each rule's alerts."""
        return self._core.judged(self._clock.now_ns())

    def picture(self, camera: str) -> Picture | None:
        """The camera's last analysed picture."""
        taken = self._take_picture(camera)
        known = self.config.cameras.get(camera)
        if taken is None or known is None:
            return None
        return taken._replace(zones=list(known.outlines().items()), lines=list(known.lines.items()))

    def heat(self, camera: str) -> Heat | None:
        """Where things stood in the last hour."""
        return self._heat and self._heat.of(camera)

    async def counted(self, camera: str, from_ns: int, to_ns: int) -> list[Counted]:
        """What its zones and lines came to; nothing while the history cannot be read."""
        try:
            return await counted(self._history, camera, from_ns, to_ns)
        except TransientError:
            return []

    async def drawing(self, camera: str) -> Drawing | None:
        """The camera's zones and lines as the files say now; None where they cannot be changed from here."""
        return await self.pen.read(camera) if self.pen else None

    async def redraw(self, camera: str, was: Drawing, now: Drawing) -> list[Refused]:
        """Write them into local.yaml; returns what is wrong with them."""
        if self.pen is None:
            return [Refused("", "", "this gateway does not know its configuration's file")]
        return await self.pen.draw(camera, was, now)

    async def evidence(self, alert: str, sha256: str) -> bytes | None:
        """A picture or clip of an alert, as it is kept; None where it is not."""
        return await self.read_evidence(alert, sha256, 0) if self.read_evidence else None

    async def open_alerts(self) -> list[dict[str, object]]:
        """All open alerts, as JSON objects."""
        return [self._outward(row) for row in await self._history.open_alerts()]

    async def past_alerts(self, limit: int) -> list[dict[str, object]]:
        """The alerts that ended last."""
        return [self._outward(row) for row in await self._history.past_alerts(limit)]

    def _outward(self, row: AlertRow) -> dict[str, object]:
        body: dict[str, object] = msgspec.json.decode(row.body)
        return {**body, "status": "test" if row.shadow else "actual"}

    async def chart(self, subject: str, from_ns: int, to_ns: int, buckets: int) -> tuple[list[int], list[float]]:
        """A series' points to draw."""
        return await self._history.chart(subject, from_ns, to_ns, buckets)

    async def command(self, command: Command) -> dict[str, object]:
        """Bring a person's command to the door, and give the core's reply."""
        self._asked[command.id] = b""
        try:
            await self.door.commit([command])
            await self._told()
            return msgspec.json.decode(self._asked[command.id] or b"{}")
        finally:
            self._asked.pop(command.id, None)

    async def _told(self) -> None:
        """Wait a little for the history to have what was decided: who commands looks at it next."""
        for _ in range(round(TOLD_S / LOOK_S)):
            if self._outbox.cursor("alerts", "history") >= self._outbox.last("alerts"):
                return
            await asyncio.sleep(LOOK_S)

    # ── readiness and summary ────────────────────────────────────────────────────────────────────────────────────────

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether every source attached once and the outbox takes what comes; and why not."""
        wanted = {f"source/{sensor.transport.mqtt}" for sensor in self.config.sensors.values()}  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - every transport names its source
        waiting = sorted(wanted - self._attached)
        durable, full = self._outbox.durable, self._outbox.full
        why: dict[str, object] = {"durable": durable, "waiting_for": waiting}
        if full:
            why["outbox"] = "the alerts that wait fill their reserve; messages wait until a sink takes some"
        return not waiting and not full, why

    def summary(self) -> Summary:
        """Counts since the start."""
        counts = self._core.counts
        points = sum(stats().get("points_delivered_total", 0.0) for kind, _, stats in self.parts if kind == "sink")
        return Summary(
            messages=counts["messages"],
            readings=counts["readings"],
            frames=counts["frames"],
            detections=counts["detections"],
            alerts=self._alerts,
            points_delivered=int(points),
        )
