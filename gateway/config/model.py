"""The decoded configuration: frozen structs. Nothing downstream sees a dict of settings or a default of its own.

The structs of the kinds themselves (a JSON codec, a threshold, an InfluxDB sink) sit in the kinds' own files; here a
sensor, rule or sink holds its common keys and, beside them, the one decoded struct of its kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gateway.config.box import (
    Commands,
    EvidenceConfig,
    HistoryConfig,
    Http,
    Logging,
    Outbox,
    Recording,
    VisionConfig,
)
from gateway.config.common import Secret, Struct
from gateway.config.scalars import NS, ByteRate, Duration, Gate, Hours, Pace, Pixels, Size

DEFAULT_MODEL = "ssdlite-mobilenet-v2-coco"  # a manifest in models/
Point = tuple[float, float]
Pair = tuple[Point, Point]
Tier = Literal["sky", "air", "ground"]
TIER = "tier"  # the tag that says so of what is not on the ground


class Text(Struct, frozen=True):
    """The same words in Chinese and English; where one is missing the other stands in."""

    zh: str | None = None
    en: str | None = None


class Community(Struct, frozen=True):
    """The community the gateway serves; its code is a level of every topic."""

    code: str
    zh: str | None = None
    en: str | None = None


class Place(Struct, frozen=True):
    """Where something is: (lon, lat) in exactly one datum, with words for people. `uncertainty_m`: radius, metres."""

    zh: str | None = None
    en: str | None = None
    wgs84: Point | None = None
    gcj02: Point | None = None
    bd09: Point | None = None
    cgcs2000: Point | None = None
    uncertainty_m: float = 5.0


class City(Struct, frozen=True):
    """What holds for the whole city: bounds (lon_min, lat_min, lon_max, lat_max; WGS-84) catch swapped coordinates."""

    bounds: tuple[float, float, float, float] | None = None


class Login(Struct, frozen=True):
    """A camera's user and password, apart from its URL."""

    user: str
    password: Secret


class Broker(Struct, frozen=True):
    """An MQTT broker: mqtt://, mqtts://host:port. `user` defaults to the gateway's name when a password is given."""

    url: str
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    version: Literal["5", "3.1.1"] = "5"
    keepalive: Duration = Duration(30 * NS)
    session: Duration = Duration(7 * 86_400 * NS)  # MQTT 5 session expiry: a week without power loses nothing
    receive_maximum: int = 1000
    buffer: Size = Size(4_000_000)  # unacknowledged bytes in the door before reading pauses


class SensorCommon(Struct, frozen=True):
    """The keys of a sensor that do not depend on how its payloads come or read.

    units, valid (inclusive) and kinds are by value name; `every` is how often a reading is promised; `stuck` how long a
    value may stay the same; `resolution` that of the stamps; `series`: how many series this route may make; `at_most`:
    how many messages each of its devices may send.
    """

    title: Text | None = None
    place: Place | None = None
    tier: Tier = "ground"
    units: dict[str, str] = {}
    valid: dict[str, tuple[float, float]] = {}
    kinds: dict[str, Literal["float", "int", "bool", "str"]] = {}
    every: Duration | None = None
    max_gap: Duration | None = None  # default 3 × every
    stuck: Duration | None = None
    series: int = 10_000
    at_most: Pace = Pace(20_000)  # 2,000/s: far more than a device has to say; a loop without a pause sends more
    resolution: Literal["s", "ms", "us", "ns"] = "ms"
    same_time: Literal["overwrite", "distinct"] = "distinct"
    max_late: Duration = Duration(3600 * NS)
    max_ahead: Duration = Duration(5 * NS)
    allowed_lateness: Duration = Duration(0)
    zone: str | None = None  # of stamps that state none; default: the gateway's timezone


class Sensor(msgspec.Struct, frozen=True):
    """A route: how a family's payloads come and read. `transport` and `codec` are the kinds' structs."""

    name: str
    common: SensorCommon
    transport_key: str
    transport: msgspec.Struct
    codec_key: str
    codec: msgspec.Struct


class CameraHealth(Struct, frozen=True):
    """Which conditions of a camera's sight are judged: each is an alert, and time that the camera did not cover.

    `moved: false` for one that is steered; `black: false` for one whose night is dark; `repeated: false` for one that
    shows a drawing.
    """

    black: bool = True
    overexposed: bool = True
    covered: bool = True
    blurred: bool = True
    moved: bool = True
    repeated: bool = True
    frame_rate: bool = True
    clock_adrift: bool = True

    def wanted(self) -> frozenset[str]:
        """The names of those that are."""
        return frozenset(name for name in self.__struct_fields__ if getattr(self, name))


class Motion(Struct, frozen=True):
    """When a camera's pictures are worth a look: when something moved since the last one, and every so often anyhow.

    every: the longest time between two looks. sleep: after so long without motion only key frames are decoded; `0 s`:
    never.
    """

    every: Duration = Duration(3 * NS)
    sleep: Duration = Duration(5 * NS)


class Zone(Struct, frozen=True):
    """A part of the picture: an outline in fractions of it, and what counts there.

    least: the height in px of the analysed picture from which a track counts; score: its mean score from which it
    does; labels: what is counted in its series, all that the model knows where none is given.
    """

    outline: tuple[Point, ...]
    least: Pixels = Pixels(0)
    score: float | None = None
    labels: tuple[str, ...] = ()


class Ground(Struct, frozen=True):
    """Where points of a camera's picture are on the ground, so that its tracks have places and speeds in metres.

    Pairs of a point in the picture (fractions) and one on the ground, four or more, of which no three are on a line;
    exactly one key: a datum ([lon, lat]), or metres ([east, north] from a point of one's own).
    """

    wgs84: tuple[Pair, ...] = ()
    gcj02: tuple[Pair, ...] = ()
    bd09: tuple[Pair, ...] = ()
    cgcs2000: tuple[Pair, ...] = ()
    metres: tuple[Pair, ...] = ()


class Camera(Struct, frozen=True):
    """A camera. `detect` is the stream to analyse: rtsp://, a file, or a V4L2 device (/dev/video0).

    zones: polygons as fractions of the picture (x, y in 0–1). lines: two or more points each. `tracks`: who is who is
    kept also where no rule or line needs it. `rate`: looks a second wanted. `loop`: a file starts over at its end.
    masks: outlines of what no kept or shown picture may show; it is black there. priority: whose rate falls less where
    the box cannot keep up. tiles: so many × so many overlapping parts are looked at beside the whole. regions:
    outlines, outside which nothing is looked for.
    """

    detect: str
    login: Login | None = None
    title: Text | None = None
    place: Place | None = None
    zones: dict[str, tuple[Point, ...] | Zone] = {}
    lines: dict[str, tuple[Point, ...]] = {}
    tracks: bool = False
    ground: Ground | None = None
    model: str | None = None  # a manifest's name or an .onnx file; default: the gateway's `model`
    rate: float = 5.0
    loop: bool = False
    transport: Literal["tcp", "udp"] = "tcp"
    silent: Duration = Duration(2 * NS)  # no frame for so long: blind
    video: Literal["off", "alerts", "always"] | None = None  # what of it is recorded; default: `recording.video`
    health: CameraHealth | Literal["off"] = CameraHealth()
    motion: Motion | Literal["off"] = Motion()
    decode: Literal["auto", "software"] = "auto"
    masks: dict[str, tuple[Point, ...]] = {}
    priority: Literal["low", "normal", "high"] = "normal"
    tiles: int = 1
    regions: dict[str, tuple[Point, ...]] = {}

    def zone(self, name: str) -> Zone | None:
        """A zone with all its settings, None where there is none of that name."""
        written = self.zones.get(name)
        return written if written is None or isinstance(written, Zone) else Zone(outline=written)

    def outlines(self) -> dict[str, tuple[Point, ...]]:
        """The zones' outlines by name."""
        return {name: zone.outline if isinstance(zone, Zone) else zone for name, zone in self.zones.items()}


class RuleCommon(Struct, frozen=True):
    """The keys that every rule has.

    picture: the camera whose picture goes with its alerts, `off` for none; default: the camera it looks through.
    """

    title: Text | None = None
    do: Text | None = None
    for_: Duration = Duration(0)
    mode: Literal["live", "shadow", "off"] = "live"
    active: Hours | None = None
    unless: Gate | None = None
    only_while: Gate | None = None
    unknown: Literal["pass", "suppress"] = "pass"  # what an unknown `unless`/`only_while` does
    where: dict[str, str] = {}  # only subjects with these tags
    class_: Literal["city", "equipment"] = "city"
    picture: str | None = None


class Rule(msgspec.Struct, frozen=True):
    """A rule: its common keys and its kind's struct."""

    name: str
    common: RuleCommon
    key: str
    kind: msgspec.Struct


class SinkCommon(Struct, frozen=True):
    """The keys that every sink has.

    `from`: where a new sink begins. `drain`: how fast series that waited for long are sent after newer ones.
    """

    from_: Literal["now", "oldest"] = "now"
    drain: ByteRate = ByteRate(5_000_000)  # an hour of 5,000 readings/s in 4 min, and half of a small server is free


class SinkConfig(msgspec.Struct, frozen=True):
    """A sink: its common keys and its kind's struct."""

    name: str
    common: SinkCommon
    key: str
    kind: msgspec.Struct


class Top(Struct, frozen=True):
    """The keys of the file but for sensors, rules and sinks, whose structs depend on the registry."""

    gateway: str
    timezone: str = "UTC"
    community: Community | None = None
    place: Place | None = None
    city: City = City()
    brokers: dict[str, Broker] = {}
    cameras: dict[str, Camera] = {}
    model: str = DEFAULT_MODEL
    vision: VisionConfig = VisionConfig()
    state: str | None = None
    http: Http = Http()
    commands: Commands = Commands()
    outbox: Outbox = Outbox()
    history: HistoryConfig = HistoryConfig()
    recording: Recording | Literal["off"] = Recording()
    evidence: EvidenceConfig | Literal["off"] = EvidenceConfig()
    log: Logging = Logging()


class Config(msgspec.Struct, frozen=True):
    """One gateway. `base` is the folder of its file; `sha` hashes the decoded structure without secrets."""

    gateway: str
    base: Path
    sha: str
    timezone: str
    community: Community | None
    place: Place | None
    city: City
    brokers: dict[str, Broker]
    sensors: dict[str, Sensor]
    cameras: dict[str, Camera]
    rules: dict[str, Rule]
    sinks: dict[str, SinkConfig]
    model: str
    vision: VisionConfig
    state: Path
    http: Http
    commands: Commands
    outbox: Outbox
    history: HistoryConfig
    recording: Recording | Literal["off"]
    evidence: EvidenceConfig | Literal["off"]
    log: Logging
