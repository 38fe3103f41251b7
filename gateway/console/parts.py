"""The two bricks of the page: a box that is built again only when it must be, and a plain button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nicegui import ui

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Part:
    """A box whose content is built again only when `key` differs from last time."""

    def __init__(self, box: ui.element) -> None:
        self.box = box
        self._key: Hashable = object()

    def show(self, key: Hashable, build: Callable[[], None]) -> None:
        """Build the content unless the same is there already."""
        if key == self._key:
            return
        self._key = key
        self.box.clear()
        with self.box:
            build()


def button(text: str, on_click: Callable[[], Any], *, key: str = "") -> ui.element:
    """A plain `<button>` (Quasar's own brings ripples and capitals). `key`: its shortcut, shown beside the text."""
    with ui.element("button").props('type="button"') as element:
        ui.label(text)
        if key:
            ui.label(key).classes("zw-key")
    element.on("click", on_click)
    return element


def span(text: str, classes: str) -> ui.label:
    """Text with a look."""
    return ui.label(text).classes(classes)
