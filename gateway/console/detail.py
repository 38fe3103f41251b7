"""The chosen alert or blind thing: its picture with boxes or its chart with limits, what to do, and the buttons."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from nicegui import ui

from gateway.console import charts, evidence, pieces, words
from gateway.console.commands import SHELVE_S, Desk
from gateway.console.parts import Part, button, span
from gateway.console.situation import NS, Blind, Lookout, Situation
from gateway.console.words import Language, pick, say
from gateway.ports import Latest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.console.alert import Alert
    from gateway.events import Verb
    from gateway.ports import Picture

CHART_EVERY_NS = 5 * NS
BEFORE_NS, SPAN_MAX_NS = 3600 * NS, 24 * 3600 * NS
BUCKETS = 240  # about one a three pixels


def draw(element: ui.element, camera: str, picture: Picture) -> None:
    """Show a camera's picture with its boxes, zones and lines, all at once, in the browser."""
    boxes = [
        [*(round(float(edge), 4) for edge in box), f"{label} {score:.2f}"]
        for box, score, label in zip(picture.boxes.tolist(), picture.scores.tolist(), picture.labels, strict=True)
    ]
    zones, lines = (
        [[name, [[round(x, 4), round(y, 4)] for x, y in points]] for name, points in shapes]
        for shapes in (picture.zones, picture.lines)
    )
    url = f"picture/{quote(camera, safe='')}.jpg?t={picture.event_ns}"
    shown = ", ".join(json.dumps(part) for part in (element.html_id, url, boxes, zones, lines))
    ui.run_javascript(f"zw.picture({shown})")


def nearest(rows: list[Latest]) -> Latest | None:
    """The series that is nearest to one of its lines, as a part of the line; None where none has one."""

    def apart(row: Latest) -> float:
        return min(abs(row.value - limit) / max(abs(limit), 1e-9) for limit in row.limits.values())

    return min((row for row in rows if row.limits and math.isfinite(row.value)), key=apart, default=None)


def recent_values(alert: Alert) -> tuple[list[int], list[float]]:
    """The times (ns) and values that the alert carries itself."""
    recent = alert.recent
    if recent is None:
        return [], []
    step_ns, last = round(recent.step_s * NS), len(recent.values) - 1
    times = [alert.changed_ns - step_ns * (last - at) for at in range(last + 1)]
    return times, [math.nan if value is None else value for value in recent.values]


def _line_of(alert: Alert) -> dict[str, float]:
    return {alert.colour: float(alert.limit)} if isinstance(alert.limit, int | float) else {}


class Detail:
    """The right-hand side of the first screen."""

    def __init__(
        self,
        lookout: Lookout,
        desk: Desk,
        language: Language,
        back: Callable[[], None],
        after: Callable[[], Awaitable[None]],
    ) -> None:
        self._lookout = lookout
        self._desk = desk
        self._language: Language = language
        self._after = after
        self._shown: Alert | Blind | None = None
        self._chart_key: tuple[str, int] = ("", 0)
        self._picture_key: tuple[str, int] = ("", 0)
        with ui.element("section").classes("zw-right"):
            button(f"‹ {say(language, 'back')}", back).classes("zw-back")
            self._head = Part(ui.element("div").classes("zw-detail-head"))
            with ui.element("div").classes("zw-stage"):
                with ui.element("figure").classes("zw-figure") as self._figure:
                    self._canvas = ui.element("div").classes("zw-picture")
                    self._caption = span("", "zw-caption")
                with ui.element("div").classes("zw-chart") as self._chart_box:
                    self._chart = ui.echart({}, renderer="svg").classes("zw-echart")
                self._empty = span(say(language, "no_chart"), "zw-empty")
            self._foot = Part(ui.element("div").classes("zw-detail-foot"))
            self._evidence = Part(ui.element("div").classes("zw-evidences"))

    async def show(self, now: Situation, key: str) -> None:
        """Bring the chosen one's detail up to date; `key` is an alert's id or a blind thing's."""
        shown = now.find(key)
        self._shown = shown
        head = self._head_of(shown)
        self._head.show(head, lambda: self._build_head(head))
        foot = self._foot_of(now, shown)
        self._foot.show(foot, lambda: self._build_foot(foot))
        pieces_ = evidence.pieces_of(self.alert, now.zone)
        self._evidence.show(pieces_, lambda: evidence.build(self._language, pieces_))
        has_picture = self._show_picture(now, now.camera_of(shown) if shown else now.first_camera())
        has_chart = await self._show_chart(now, shown)
        self._empty.set_visibility(shown is not None and not has_picture and not has_chart)

    @property
    def alert(self) -> Alert | None:
        """The alert that the buttons act on."""
        return self._shown.alert if isinstance(self._shown, Blind) else self._shown

    def _head_of(self, shown: Alert | Blind | None) -> tuple[str, ...]:
        language = self._language
        if shown is None:
            return ("", say(language, "quiet"), "", "", "")
        if isinstance(shown, Blind):
            title = f"{pieces.kind_word(language, shown.kind)} {pick(language, shown.title, shown.name)}"
            state = words.condition(language, shown.condition)
            return ("blind", title, state, shown.alert.code if shown.alert else "", "")
        return (
            shown.colour,
            " · ".join(part for part in (pick(language, shown.title, shown.rule), shown.which) if part),
            words.quantity(shown.value, shown.unit or ""),
            shown.code,
            pieces.tag(language, shown),
        )

    def _build_head(self, head: tuple[str, ...]) -> None:
        colour, title, value, code, tag = head
        if colour:
            ui.element("i").classes("zw-ring big" if colour == "blind" else f"zw-square big c-{colour}")
        if tag:
            span(tag, f"zw-tag c-{colour}")
        span(title, "zw-detail-title")
        span(value, "zw-detail-value")
        if code:
            span(code, "zw-code")

    def _foot_of(self, now: Situation, shown: Alert | Blind | None) -> tuple[str, ...]:
        language = self._language
        if shown is None:
            return ()
        alert = shown.alert if isinstance(shown, Blind) else shown
        text = pick(language, alert.text) if alert else shown.detail if isinstance(shown, Blind) else ""
        facts: list[str] = [say(language, "since", at=words.moment(self._since(shown), now.now_ns, now.zone))]
        if alert is not None:
            if alert.limit is not None:
                facts.append(say(language, "limit", limit=words.quantity(alert.limit, alert.unit or "")))
            if alert.severity_max and alert.severity_max != alert.severity:
                facts.append(say(language, "highest", colour=say(language, words.colour_of(alert.severity_max))))
            if alert.coverage_1h is not None:
                facts.append(say(language, "coverage", share=round(alert.coverage_1h * 100)))
            facts.append(say(language, "rule", rule=alert.rule))
            if not alert.is_closed:
                facts.append(pieces.who_has_it(language, alert, now))
            facts.append(pieces.said_of(language, alert))
            facts.append(pieces.rule_so_far(language, alert, now))
        state = (
            ""
            if alert is None or alert.is_closed
            else "shelved"
            if alert.is_shelved
            else "acked"
            if alert.is_acknowledged
            else "new"
        )
        verdict = alert.verdict if alert else "none"
        return (text, pick(language, alert.do) if alert else "", state, verdict, *facts)

    @staticmethod
    def _since(shown: Alert | Blind) -> int:
        return shown.since_ns if isinstance(shown, Blind) else shown.started_ns

    def _build_foot(self, foot: tuple[str, ...]) -> None:
        if not foot:
            return
        language = self._language
        text, do, state, verdict, *facts = foot
        if text:
            span(text, "zw-text")
        if do:
            with ui.element("div").classes("zw-todo-box"):
                span(say(language, "do"), "zw-do-label")
                span(do, "zw-do-text")
        with ui.element("div").classes("zw-buttons"):
            if state == "new":
                button(say(language, "acknowledge"), self.acknowledge, key="A").classes("zw-do")
            if state in {"new", "acked"}:
                button(say(language, "shelve"), self.ask_shelve, key="S")
            if state == "shelved":
                button(say(language, "unshelve"), self._unshelve)
            if verdict != "none":
                for side, key in (("right", "V"), ("wrong", "X")):
                    pressed = button(say(language, side), self._judging(side), key=key)
                    pressed.props(f'aria-pressed="{str(side == verdict).lower()}"').classes("zw-verdict")
        span(" · ".join(fact for fact in facts if fact), "zw-facts")

    def _show_picture(self, now: Situation, camera: str) -> bool:
        picture = self._lookout.view.picture(camera) if camera else None
        self._figure.set_visibility(picture is not None)
        if picture is None:
            self._picture_key = ("", 0)
            return False
        if (camera, picture.event_ns) != self._picture_key:
            self._picture_key = (camera, picture.event_ns)
            draw(self._canvas, camera, picture)
            parts = (
                pieces.camera_title(self._language, now, camera),
                say(self._language, "picture_at", at=words.clock(picture.event_ns, now.zone)),
                say(self._language, "boxes", n=len(picture.labels)),
            )
            self._caption.set_text(" · ".join(parts))
        return True

    async def _show_chart(self, now: Situation, shown: Alert | Blind | None) -> bool:
        alert = shown.alert if isinstance(shown, Blind) else shown
        key = (alert.id if alert else shown.key if isinstance(shown, Blind) else "", now.now_ns // CHART_EVERY_NS)
        if key == self._chart_key:
            return bool(self._chart_box.visible)
        self._chart_key = key
        series = self._series_of(alert) if alert else None if shown else nearest(self._lookout.view.latest())
        option = await self._option(now, series, alert) if series else None
        if key != self._chart_key:  # another one was chosen meanwhile
            return bool(self._chart_box.visible)
        self._chart_box.set_visibility(option is not None)
        if option is not None:
            self._chart.options.clear()
            self._chart.options.update(option)
            self._chart.update()
        return option is not None

    def _series_of(self, alert: Alert) -> Latest:
        known = Latest(alert.subject, alert.unit or "", alert.changed_ns, math.nan, _line_of(alert), alert.title)
        return next((row for row in self._lookout.view.latest() if row.subject == alert.subject), known)

    async def _option(self, now: Situation, series: Latest, alert: Alert | None) -> dict[str, Any] | None:
        """The chart from before the alert began until now, or None where there is nothing to draw."""
        began_ns = alert.started_ns if alert else now.now_ns
        from_ns = max(min(began_ns - BEFORE_NS // 2, now.now_ns - BEFORE_NS), now.now_ns - SPAN_MAX_NS)
        times, values = await self._lookout.view.chart(series.subject, from_ns, now.now_ns, BUCKETS)
        if not times and alert:
            times, values = recent_values(alert)
        if not any(math.isfinite(value) for value in values):
            return None
        return charts.option(
            self._language,
            times_ns=times,
            values=values,
            limits=series.limits,
            span_ns=(charts.begin(times, from_ns, now.now_ns), now.now_ns),
            zone=now.zone,
            unit=series.unit,
            title="" if alert else pick(self._language, series.title, series.subject),
        )

    async def acknowledge(self) -> None:
        """Take the chosen alert on, where nobody has."""
        if (
            self.alert is not None
            and not (self.alert.is_acknowledged or self.alert.is_closed)
            and not self.alert.is_shelved
        ):
            await self._send("acknowledge", self.alert)

    def _judging(self, verdict: str) -> Callable[[], Any]:
        return self.wrong if verdict == "wrong" else self.right

    async def right(self) -> None:
        """The chosen alert was real; the same again takes that back."""
        await self._judge("right")

    async def wrong(self) -> None:
        """The chosen alert was a false alarm; the same again takes that back."""
        await self._judge("wrong")

    async def _judge(self, verdict: Literal["right", "wrong"]) -> None:
        alert = self.alert
        if alert is not None:
            verb, why = await self._desk.judge(verdict, alert)
            await self._tell(verb, alert, why)

    async def _unshelve(self) -> None:
        if self.alert is not None:
            await self._send("unshelve", self.alert)

    def ask_shelve(self) -> None:
        """Ask for how long and why, then put the chosen alert aside."""
        alert, language = self.alert, self._language
        if alert is None or alert.is_shelved or alert.is_closed:
            return
        with ui.dialog() as dialog, ui.element("div").classes("zw-dialog"):
            span(f"{say(language, 'for_how_long')} · {pick(language, alert.title, alert.rule)}", "zw-dialog-title")
            note = ui.input(placeholder=say(language, "why")).props("outlined dense maxlength=200").classes("zw-input")

            def chooser(for_s: int) -> Callable[[], Any]:
                async def chosen() -> None:
                    dialog.close()
                    await self._send("shelve", alert, for_s=for_s, note=(note.value or "").strip())

                return chosen

            with ui.element("div").classes("zw-buttons wrap"):
                for for_s in SHELVE_S:
                    button(words.length(language, for_s * NS), chooser(for_s)).classes("zw-do")
                button(say(language, "cancel"), dialog.close)
        dialog.on("hide", dialog.delete)
        dialog.open()

    async def _send(self, verb: Verb, alert: Alert, *, for_s: int = 0, note: str = "") -> None:
        await self._tell(verb, alert, await self._desk.send(verb, alert, for_s=for_s, note=note))

    async def _tell(self, verb: Verb, alert: Alert, why: str) -> None:
        """Say what came of it."""
        language = self._language
        if why:
            said = say(language, "conflict") if why == "conflict" else why
            ui.notify(say(language, "refused", why=said), type="warning", position="top")
        else:
            title = pick(language, alert.title, alert.rule)
            ui.notify(f"{say(language, f'done_{verb}')} · {title}", type="positive", position="top", timeout=2500)
        await self._after()
