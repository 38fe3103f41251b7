"""The pictures and clips that an alert has, as the page shows them: the picture itself, the clips as links."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from nicegui import ui

from gateway.console.alert import parse_ns
from gateway.console.words import Language, clock, say

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from gateway.console.alert import Alert

ENDINGS = {
    "image/jpeg": "jpg",
    "video/mp4": "mp4",
    "video/mp2t": "ts",
    "application/vnd.zhiwang.sealed": "sealed",
}
"""By media type; a file of any other type is not linked."""
TYPES = {ending: kind for kind, ending in ENDINGS.items()}
Shown = tuple[tuple[str, str, str], ...]
"""Of each piece: its ending, where it is, when it was taken in words."""


def pieces_of(alert: Alert | None, zone: ZoneInfo) -> Shown:
    """What there is of an alert, as a key: the same key shows the same."""
    if alert is None:
        return ()
    return tuple(
        (
            ENDINGS[piece.kind],
            f"evidence/{quote(alert.id, safe='')}/{quote(piece.sha256, safe='')}.{ENDINGS[piece.kind]}",
            clock(parse_ns(piece.taken), zone) if piece.taken else "",
        )
        for piece in alert.evidence
        if piece.kind in ENDINGS
    )


def build(language: Language, shown: Shown) -> None:
    """The newest picture with its time, and links to all."""
    pictures = [one for one in shown if one[0] == "jpg"]
    if pictures:
        _, url, at = pictures[-1]
        words = say(language, "evidence_picture", at=at)
        with ui.link(target=url, new_tab=True).classes("zw-evidence"):
            ui.image(url).props(f'no-spinner alt="{words}"').classes("zw-evidence-picture")
            ui.label(words).classes("zw-caption")
    for ending, url, at in shown:
        if ending != "jpg":
            name = "evidence_sealed" if ending == "sealed" else "evidence_clip"
            ui.link(say(language, name, at=at), url, new_tab=True).classes("zw-evidence-clip")
