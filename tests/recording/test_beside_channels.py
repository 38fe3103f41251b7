"""What Foxglove is shown beside the inputs: boxes, positions, a map of sites and alerts, a logbook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import ReplayClock
from gateway.config.load import loads
from gateway.events import AlertRow, Cut, Detections, Message, Stepped, Tick
from gateway.recording.beside_channels import MOST_LINES, MOST_THINGS, BesideChannels, Positions
from gateway.recording.parts import ModelNote
from gateway.registry import registry
from tests.recording.films import NS, START

if TYPE_CHECKING:
    from gateway.events import Input
    from gateway.recording.beside import Beside

CONFIG = """
gateway: corner
timezone: Asia/Shanghai
place: {zh: 路口, wgs84: [120.55, 27.57]}
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
sensors:
  water:
    mqtt: here
    topic: water
    json: {level: v}
    title: {zh: 水位}
    place: {wgs84: [120.56, 27.58]}
  bus:
    mqtt: here
    topic: bus/+
    json: {lon: x, lat: y}
"""
# What Foxglove's own schemas require of a message (docs.foxglove.dev).
REQUIRED = {
    "foxglove.LocationFix": {
        "timestamp",
        "frame_id",
        "latitude",
        "longitude",
        "altitude",
        "position_covariance",
        "position_covariance_type",
    },
    "foxglove.Log": {"timestamp", "level", "message", "name", "file", "line"},
    "foxglove.GeoJSON": {"geojson"},
    "foxglove.ImageAnnotations": {"circles", "points", "texts"},
}


class Shown:
    """Keeps what is shown, each message checked against its channel's schema."""

    def __init__(self, language: str = "zh") -> None:
        self.clock = ReplayClock(START)
        self.messages: list[tuple[str, int, dict]] = []  # topic, log time, message
        config = loads(CONFIG, Path(), registry(), name="corner.yaml")
        notes = [ModelNote("gate", "small", "", ("person", "car"), 0.4)]
        self.channels = BesideChannels(config, notes, self.clock, self._beside, language)  # type: ignore[arg-type]

    def _beside(self, channel: Beside, log_ns: int, data: bytes) -> None:
        message = json.loads(data)
        assert (channel.schema_encoding, channel.message_encoding) == ("jsonschema", "json")
        jsonschema.validate(message, json.loads(channel.schema))
        assert set(message) == REQUIRED[channel.schema_name]
        self.messages.append((channel.topic, log_ns, message))

    def of(self, topic: str) -> list[dict]:
        """The messages of a topic."""
        return [message for name, _, message in self.messages if name == topic]


def cut(*inputs: Input) -> Cut:
    """Inputs admitted a second apart."""
    stamps = START + NS * np.arange(len(inputs), dtype=np.int64)
    return Cut(0, list(inputs), stamps, stamps - START)


def look(*boxes: tuple[float, float, float, float, float, int], camera: str = "gate") -> Detections:
    """A look in which boxes (x1, y1, x2, y2, score, label) were found."""
    table = np.array(boxes, np.float32).reshape(-1, 6)
    return Detections(camera, 1, START + 5, 640, 360, table[:, :4], table[:, 4], table[:, 5].astype(np.int16))


def stepped(series: bytes = b"", *alerts: AlertRow) -> Stepped:
    """A transaction's outputs."""
    return Stepped(series, series.count(b"\n"), list(alerts), [], [], b"")


def alert(change: str, *, open_: bool = True, seq: int = 1, severity: str = "severe", place: bool = True) -> AlertRow:
    """A change of the alert flood."""
    body = {
        "code": "LG17-4K2M",
        "severity": severity,
        "colour": "orange",
        "title": {"zh": "河道水位", "en": "River level"},
        "text": {"zh": "【橙色 ↑】河道水位", "en": "[ORANGE ↑] River level"},
        "place": {"zh": None, "en": None, "wgs84": [120.5, 27.5], "uncertainty_m": 5.0} if place else None,
        "other": 1,
    }
    encoded = msgspec.json.encode(body)
    args = ("flood", "water.level", "city", ("severe",), change, "active", open_, False, START + 7, encoded)
    return AlertRow(seq, "flood-1", *args)  # type: ignore[arg-type]


def test_boxes_that_rules_believe_are_drawn_in_the_pictures_pixels() -> None:
    """Given a look, then its boxes at or above the model's score are drawn with label and score, at the look's time,
    logged when it was admitted; messages beside it are not looked at.
    """  # noqa: D205 - one thought
    shown = Shown()
    found = look((10, 20, 30, 60, 0.9, 0), (1, 2, 3, 4, 0.3, 1), (100, 50, 200, 90.26, 0.4, 1))
    shown.channels.admitted(cut(Message("here", "t", b"x"), found, Tick()))
    [(topic, log_ns, message)] = shown.messages
    assert (topic, log_ns) == ("/camera/gate/boxes", START + NS)
    corners = [[(point["x"], point["y"]) for point in one["points"]] for one in message["points"]]
    assert corners == [
        [(10, 20), (30, 20), (30, 60), (10, 60)],
        [(100, 50), (200, 50), (200, 90.3), (100, 90.3)],
    ]
    assert [one["text"] for one in message["texts"]] == ["person 0.90", "car 0.40"]
    assert message["points"][0]["timestamp"] == {"sec": START // NS, "nsec": 5}


def test_an_empty_look_clears_the_picture_once() -> None:
    """Given looks without anything, then nothing is written but after one with something."""
    shown = Shown()
    shown.channels.admitted(cut(look(), look((1, 2, 3, 4, 0.9, 0)), look(), look(), look(camera="other")))
    assert [len(message["points"]) for message in shown.of("/camera/gate/boxes")] == [1, 0]


def test_the_log_reads_like_a_logbook() -> None:
    """Given an alert's life, then its own words stand in the log, as grave as it is; in the language asked for."""
    shown, english = Shown(), Shown("en")
    for one in (shown, english):
        one.channels.stepped([stepped(b"", alert("raised"), alert("acknowledged", seq=2))])
    assert shown.of("/log") == [
        {
            "timestamp": {"sec": START // NS, "nsec": 7},
            "level": level,
            "message": "【橙色 ↑】河道水位",
            "name": "flood",
            "file": "water.level",
            "line": seq,
        }
        for level, seq in ((4, 1), (2, 2))
    ]
    assert english.of("/log")[0]["message"] == "[ORANGE ↑] River level"


def test_the_map_has_sites_and_the_alerts_that_are_open() -> None:
    """Given places, then they are on the map at the start and again after a while; an alert is as long as it is open;
    one without a place changes no map.
    """  # noqa: D205 - one thought
    shown = Shown()
    shown.channels.stepped([stepped(b"", alert("raised"))])
    shown.channels.stepped([stepped(b"", alert("cleared"), alert("closed", open_=False))])
    shown.channels.stepped([stepped(b"", alert("raised", place=False))])
    [sites] = shown.of("/sites")
    names = [feature["properties"]["name"] for feature in json.loads(sites["geojson"])["features"]]
    assert names == ["corner", "水位 (water)"]
    maps = [json.loads(message["geojson"])["features"] for message in shown.of("/alerts/map")]
    assert [len(features) for features in maps] == [1, 1, 0]
    assert maps[0][0]["geometry"] == {"type": "Point", "coordinates": [120.5, 27.5]}
    assert maps[0][0]["properties"]["name"] == "河道水位 LG17-4K2M"
    shown.clock.advance(301)
    shown.channels.stepped([stepped()])
    assert len(shown.of("/sites")) == 2


def test_a_thing_that_moves_is_shown_where_its_readings_say() -> None:
    """Given line protocol, then lines with lon and lat become positions, at most one a second a thing; others do not,
    nor what only stands in a text.
    """  # noqa: D205 - one thought
    shown = Shown()
    lines = [
        f"bus,line=7 lat=27.5,lon=120.25 {START}",
        f"bus,line=7 lat=27.6,lon=120.35 {START + NS // 2}",
        f'bus,line=8 lon=120.5,lat=27.75,note="a, lon=1,lat=2" {START}',
        f'talk text="x,lon=1,lat=2" {START}',
        f"drone\\ a,id=1 lon=1.5e1,lat=-2i {START}",
        f"salon=1 x=1 {START}",
        f"bus,line=7 lon=120.45,lat=27.7 {START + NS}",
        f"half lon=1 {START}",
    ]
    shown.channels.stepped([stepped("".join(f"{line}\n" for line in lines).encode())])
    places = {
        topic: [(one["longitude"], one["latitude"]) for one in shown.of(topic)]
        for topic, _, _ in shown.messages
        if topic.startswith("/position")
    }
    assert places == {
        "/position/bus{line=7}": [(120.25, 27.5), (120.45, 27.7)],
        "/position/bus{line=8}": [(120.5, 27.75)],
        "/position/drone a{id=1}": [(15.0, -2.0)],
    }


def test_a_fleet_does_not_flood_the_recording() -> None:
    """Given more things and more lines than anybody looks at, then bounded numbers are read and shown."""
    positions = Positions()
    fleet = b"".join(b"bus,line=%d lon=1,lat=2 %d\n" % (number, START) for number in range(2 * MOST_LINES))
    assert len(positions.of(fleet, START)) == MOST_THINGS
    assert not positions.of(b"bus,line=1 lon=3,lat=2 %d\n" % (START + 5 * NS), START)
    assert len(positions.of(b"bus,line=1 lon=3,lat=2 %d\n" % (START + 5 * NS), START + NS)) == 1


@given(st.binary(max_size=60), st.sampled_from([b"", b"lon=", b"lon=1,lat=2", b" lon=1,lat=- 3", b"a lon=e,lat=+ 5"]))
def test_no_line_can_stop_the_recording(line: bytes, part: bytes) -> None:
    """Given anything between line ends, then positions come or do not, and nothing is raised."""
    Positions().of(line + part + line + b"\n", START)


@pytest.mark.parametrize("inputs", [[], [Tick()]])
def test_a_cut_without_detections_shows_nothing(inputs: list[Input]) -> None:
    """Given a cut of other inputs, then nothing is written."""
    shown = Shown()
    shown.channels.admitted(cut(*inputs))
    assert not shown.messages
