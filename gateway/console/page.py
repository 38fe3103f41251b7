"""The page: who is connected sees what needs doing now, what we cannot see, and can act on it.

```
bar      gateway, community, place · pages · time · language · who
summary  how many to deal with, how many blind, whether it was delivered
main     open alerts and blind things │ the chosen one: picture, chart, what to do, buttons
strip    each camera, source and sink
```
A `ui.timer` reads the shared Lookout once a second; a part of the page is rebuilt only when what it shows has changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nicegui import ui

from gateway.console import pieces, words
from gateway.console.commands import Desk
from gateway.console.detail import Detail
from gateway.console.parts import Part, button
from gateway.console.tabs import CamerasTab, HealthTab, SeriesTab
from gateway.console.words import Language, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from nicegui.events import KeyEventArguments

    from gateway.console.situation import Lookout, Situation

TICK_S = 1.0
TABS = ("now", "cameras", "series", "health")


class Page:
    """One connected browser's page."""

    def __init__(self, lookout: Lookout, language: Language, who: str) -> None:
        self.lookout = lookout
        self.language: Language = language
        self.desk = Desk(lookout, who)
        self.tab = "now"
        self.chosen = ""
        self.situation: Situation | None = None

    @property
    def name(self) -> str:
        """The gateway's name, for the browser's tab."""
        return self.situation.status.gateway if self.situation else ""

    async def build(self) -> None:
        """Lay the page out, fill it, and keep it current."""
        self.situation = await self.lookout.look()
        self.chosen = self.situation.first()
        with ui.element("div").classes("zw") as self.root:
            self._build_bar(self.situation)
            self._summary = Part(ui.element("div").classes("zw-sum"))
            with ui.element("main").classes("zw-main"):
                with ui.element("section").classes("zw-left"):
                    self._list = Part(ui.element("div").classes("zw-list"))
                    self._blind = Part(ui.element("div").classes("zw-blind"))
                    self._recent = Part(ui.element("div").classes("zw-recent"))
                self.detail = Detail(self.lookout, self.desk, self.language, self._back, self._after_command)
            self._other = ui.element("main").classes("zw-other")
            self._strip = Part(ui.element("footer").classes("zw-strip"))
        self._others: dict[str, CamerasTab | SeriesTab | HealthTab] = {}
        ui.keyboard(on_key=self._on_key, ignore=["input", "select", "textarea"], repeating=False)
        await self._show(self.situation)
        ui.timer(TICK_S, self.tick, immediate=False)

    async def tick(self) -> None:
        """Bring the page up to date."""
        self.situation = await self.lookout.look()
        await self._show(self.situation)

    async def _show(self, now: Situation) -> None:
        language = self.language
        if now.find(self.chosen) is None:
            self.chosen = now.first()
        self._clock.set_text(words.clock(now.now_ns, now.zone))
        summary = pieces.summary(language, now)
        self._summary.show(summary, lambda: pieces.build_summary(summary))
        if self.tab == "now":
            rows = pieces.alert_rows(language, now, self.chosen)
            self._list.show(rows, lambda: pieces.build_alerts(language, now, rows, self.choose))
            blind = pieces.blind_rows(language, now, self.chosen)
            self._blind.show(blind, lambda: pieces.build_blind(language, blind, self.choose))
            recent = pieces.recent_rows(language, now, self.chosen)
            self._recent.show(recent, lambda: pieces.build_recent(language, recent, self.choose))
            await self.detail.show(now, self.chosen)
        else:
            await self._others[self.tab].show(now)
        chips = pieces.chips(language, now)
        self._strip.show((chips, now.today), lambda: pieces.build_strip(language, chips, now.today))

    async def choose(self, key: str) -> None:
        """Show this one's detail; on a phone, over the list."""
        self.chosen = key
        self.root.classes(add="zw-open")
        await self.tick()

    def _back(self) -> None:
        self.root.classes(remove="zw-open")

    async def _after_command(self) -> None:
        self.situation = await self.lookout.look(fresh=True)
        await self._show(self.situation)

    async def _switch(self, tab: str) -> None:
        if tab != "now" and tab not in self._others:
            kind = {"cameras": CamerasTab, "series": SeriesTab, "health": HealthTab}[tab]
            with self._other:
                self._others[tab] = kind(self.lookout, self.language)
        self.tab = tab
        for name, shown in self._tabs.items():
            shown.classes(add="on" if name == tab else None, remove=None if name == tab else "on")
        self.root.classes(remove=" ".join(f"zw-tab-{name}" for name in TABS)).classes(f"zw-tab-{tab}")
        self.root.classes(remove="zw-open")
        for name, other in self._others.items():
            other.box.set_visibility(name == tab)
        await self.tick()

    def _build_bar(self, now: Situation) -> None:
        language, status = self.language, now.status
        with ui.element("header").classes("zw-bar"):
            with ui.element("div").classes("zw-name"):
                ui.label("智网" if language == "zh" else "zhiwang").classes("zw-logo")
                ui.label(status.gateway).classes("zw-gateway")
                ui.label(pieces.whereabouts(language, status)).classes("zw-place")
                if status.status != "actual":
                    ui.label(say(language, "exercise")).classes("zw-exercise")
            with ui.element("nav").classes("zw-tabs"):
                self._tabs = {name: button(say(language, name), self._switcher(name)) for name in TABS}
                self._tabs["now"].classes("on")
            with ui.element("div").classes("zw-corner"):
                self._clock = ui.label(words.clock(now.now_ns, now.zone)).classes("zw-clock")
                other = "en" if language == "zh" else "zh"
                button("EN" if other == "en" else "中文", lambda: self._remember("zhiwang_language", other)).classes(
                    "zw-lang"
                ).props(f'lang={other} aria-label="{"English" if other == "en" else "中文"}"')
                self._who = button(self.desk.who or say(language, "who"), self._ask_who).classes("zw-who")
        self.root.classes("zw-tab-now")

    def _switcher(self, tab: str) -> Callable[[], Any]:
        async def switch() -> None:
            await self._switch(tab)

        return switch

    def _remember(self, cookie: str, value: str, *, reload: bool = True) -> None:
        ui.run_javascript(f"zw.remember({json.dumps(cookie)}, {json.dumps(value)}, {json.dumps(reload)})")

    def _ask_who(self) -> None:
        with ui.dialog() as dialog, ui.element("div").classes("zw-dialog"):
            ui.label(say(self.language, "who")).classes("zw-dialog-title")
            ui.label(say(self.language, "who_hint")).classes("zw-dialog-hint")
            name = ui.input(value=self.desk.who).props("outlined dense autofocus maxlength=40").classes("zw-input")

            def save() -> None:
                self.desk.who = (name.value or "").strip()[:40]
                self._who_label(self.desk.who)
                self._remember("zhiwang_who", self.desk.who, reload=False)
                dialog.close()

            name.on("keydown.enter.prevent", save)
            with ui.element("div").classes("zw-buttons"):
                button(say(self.language, "save"), save).classes("zw-do")
                button(say(self.language, "cancel"), dialog.close)
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _who_label(self, who: str) -> None:
        self._who.clear()
        with self._who:
            ui.label(who or say(self.language, "who"))

    async def _on_key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.meta or event.modifiers.alt:
            return
        key = event.key.name.lower()
        if self.tab != "now" or self.situation is None:
            return
        if key == "a":
            await self.detail.acknowledge()
        elif key == "s":
            self.detail.ask_shelve()
        elif key == "v":
            await self.detail.right()
        elif key == "x":
            await self.detail.wrong()
        elif key in {"arrowdown", "arrowup", "j", "k"}:
            keys = [a.id for a in self.situation.city] + [b.key for b in self.situation.blind]
            if keys:
                at = keys.index(self.chosen) if self.chosen in keys else -1
                self.chosen = keys[(at + (1 if key in {"arrowdown", "j"} else -1)) % len(keys)]
                await self.tick()
        elif key == "escape":
            self._back()
