"""One camera, large: its picture, where things stood, its zones and lines (drawn here) and what they came to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from nicegui import ui

from gateway.console import pieces, words
from gateway.console.camera_words import TOOLS, tell
from gateway.console.detail import draw
from gateway.console.parts import Part, button, span
from gateway.console.situation import NS, Lookout, Situation
from gateway.console.words import Language, say
from gateway.core.outline import Outline
from gateway.ports import Drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nicegui.events import GenericEventArguments

    from gateway.ports import Counted, Heat, Picture, Shapes

HEAT_EVERY_NS = 5 * NS
LOW = 0.9  # a share of the hour below which it is said in another colour
MOST_SHAPES, MOST_POINTS = 64, 100
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Drawn(msgspec.Struct, frozen=True):
    """A shape as the browser sends it."""

    kind: Literal["zones", "lines"]
    name: Annotated[str, msgspec.Meta(max_length=64)]
    points: Annotated[list[tuple[Fraction, Fraction]], msgspec.Meta(max_length=MOST_POINTS)]


class Sent(msgspec.Struct, frozen=True):
    """What the browser sends when something drawn is to be kept."""

    camera: str
    shapes: Annotated[list[Drawn], msgspec.Meta(max_length=MOST_SHAPES)]


class Figure(NamedTuple):
    """What is counted of one label: (what, number) each, and how far that can be believed."""

    label: str
    watched: str
    low: bool
    values: tuple[tuple[str, str], ...]


class Place(NamedTuple):
    """One zone or line as it is shown."""

    kind: str
    name: str
    now: str
    figures: tuple[Figure, ...]


class OneCamera:
    """The large view. `back` leads to all cameras."""

    def __init__(self, lookout: Lookout, language: Language, back: Callable[[], None]) -> None:
        self._lookout = lookout
        self._language: Language = language
        self._camera = ""
        self._was: Drawing | None = None
        self._drawn_ns = self._heat_ns = -1
        self._heated = False
        self.box = ui.element("div").classes("zw-one")
        with self.box:
            with ui.element("div").classes("zw-one-main"):
                with ui.element("div").classes("zw-one-head"):
                    button(f"‹ {tell(language, 'all_cameras')}", back).classes("zw-up")
                    self._title = span("", "zw-one-title")
                    self._note = span("", "zw-one-note")
                    self._heat = button(tell(language, "heat"), self._toggle_heat).props('aria-pressed="false"')
                    self._edit = button(tell(language, "edit"), self._begin)
                with ui.element("div").classes("zw-one-stage"):
                    self._canvas = ui.element("div").classes("zw-picture")
                    self._over = ui.element("div").classes("zw-over")
                self._legend = span("", "zw-one-legend")
                self._tools = ui.element("div").classes("zw-tools")
                self._pending = span("", "zw-one-pending")
            self._counts = Part(ui.element("aside").classes("zw-counts"))
        ui.on("zw_drawn", self._sent)

    async def open(self, camera: str, now: Situation) -> None:
        """Show this camera."""
        self._js("close")
        self._camera = camera
        self._drawn_ns = self._heat_ns = -1
        self._title.set_text(pieces.camera_title(self._language, now, camera))
        self._note.set_text(say(self._language, "no_picture"))
        await self._look_at_files()
        await self.show(now)

    async def show(self, now: Situation) -> None:
        """Bring it up to date."""
        language, view = self._language, self._lookout.view
        picture = view.picture(self._camera)
        if picture is not None and picture.event_ns != self._drawn_ns:
            self._drawn_ns = picture.event_ns
            draw(self._canvas, self._camera, picture)
            count = say(language, "boxes", n=len(picture.labels))
            self._note.set_text(f"{words.clock(picture.event_ns, now.zone)} · {count}")
        if self._heated and now.now_ns // HEAT_EVERY_NS != self._heat_ns:
            self._heat_ns = now.now_ns // HEAT_EVERY_NS
            self._show_heat(view.heat(self._camera), now)
        counted = await self._lookout.counted(self._camera)
        shown = places(language, picture, _running(picture) if picture else self._was, counted)
        self._counts.show(shown, lambda: self._build_counts(shown))

    # ── heat ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _toggle_heat(self) -> None:
        self._heated = not self._heated
        self._heat.props(f'aria-pressed="{str(self._heated).lower()}"')
        self._heat_ns = -1
        if self._heated:
            await self.show(await self._lookout.look())
        else:
            self._legend.set_text("")
            self._js("heat", 1, 1, [0])

    def _show_heat(self, heat: Heat | None, now: Situation) -> None:
        if heat is None or not heat.cells.any():
            self._legend.set_text(tell(self._language, "no_heat"))
            self._js("heat", 1, 1, [0])
            return
        rows, columns = heat.cells.shape
        since = words.moment(heat.since_ns, now.now_ns, now.zone)
        share = round(100 * int(heat.cells.max()) / max(1, heat.looks))
        self._legend.set_text(tell(self._language, "heat_legend", since=since, share=share))
        self._js("heat", columns, rows, heat.cells.reshape(-1).tolist())

    # ── drawing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _look_at_files(self) -> None:
        """What the files say, and whether that is more than what runs."""
        self._was = await self._lookout.view.drawing(self._camera)
        self._edit.set_visibility(self._was is not None)
        picture, text = self._lookout.view.picture(self._camera), ""
        if self._was is None:
            text = tell(self._language, "not_from_here")
        elif picture is not None and self._was != _running(picture):
            text = tell(self._language, "pending")
        self._pending.set_text(text)

    async def _begin(self) -> None:
        await self._look_at_files()
        if self._was is not None:
            shapes = [
                {"kind": kind, "name": name, "points": points}
                for kind, each in (("zones", self._was.zones), ("lines", self._was.lines))
                for name, points in each.items()
            ]
            tools = {key: both[self._language == "en"] for key, both in TOOLS.items()}
            self._js("edit", self._tools.html_id, self._camera, shapes, tools)

    async def _sent(self, event: GenericEventArguments) -> None:
        """Something drawn is to be kept."""
        was = self._was
        try:
            sent = msgspec.convert(event.args, Sent)
        except msgspec.ValidationError as error:
            self._js("drawn", [{"kind": "", "name": "", "problem": str(error)}])
            return
        if was is None or sent.camera != self._camera:
            return
        now = Drawing({}, {})
        for one in sent.shapes:
            shapes: Shapes = now.zones if one.kind == "zones" else now.lines
            if one.name in shapes:
                taken = TOOLS["taken"][self._language == "en"]
                self._js("drawn", [{"kind": one.kind, "name": one.name, "problem": taken}])
                return
            shapes[one.name] = tuple(one.points)
        refused = await self._lookout.view.redraw(self._camera, was, now)
        self._js("drawn", [one._asdict() for one in refused])
        if not refused:
            ui.notify(tell(self._language, "kept"), type="positive", position="top", timeout=4000)
            await self._look_at_files()

    def _js(self, act: str, *given: object) -> None:
        shown = ", ".join(json.dumps(part) for part in (self._over.html_id, *given))
        ui.run_javascript(f"zw.{act}({shown})")

    # ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _build_counts(self, shown: Sequence[Place]) -> None:
        language = self._language
        span(tell(language, "last_hour"), "zw-head")
        if not shown:
            span(tell(language, "no_places"), "zw-none")
        for place in shown:
            with ui.element("div").classes("zw-count-card"):
                with ui.element("div").classes("zw-count-name line" if place.kind == "lines" else "zw-count-name"):
                    ui.label(place.name)
                    if place.now:
                        span(place.now, "zw-count-now")
                if not place.figures:
                    span(tell(language, "nothing_counted"), "zw-count-key")
                for figure in place.figures:
                    with ui.element("div").classes("zw-count-label"):
                        span(figure.label, "zw-count-what")
                        span(figure.watched, "zw-count-sure low" if figure.low else "zw-count-sure")
                        for what, value in figure.values:
                            span(what, "zw-count-key")
                            span(value, "zw-count-value")


def _running(picture: Picture) -> Drawing:
    """The zones and lines by which a picture was judged."""
    zones, lines = (
        {name: tuple((x, y) for x, y in points) for name, points in shapes} for shapes in (picture.zones, picture.lines)
    )
    return Drawing(zones, lines)


def places(
    language: Language, picture: Picture | None, drawing: Drawing | None, counted: Sequence[Counted]
) -> tuple[Place, ...]:
    """Every zone and line, with who is there now and what the last hour came to."""
    known = drawing or Drawing({}, {})
    out: list[Place] = []
    for kind, name, points in (
        *(("zones", *zone) for zone in known.zones.items()),
        *(("lines", *line) for line in known.lines.items()),
    ):
        now = tell(language, "there_now", n=_inside(picture, points)) if picture and kind == "zones" else ""
        of_it = [one for one in counted if (one.kind, one.name) == (kind, name)]
        out.append(Place(kind, name, now, tuple(_figure(language, one) for one in of_it)))
    return tuple(out)


def _inside(picture: Picture, points: Sequence[tuple[float, float]]) -> int:
    """How many boxes of a picture stand in a zone."""
    if not len(picture.boxes):
        return 0
    boxes = picture.boxes.astype(np.float64)
    feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, np.minimum(boxes[:, 3], 1 - 1e-6)], axis=1)
    return int(Outline(tuple((x, y) for x, y in points), 1, 1).holds(feet).sum())


def _figure(language: Language, one: Counted) -> Figure:
    watched = tell(language, "watched", share=round(100 * one.coverage))
    values = [
        (tell(language, what), f"{n} ± {one.unsure[what]}" if one.unsure.get(what) else str(n))
        for what, n in one.counts.items()
    ]
    if one.kind == "zones":
        values.append((tell(language, "at_once"), f"{words.number(round(one.mean, 1))} / {one.most}"))
    return Figure(one.label, watched, one.coverage < LOW, tuple(values))
