"""How much of each minute every camera really watched: the series that makes blindness visible."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.lines import number, point, prefix

if TYPE_CHECKING:
    from gateway.core.rule import Moment
    from gateway.core.state import State
    from gateway.events import Looked

MINUTE_NS = 60 * 10**9
SETTLE_NS = 2 * 10**9  # a look that ends in a minute may be told this much after it


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """One camera's minute: covered time, until when it is covered, and looks."""

    camera: str
    minute: int
    covered_ns: int
    looks: int


class Coverage:
    """Covered time by camera and minute."""

    def __init__(self, cameras: tuple[str, ...], state: State) -> None:
        self._cameras = cameras
        self._book = state.book("coverage", Watched)
        self._to = state.book("coverage/to", _To)

    def looked(self, looked: Looked) -> None:
        """Add analysed and still time to its minutes; time told twice counts once."""
        if looked.camera not in self._cameras:
            return
        known = self._to.get(looked.camera)
        begin = max(looked.from_ns, known.to_ns) if known else looked.from_ns
        if known is None or looked.to_ns > known.to_ns:
            self._to.put(looked.camera, _To(looked.to_ns))
        while begin < looked.to_ns:
            minute = begin // MINUTE_NS
            end = min(looked.to_ns, (minute + 1) * MINUTE_NS)
            key = f"{looked.camera} {minute}"
            was = self._book.get(key) or Watched(looked.camera, minute, 0, 0)
            seen = looked.why in {"analysed", "still"}
            look = int(looked.why == "analysed" and end == looked.to_ns)
            covered = was.covered_ns + (end - begin if seen else 0)
            self._book.put(key, Watched(looked.camera, minute, covered, was.looks + look))
            begin = end

    def tick(self, moment: Moment) -> list[str]:
        """The points of the minutes that are over."""
        over = (moment.admitted_ns - SETTLE_NS) // MINUTE_NS
        lines: list[str] = []
        for key, watched in self._book.items():
            if watched.camera not in self._cameras:
                self._book.drop(key)  # it is no longer configured
            elif watched.minute < over:
                fields = {"coverage": number(round(watched.covered_ns / MINUTE_NS, 4)), "looks": f"{watched.looks}i"}
                lines.append(
                    point(prefix("zhiwang_camera", {"camera": watched.camera}), fields, watched.minute * MINUTE_NS)
                )
                self._book.drop(key)
        return lines


class _To(msgspec.Struct, frozen=True, array_like=True):
    to_ns: int
