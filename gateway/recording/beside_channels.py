"""What Foxglove shows beside the inputs: boxes over the picture, positions and alerts on the map, a logbook.

/camera/<name>/boxes   foxglove.ImageAnnotations   a look's boxes that rules would believe, in the picture's pixels
/position/<thing>      foxglove.LocationFix        where a thing that moves is, at most once a second
/sites, /alerts/map    foxglove.GeoJSON            what stands where; alerts that are open
/log                   foxglove.Log                the alerts' own words

All of it is for people: what a replay needs is in /zhiwang/inputs. Little is looked at one by one: detections, lines
with a position, alerts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gateway.config.cross import values_of
from gateway.config.geo import wgs84
from gateway.config.scalars import NS
from gateway.events import Detections
from gateway.recording import foxglove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from gateway.config.model import Config, Place, Text
    from gateway.events import AlertRow, Cut, Stepped
    from gateway.language import Language
    from gateway.ports import Clock
    from gateway.recording.beside import Beside
    from gateway.recording.parts import ModelNote

MOST_BOXES = 100  # drawn in one picture: beyond it nobody tells them apart
MOST_THINGS = 256  # with a position of their own: each is a topic in Foxglove's list
MOST_LINES = 1_000  # with a position that are read a second: a fleet may send more, and positions are only shown
SITES_NS = 300 * NS  # so often the sites are written again, for each file of the ring to have them
LEVELS = {"minor": foxglove.INFO, "moderate": foxglove.WARNING, "severe": foxglove.ERROR, "extreme": foxglove.FATAL}
COLOURS = {"blue": "#2b6cb0", "yellow": "#d69e2e", "orange": "#dd6b20", "red": "#c53030"}
_WORSE = frozenset({"raised", "raised_level", "returned", "updated", "unknown", "known"})
_LINE = re.compile(rb"((?:\\.|[^\\ \n])+) (.+) (-?\d+)$")
_STRING = re.compile(rb'"(?:\\.|[^"\\])*"')
_LON, _LAT = (re.compile(rb"(?:^|,)" + axis + rb"=(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)") for axis in (b"lon", b"lat"))
_BOX = foxglove.colour(1.0, 0.8, 0.0)
_CLEAR = foxglove.colour(0.0, 0.0, 0.0, 0.0)
_DARK = foxglove.colour(0.0, 0.0, 0.0, 0.6)


class _Where(msgspec.Struct, frozen=True):
    """An alert's place, as far as the map needs it."""

    wgs84: tuple[float, float] | None = None


class _Words(msgspec.Struct, frozen=True):
    """A text of an alert."""

    zh: str = ""
    en: str = ""


class _Body(msgspec.Struct, frozen=True):
    """What is shown of an alert's body."""

    code: str
    severity: str
    colour: str
    title: _Words
    text: _Words
    place: _Where | None = None


class BesideChannels:
    """Fed with cuts as they are admitted (core thread) and with what became durable (event loop).

    `models`: labels and score limits by camera. `beside`: the recorder's, which never waits. `language`: of the log.
    """

    def __init__(
        self,
        config: Config,
        models: Iterable[ModelNote],
        clock: Clock,
        beside: Callable[[Beside, int, bytes], object],
        language: Language = "zh",
    ) -> None:
        self._clock = clock
        self._beside = beside
        self._language: Language = language
        self._boxes = {note.camera: _Boxes(note) for note in models}
        self._moving = _moving(config)
        self._positions = Positions()
        self._sites = _collection(_sites(config))
        self._sites_ns: int | None = None
        self._open: dict[str, dict[str, object]] = {}
        self._map = foxglove.geojson("/alerts/map")
        self._log = foxglove.log("/log")

    def admitted(self, cut: Cut) -> None:
        """Draw the detections of a cut."""
        if not self._boxes or Detections not in set(map(type, cut.inputs)):
            return
        for place, one in enumerate(cut.inputs):
            if isinstance(one, Detections) and (boxes := self._boxes.get(one.camera)):
                drawn = boxes.draw(one)
                if drawn is not None:
                    self._beside(boxes.channel, int(cut.admitted_ns[place]), drawn)

    def stepped(self, held: Sequence[Stepped]) -> None:
        """Show the positions and alerts of a transaction."""
        now_ns = self._clock.now_ns()
        if self._sites_ns is None or now_ns - self._sites_ns > SITES_NS:
            self._sites_ns = now_ns
            self._beside(foxglove.geojson("/sites"), now_ns, self._sites)
        for one in held:
            if self._moving:
                for channel, message in self._positions.of(one.series, now_ns):
                    self._beside(channel, now_ns, message)
            for row in one.alerts:
                self._alert(row, now_ns)

    def _alert(self, row: AlertRow, now_ns: int) -> None:
        body = msgspec.json.decode(row.body, type=_Body)
        said = {
            "timestamp": foxglove.time(row.changed_ns),
            "level": LEVELS[body.severity] if row.change in _WORSE else foxglove.INFO,
            "message": self._word(body.text),
            "name": row.rule,
            "file": row.subject,
            "line": row.seq,
        }
        self._beside(self._log, now_ns, msgspec.json.encode(said))
        shown = self._open.pop(row.id, None) is not None
        if row.open and body.place and body.place.wgs84:
            title = f"{self._word(body.title)} {body.code}"
            self._open[row.id] = _feature(body.place.wgs84, title, COLOURS[body.colour])
            shown = True
        if shown:
            self._beside(self._map, now_ns, _collection(self._open.values()))

    def _word(self, words: _Words) -> str:
        return words.zh if self._language == "zh" else words.en


class _Boxes:
    """One camera's boxes as annotations."""

    def __init__(self, note: ModelNote) -> None:
        self.channel = foxglove.image_annotations(f"/camera/{note.camera}/boxes")
        self._labels = note.labels
        self._score = note.score
        self._drawn = False

    def draw(self, look: Detections) -> bytes | None:
        """The message; None where there is nothing now, and was nothing before."""
        good = (look.score >= self._score).nonzero()[0][:MOST_BOXES]
        if not len(good) and not self._drawn:
            return None
        self._drawn = bool(len(good))
        at = foxglove.time(look.event_ns)
        size = max(12, look.height_px // 40)
        points: list[dict[str, object]] = []
        texts: list[dict[str, object]] = []
        for box, score, label in zip(look.xyxy[good], look.score[good], look.label[good].tolist(), strict=True):
            name = self._labels[label] if 0 <= label < len(self._labels) else f"label {label}"
            points.append(_outline(box, at))
            texts.append(_caption(box, f"{name} {score:.2f}", at, size))
        return msgspec.json.encode({"circles": [], "points": points, "texts": texts})


def _outline(box: NDArray[np.float32], at: dict[str, int]) -> dict[str, object]:
    x1, y1, x2, y2 = (round(float(side), 1) for side in box)
    return {
        "timestamp": at,
        "type": foxglove.LINE_LOOP,
        "points": [{"x": x, "y": y} for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))],
        "outline_color": _BOX,
        "outline_colors": [],
        "fill_color": _CLEAR,
        "thickness": 2,
        "metadata": [],
    }


def _caption(box: NDArray[np.float32], words: str, at: dict[str, int], size: int) -> dict[str, object]:
    return {
        "timestamp": at,
        "position": {"x": round(float(box[0]), 1), "y": round(float(box[1]), 1)},
        "text": words,
        "font_size": size,
        "text_color": _BOX,
        "background_color": _DARK,
        "metadata": [],
    }


class Positions:
    """Finds where things are in line protocol: lines with the fields `lon` and `lat`."""

    def __init__(self) -> None:
        self._last: dict[bytes, tuple[Beside, int]] = {}
        self._second = 0
        self._left = MOST_LINES

    def of(self, series: bytes, now_ns: int) -> list[tuple[Beside, bytes]]:
        """The messages that a transaction's series are worth; each thing's at most once a second of its own time."""
        if now_ns // NS != self._second:
            self._second, self._left = now_ns // NS, MOST_LINES
        found: list[tuple[Beside, bytes]] = []
        at = series.find(b"lon=")
        while at >= 0 and self._left > 0:
            self._left -= 1
            start, end = series.rfind(b"\n", 0, at) + 1, series.find(b"\n", at)
            made = self._of_line(series[start:end])
            if made:
                found.append(made)
            at = series.find(b"lon=", end)
        return found

    def _of_line(self, line: bytes) -> tuple[Beside, bytes] | None:
        parts = _LINE.match(line)
        if not parts:
            return None
        thing, at_ns = parts[1], int(parts[3])
        channel, last_ns = self._last.get(thing, (None, at_ns - NS))
        if channel is None and len(self._last) < MOST_THINGS:
            channel = foxglove.location_fix(f"/position/{_named(thing)}")
        if channel is None or abs(at_ns - last_ns) < NS:
            return None
        plain = _STRING.sub(b"", parts[2])
        lon, lat = _LON.search(plain), _LAT.search(plain)
        if not lon or not lat:
            return None
        self._last[thing] = (channel, at_ns)
        fix = {
            "timestamp": foxglove.time(at_ns),
            "frame_id": _named(thing),
            "latitude": float(lat[1]),
            "longitude": float(lon[1]),
            "altitude": 0.0,
            "position_covariance": [0.0] * 9,
            "position_covariance_type": 0,
        }
        return channel, msgspec.json.encode(fix)


def _named(thing: bytes) -> str:
    """A thing's line protocol prefix as alerts name it: `bus{line=7}`."""
    name, _, tags = thing.decode("utf-8", "replace").replace("\\", "").partition(",")
    return f"{name}{{{tags}}}" if tags else name


def _moving(config: Config) -> bool:
    """Whether there may be things with positions of their own: megabytes a second need not be searched for none."""
    known = [values_of(sensor.codec) for sensor in config.sensors.values()]
    return any(values is None or {"lon", "lat"} <= set(values) for values in known)


def _sites(config: Config) -> list[dict[str, object]]:
    """The gateway and its sensors and cameras, where they have a place."""
    placed: list[tuple[str, Text | None, Place | None, str]] = [(config.gateway, None, config.place, "#2d3748")]
    placed += [(name, one.common.title, one.common.place, "#2f855a") for name, one in config.sensors.items()]
    placed += [(name, one.title, one.place, "#6b46c1") for name, one in config.cameras.items()]
    features: list[dict[str, object]] = []
    for name, title, place, colour in placed:
        point = wgs84(place) if place else None
        if point:
            words = (title.zh or title.en) if title else None
            features.append(_feature(point, f"{words} ({name})" if words else name, colour))
    return features


def _feature(point: tuple[float, float], name: str, colour: str) -> dict[str, object]:
    """A point on the map; Foxglove reads `name` and `style`."""
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": list(point)},
        "properties": {"name": name, "style": {"color": colour, "fillColor": colour}},
    }


def _collection(features: Iterable[dict[str, object]]) -> bytes:
    geojson = msgspec.json.encode({"type": "FeatureCollection", "features": list(features)}).decode()
    return msgspec.json.encode({"geojson": geojson})
