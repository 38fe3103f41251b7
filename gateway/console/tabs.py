"""The further pages: every camera, every series, every component."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nicegui import ui

from gateway.console import charts, pieces, words
from gateway.console.camera import OneCamera
from gateway.console.detail import draw
from gateway.console.parts import Part, button, span
from gateway.console.situation import NS, Lookout, Situation, split
from gateway.console.words import Language, pick, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from nicegui.events import ValueChangeEventArguments

    from gateway.ports import Latest

CHARTS = 12  # charts on one screen: more would cost the browser and nobody reads them; the search finds the others
CHART_EVERY_NS = 10 * NS
SPAN_NS = 3 * 3600 * NS
BUCKETS = 180


class CamerasTab:
    """Each camera's last picture with its boxes; the one that was chosen is large."""

    def __init__(self, lookout: Lookout, language: Language) -> None:
        self._lookout = lookout
        self._language: Language = language
        self.box = ui.element("div").classes("zw-page")
        with self.box:
            self._grid = Part(ui.element("div").classes("zw-cameras"))
            self._one = OneCamera(lookout, language, self._close)
        self._open = ""
        self._close()
        self._canvases: dict[str, tuple[ui.element, ui.label]] = {}
        self._drawn: dict[str, int] = {}

    async def show(self, now: Situation) -> None:
        """Draw what is newer than what is shown."""
        if self._open:
            await self._one.show(now)
            return
        cameras = [c for c in now.components if split(c.name)[0] == "camera"]
        state = tuple((c.name, c.ok, c.condition if not c.ok else "") for c in cameras)
        self._grid.show(state, lambda: self._build(now))
        for name, (canvas, caption) in self._canvases.items():
            await asyncio.sleep(0)  # a picture may have to be encoded first: one at a time, others have their turn
            picture = self._lookout.view.picture(name)
            if picture is None or self._drawn.get(name) == picture.event_ns:
                continue
            self._drawn[name] = picture.event_ns
            draw(canvas, name, picture)
            count = say(self._language, "boxes", n=len(picture.labels))
            caption.set_text(f"{words.clock(picture.event_ns, now.zone)} · {count}")

    def _opener(self, name: str) -> Callable[[], Any]:
        async def open_it() -> None:
            self._open = name
            self._grid.box.set_visibility(False)
            self._one.box.set_visibility(True)
            await self._one.open(name, await self._lookout.look())

        return open_it

    def _close(self) -> None:
        self._open = ""
        self._grid.box.set_visibility(True)
        self._one.box.set_visibility(False)

    def _build(self, now: Situation) -> None:
        self._canvases.clear()
        self._drawn.clear()
        cameras = [c for c in now.components if split(c.name)[0] == "camera"]
        if not cameras:
            span(say(self._language, "no_cameras"), "zw-empty")
        for component in cameras:
            name = split(component.name)[1]
            with ui.element("figure").classes("zw-card" if component.ok else "zw-card bad"):
                with ui.element("figcaption"):
                    ui.element("i").classes("zw-dot" if component.ok else "zw-ring")
                    button(pick(self._language, component.title, name), self._opener(name)).classes("zw-card-title")
                    if not component.ok:
                        span(words.condition(self._language, component.condition), "zw-card-state")
                    caption = span("", "zw-card-note")
                canvas = ui.element("div").classes("zw-picture").on("click", self._opener(name))
                if self._lookout.view.picture(name) is None:
                    caption.set_text(say(self._language, "no_picture"))
            self._canvases[name] = (canvas, caption)


class SeriesTab:
    """Each series' chart with its lines, twelve at a time, found by name."""

    def __init__(self, lookout: Lookout, language: Language) -> None:
        self._lookout = lookout
        self._language: Language = language
        self._wanted = ""
        self._charts: dict[str, tuple[ui.echart, ui.label]] = {}
        self._drawn = -1
        self.box = ui.element("div").classes("zw-page")
        with self.box:
            with ui.element("div").classes("zw-find"):
                ui.input(placeholder=say(language, "search"), on_change=self._on_search).props(
                    "outlined dense clearable debounce=300"
                ).classes("zw-input")
                self._count = span("", "zw-count")
            self._grid = Part(ui.element("div").classes("zw-series"))

    def _on_search(self, event: ValueChangeEventArguments[str | None]) -> None:
        self._wanted = (event.value or "").strip().lower()

    async def show(self, now: Situation) -> None:
        """Show those that fit the search, and draw them every ten seconds."""
        every = sorted(self._lookout.view.latest(), key=lambda row: (not row.limits, row.subject))
        fit = [row for row in every if self._wanted in f"{row.subject} {' '.join(row.title.values())}".lower()]
        shown = fit[:CHARTS]
        self._count.set_text(say(self._language, "shown", n=len(shown), all=len(fit)) if fit else "")
        self._grid.show(tuple(row.subject for row in shown), lambda: self._build(shown))
        for row in shown:
            self._charts[row.subject][1].set_text(words.quantity(row.value, row.unit))
        if now.now_ns // CHART_EVERY_NS != self._drawn:
            self._drawn = now.now_ns // CHART_EVERY_NS
            for row in shown:
                await self._draw(now, row)

    def _build(self, shown: list[Latest]) -> None:
        self._charts.clear()
        self._drawn = -1
        if not shown:
            span(say(self._language, "no_series"), "zw-empty")
        for row in shown:
            with ui.element("div").classes("zw-card"):
                with ui.element("figcaption"):
                    title = pick(self._language, row.title)
                    span(title or row.subject, "zw-card-title")
                    if title:
                        span(row.subject, "zw-card-note")
                    value = span("", "zw-card-value")
                self._charts[row.subject] = (ui.echart({}, renderer="svg").classes("zw-echart small"), value)

    async def _draw(self, now: Situation, row: Latest) -> None:
        times, values = await self._lookout.view.chart(row.subject, now.now_ns - SPAN_NS, now.now_ns, BUCKETS)
        from_ns = charts.begin(times, now.now_ns - SPAN_NS, now.now_ns)
        chart = self._charts[row.subject][0]
        chart.options.clear()
        chart.options.update(
            charts.option(
                self._language,
                times_ns=times,
                values=values,
                limits=row.limits,
                span_ns=(from_ns, now.now_ns),
                zone=now.zone,
                unit=row.unit,
                small=True,
            )
        )
        chart.update()


class HealthTab:
    """Each component's state, and the gateway's status as it is published."""

    def __init__(self, lookout: Lookout, language: Language) -> None:
        self._lookout = lookout
        self._language: Language = language
        self.box = ui.element("div").classes("zw-page")
        with self.box, ui.element("div").classes("zw-health"):
            self._components = Part(ui.element("div").classes("zw-card"))
            self._status = Part(ui.element("div").classes("zw-card"))

    async def show(self, now: Situation) -> None:
        """Bring both tables up to date."""
        language = self._language
        rows = tuple(
            (
                c.ok,
                pieces.kind_word(language, split(c.name)[0]),
                pick(language, c.title, split(c.name)[1]),
                say(language, "well") if c.ok else words.condition(language, c.condition),
                c.detail,
                say(language, "from", at=words.moment(c.since_ns, now.now_ns, now.zone)),
            )
            for c in now.components
        )
        self._components.show(rows, lambda: self._build_components(rows))
        status = tuple((key, self._plain(key, value)) for key, value in sorted(self._lookout.view.status().items()))
        self._status.show(status, lambda: self._build_status(status))

    def _plain(self, key: str, value: object) -> str:
        if isinstance(value, bool):
            return say(self._language, "yes" if value else "no")
        if isinstance(value, dict) and {"ok", "of"} <= value.keys():
            return f"{value['ok']} / {value['of']}"
        if isinstance(value, dict):
            parts = [str(part) for part in value.values() if isinstance(part, str | int | float)]
            return pick(self._language, value) or " ".join(parts)
        if isinstance(value, int | float) and key.endswith(("_bytes", "_s")):
            return words.size(value) if key.endswith("_bytes") else words.lag(self._language, value)
        return value[:12] if key.endswith("_sha") and isinstance(value, str) else words.number(value)

    def _build_components(self, rows: tuple[tuple[bool, str, str, str, str, str], ...]) -> None:
        with ui.element("table").classes("zw-table parts"):
            for ok, *cells in rows:
                with ui.element("tr").classes("" if ok else "bad"):
                    with ui.element("td"):
                        ui.element("i").classes("zw-dot" if ok else "zw-ring")
                    for cell in cells:
                        with ui.element("td"):
                            ui.label(cell)

    def _build_status(self, rows: tuple[tuple[str, str], ...]) -> None:
        with ui.element("figcaption"):
            span(say(self._language, "status"), "zw-card-title")
        with ui.element("table").classes("zw-table"):
            for key, value in rows:
                with ui.element("tr"):
                    for cell in (key, value):
                        with ui.element("td"):
                            ui.label(cell)
