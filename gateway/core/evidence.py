"""Which pictures the core asks for, and which of them an alert has (SEMANTICS.md §11).

condition begins ──▶ request `evidence`, without an alert: take it and hold it ─┐ dropped where no alert follows
alert is raised ───▶ request `evidence` with the alert's id: that one, or now ──┴─▶ Evidence ─▶ the alert's `evidence`

That a condition has begun is looked up where all groupings of inputs agree: behind each look of the rule's camera, and
at each tick. Who a picture is of is said by what chooses among the boxes of the look that it shows: with those of
another look somebody would stand beside his own pixels. Where the rule judges tracks, their boxes are named too, with
the look that has them (see about.py): the picture is then of that look, or they are followed to the one that it is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from gateway.config.model import Point
from gateway.config.scalars import NS
from gateway.core.about import About, Box, about, names_tracks
from gateway.core.looks import place_of
from gateway.core.rules.several import SeveralRule
from gateway.core.sparse import Sparse
from gateway.events import Detections, Looked, RequestRow, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gateway.config.model import Rule as RuleConfig
    from gateway.core.guard import Guard
    from gateway.core.looks import Look
    from gateway.core.machine import Transition
    from gateway.core.plan import CameraPlan, Plan
    from gateway.core.rule import Moment, Rule, Speaker, Subject
    from gateway.core.state import State
    from gateway.events import AlertRow, Input

KIND = "evidence"
MOST = 8  # pictures and clips of one alert: its first, and the latest
HOLD_NS = 60 * NS  # beyond the rule's `for:`: how long what was taken at the beginning waits for an alert
EXPIRES_NS = 60 * NS
ABOUT_NS = 2 * NS  # a camera keeps the pictures of about so long: whom an older look showed is nowhere to be seen
PICTURED = frozenset({"raised", "returned", "raised_level"})
FILMED = frozenset({"raised", "returned"})


class Wanted(msgspec.Struct, frozen=True):
    """The body of a request `evidence`.

    capture: what was taken when the condition began, or the name of what is to be taken now; alert: whose it becomes,
    empty: hold it until `until_ns` (UTC). frame, event_ns: the look by which the core saw it; frame 0: none of this
    camera's. Who it is of: boxes of these labels, at or above `score`, whose ground point is in `outline` or near
    `line` (fractions of the picture); no labels: nobody. around_ns: of the clip before and after, 0: none. boxes: of
    the tracks that it is about, in the look `frame`: then it is of these alone.
    """

    capture: str
    camera: str
    rule: str
    subject: str
    alert: str
    frame: int
    event_ns: int
    until_ns: int
    around_ns: int = 0
    labels: tuple[str, ...] = ()
    score: float = 0.0
    outline: tuple[Point, ...] = ()
    line: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A picture or clip that an alert has: its number among them, and the change that said so first (0: none yet)."""

    n: int
    kind: str
    sha256: str
    taken_ns: int
    seq: int = 0


class Begun(msgspec.Struct, frozen=True, array_like=True):
    """A condition that holds: when it began by its rule's time, and what was taken then (empty: nothing)."""

    began_ns: int
    capture: str


class Through(msgspec.Struct, frozen=True):
    """The camera of a rule's evidence, and who in its picture is meant."""

    camera: str
    labels: tuple[str, ...] = ()
    score: float = 0.0
    outline: tuple[Point, ...] = ()
    line: tuple[Point, ...] = ()


class Captures:
    """See the module. `around_ns`: of clips; None: no evidence is wanted at all."""

    def __init__(self, plan: Plan, state: State) -> None:
        self._begun = state.book("evidence/begun", Begun)
        self._about = state.book("evidence/about", About)  # by rule: a look is judged behind it, when its time is told
        self._look: Look | None = None  # of the input that is stepped
        settings = plan.evidence
        self._around_ns = 0 if settings == "off" or settings.clip == "off" else int(settings.clip)
        cameras = {camera.name: camera for camera in plan.cameras}
        found = {rule.name: _through(rule, cameras) for rule in plan.rules if settings != "off"}
        self._through = {name: through for name, through in found.items() if through}

    def sees(self, rules: Iterable[Rule], look: Look, guard: Guard) -> None:
        """A camera's look is about to be judged by these rules: remember who will make them say what they say."""
        self._look = look
        for rule in rules:
            through = self._through.get(rule.name)
            if through and through.labels and through.camera == look.seen.camera and names_tracks(rule):
                guard.ask(rule, self._sees, rule, look)

    def _sees(self, rule: Rule, look: Look) -> list[Transition]:
        if look.tracks is None or not isinstance(rule.table, Sparse):  # a case is judged with its look
            return []
        known = self._about.get(rule.name)
        settled = rule.on().get(0) == len(rule.limits)  # there is nothing more to ask for: remember nothing
        found = None if settled else about(rule, 0, look)
        if found is not None:
            self._about.put(rule.name, found)
        elif known is not None and (settled or look.seen.event_ns - known.event_ns > ABOUT_NS):
            self._about.drop(rule.name)
        return []

    def begun(self, rules: Iterable[Rule], item: Input, moment: Moment) -> list[RequestRow]:
        """Ask for what goes with the conditions that have begun, behind a look or a tick."""
        camera = item.camera if isinstance(item, Detections | Looked) else ""
        if not self._through or not (camera or isinstance(item, Tick)):
            return []
        out: list[RequestRow] = []
        for rule in rules:
            through = self._through.get(rule.name)
            if through and (not camera or camera == through.camera):
                out += self._of(rule, through, item, moment)
        return out

    def configured(self) -> None:
        """A new configuration holds: what rules that are gone had begun is forgotten."""
        self._about.clear()
        for key, _ in self._begun.items():  # noqa: PERF102 - a book is no dict
            if key.rpartition("|")[0] not in self._through:
                self._begun.drop(key)

    def _of(self, rule: Rule, through: Through, item: Input, moment: Moment) -> list[RequestRow]:
        table = rule.table
        if not isinstance(table, Sparse) or not {"begin", "on"} <= set(table.dtype.names or ()):
            return []
        held = {slot: int(begin[0]) for slot, begin in table.where("begin")}
        for key, _ in self._begun.items() if len(self._begun) else ():
            name, _, slot = key.rpartition("|")
            if name == rule.name and int(slot) not in held:
                self._begun.drop(key)
        raised, out = dict(table.where("on")), list[RequestRow]()
        for slot, began_ns in held.items():
            key = f"{rule.name}|{slot}"
            known = self._begun.get(key)
            if known is not None and known.began_ns == began_ns:
                continue
            capture = "" if raised[slot] else f"{rule.name}-{slot}-{moment.admitted_ns}"
            self._begun.put(key, Begun(began_ns, capture))
            if capture:
                out.append(self._ask(rule, through, slot, rule.subject(slot), capture, "", item, moment))
        return out

    def raised(
        self, rule: Speaker, subject: Subject, slot: int, rows: Iterable[AlertRow], item: Input | None, moment: Moment
    ) -> list[RequestRow]:
        """Ask for what goes with the alerts that these changes raise; `item`: the look by which it came, if it did."""
        through = self._through.get(rule.name)
        out: list[RequestRow] = []
        for row in rows if through else ():
            if through is None or row.change not in PICTURED:
                continue
            key = f"{rule.name}|{slot}"
            begun, capture = self._begun.get(key), f"{row.id}-{row.seq}"
            if begun is not None and begun.capture and row.change in FILMED:
                capture = begun.capture
                self._begun.put(key, Begun(begun.began_ns, ""))
            film = row.change in FILMED
            out.append(self._ask(rule, through, slot, subject, capture, row.id, item, moment, film=film))
        return out

    def _ask(
        self,
        rule: Speaker,
        through: Through,
        slot: int,
        subject: Subject,
        capture: str,
        alert: str,
        item: Input | None,
        moment: Moment,
        *,
        film: bool = True,
    ) -> RequestRow:
        here = isinstance(item, Detections) and item.camera == through.camera
        frame, event_ns = (
            (item.frame, item.event_ns) if isinstance(item, Detections) and here else (0, moment.admitted_ns)
        )
        found = self._whom(rule, through, slot, item)
        if found is not None:
            frame, event_ns = found.frame, found.event_ns
        wanted = Wanted(
            capture=capture,
            camera=through.camera,
            rule=rule.name,
            subject=subject.text,
            alert=alert,
            frame=frame,
            event_ns=event_ns,
            until_ns=moment.admitted_ns + HOLD_NS + int(rule.common.for_),
            around_ns=self._around_ns if film else 0,
            labels=through.labels,
            score=through.score,
            outline=through.outline,
            line=through.line,
            boxes=found.boxes if found else (),
        )
        id_ = f"{capture}/{alert or 'begun'}"
        expires_ns = moment.admitted_ns + EXPIRES_NS
        return RequestRow(id_, KIND, f"camera/{through.camera}", expires_ns, msgspec.json.encode(wanted))

    def _whom(self, rule: Speaker, through: Through, slot: int, item: Input | None) -> About | None:
        """Whom it is about, in the look that is stepped or, where it is judged behind it, the last that showed them."""
        if not through.labels or not names_tracks(rule):
            return None
        look = self._look
        now = (
            about(rule, slot, look)
            if look is not None and look.seen is item and isinstance(rule, SeveralRule)
            else None
        )
        return now or self._about.get(rule.name)


def _through(rule: RuleConfig, cameras: Mapping[str, CameraPlan]) -> Through | None:
    """The camera that a rule looks through, or whose picture is to go with its alerts."""
    picture = rule.common.picture
    if picture == "off" or rule.common.mode == "off":
        return None
    where = getattr(rule.kind, "in_", None)
    name, place = place_of(where, list(cameras)) if isinstance(where, str) else ("", "")
    if picture is not None and picture != name:
        return Through(picture) if picture in cameras else None
    camera = cameras.get(name)
    if camera is None:
        return None
    given, zone = getattr(rule.kind, rule.key, ()), camera.camera.zone(place)
    labels = (given,) if isinstance(given, str) else given if isinstance(given, tuple) else ()
    score = getattr(rule.kind, "score", None) or (zone and zone.score) or camera.score
    return Through(
        name,
        labels=tuple(label for label in cast("tuple[object, ...]", labels) if isinstance(label, str)),
        score=float(score),
        outline=zone.outline if zone else (),
        line=camera.camera.lines.get(place, ()),
    )


def added(pieces: tuple[Piece, ...], kind: str, sha256: str, taken_ns: int) -> tuple[Piece, ...] | None:
    """An alert's pieces with one more; None where it has that one already."""
    if any(piece.sha256 == sha256 for piece in pieces):
        return None
    more = (*pieces, Piece(max((piece.n for piece in pieces), default=0) + 1, kind, sha256, taken_ns))
    return more if len(more) <= MOST else (more[0], *more[2:])


def told(pieces: tuple[Piece, ...], seq: int) -> tuple[Piece, ...]:
    """The pieces, each with the change that says so first."""
    return tuple(piece if piece.seq else msgspec.structs.replace(piece, seq=seq) for piece in pieces)
