"""What one decoded struct contradicts by itself: ranges, pairs that belong together, polygons, time zones."""

from __future__ import annotations

import re
from functools import singledispatch
from itertools import pairwise
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from gateway.config import box, common, ground, model, regions
from gateway.config.geo import DATUMS
from gateway.config.names import Problems, nearest
from gateway.config.scalars import NS

if TYPE_CHECKING:
    from gateway.config.model import Point

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAME_WORDS = "a name is 1 to 64 of a-z 0-9 . _ - and begins with a letter or digit (title: takes any words)"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SMALLEST_BALLAST = 16_000_000
SMALLEST_BUDGET = 64_000_000
SMALLEST_HISTORY = 1_000_000  # bytes: its tables and a day of a small gateway
SMALLEST_RECORDING = 1_000_000
LONGEST_AROUND = 600 * NS
SMALLEST_EVIDENCE = 10_000_000
LONGEST_CLIP = 60 * NS  # before and after: a clip is made of packets that are kept in memory
PUBLIC_KEY = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes, X25519
MOST_ENGINES = 256  # each is a thread with the model in memory
MOST_TILES = 4  # 17 looks at each picture
MOST_BATCH = 64  # beyond it a picture waits for longer than any engine gains
KEEPALIVE_S = (5, 65_535)  # below: traffic for nothing; above: MQTT has no room for it


@singledispatch
def problems_of(made: object) -> Problems:
    """Pairs of (key below the struct, problem); a kind's own struct says them in its method `problems`."""
    return cast(Problems, made.problems()) if hasattr(made, "problems") else []  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional


@problems_of.register
def _secret(made: common.Secret) -> Problems:
    given = [key for key in ("file", "env", "credential") if getattr(made, key) is not None]
    if len(given) == 1:
        return []
    return [("", f"exactly one of file, env, credential names a secret; found {' and '.join(given) or 'none'}")]


@problems_of.register
def _top(made: model.Top) -> Problems:
    wrong = [] if NAME.fullmatch(made.gateway) else [("gateway", f"found {made.gateway!r}; {NAME_WORDS}")]
    return wrong + timezone_problems("timezone", made.timezone)


@problems_of.register
def _community(made: model.Community) -> Problems:
    return (
        []
        if NAME.fullmatch(made.code)
        else [("code", f"found {made.code!r}; it is a level of every topic: {NAME_WORDS}")]
    )


@problems_of.register
def _place(made: model.Place) -> Problems:
    given = [datum for datum in DATUMS if getattr(made, datum) is not None]
    if len(given) != 1:
        shown = " and ".join(given) or "none"
        return [("", f"a position has exactly one datum as its key: {', '.join(DATUMS)} ([lon, lat]); found {shown}")]
    problems: Problems = [] if made.uncertainty_m >= 0 else [("uncertainty_m", "a radius in metres is not negative")]
    position: Point = getattr(made, given[0])
    lon, lat = position
    if abs(lon) > 180 or abs(lat) > 90:
        swapped = abs(lat) <= 180 and abs(lon) <= 90
        fix = f"lon and lat are swapped: write [{lat}, {lon}]" if swapped else "lon is within ±180, lat within ±90"
        problems.append((given[0], f"found [{lon}, {lat}]; {fix}"))
    return problems


@problems_of.register
def _vision(made: box.VisionConfig) -> Problems:
    problems: Problems = []
    if made.engines is not None and not 1 <= made.engines <= MOST_ENGINES:
        problems.append(("engines", f"found {made.engines}; threads that look, 1 to {MOST_ENGINES}"))
    if not 1 <= made.batch <= MOST_BATCH:
        problems.append(("batch", f"found {made.batch}; pictures that are looked at together, 1 to {MOST_BATCH}"))
    if made.precision == "bf16" and made.engine != "openvino":
        problems.append(("precision", f"found bf16 for the engine {made.engine}; only openvino computes in it"))
    return problems


@problems_of.register
def _city(made: model.City) -> Problems:
    if made.bounds is None:
        return []
    west, south, east, north = made.bounds
    fine = -180 <= west < east <= 180 and -90 <= south < north <= 90
    return (
        []
        if fine
        else [("bounds", "bounds are [lon_min, lat_min, lon_max, lat_max] in degrees, each min below its max")]
    )


@problems_of.register
def _broker(made: model.Broker) -> Problems:
    problems: Problems = []
    url = urlsplit(made.url)
    try:
        port = url.port
    except ValueError:
        port = -1
    if url.scheme not in ("mqtt", "mqtts") or not url.hostname or port == -1 or url.path not in ("", "/"):
        problems.append(("url", f"found {made.url!r}; a broker is mqtt://host:1883 or, with TLS, mqtts://host:8883"))
    elif url.scheme == "mqtt":
        tls = [key for key in ("ca", "certificate", "key") if getattr(made, key) is not None]
        problems += [
            (key, "belongs to TLS, but url begins with mqtt://; write mqtts:// or leave it out") for key in tls
        ]
    if (made.certificate is None) != (made.key is None):
        given, other = ("certificate", "key") if made.key is None else ("key", "certificate")
        problems.append((given, f"needs {other}: beside it; the broker wants both"))
    if not KEEPALIVE_S[0] * NS <= made.keepalive <= KEEPALIVE_S[1] * NS:
        problems.append(("keepalive", f"found {made.keepalive}; allowed is 5 s to 18 h"))
    if not 1 <= made.receive_maximum <= 65_535:
        problems.append(("receive_maximum", f"found {made.receive_maximum}; allowed is 1 to 65535"))
    if made.buffer < 100_000:  # one message of 64 kB and its neighbours must fit, or reading stands still
        problems.append(("buffer", f"found {made.buffer}; at least 100 kB"))
    return problems


@problems_of.register
def _sensor(made: model.SensorCommon) -> Problems:
    problems: Problems = []
    for name, (low, high) in made.valid.items():
        if low >= high:
            problems.append((f"valid.{name}", f"found [{low:g}, {high:g}]; the lower bound comes first: [low, high]"))
        if made.kinds.get(name) in ("bool", "str"):
            problems.append((f"valid.{name}", f"has no meaning for a {made.kinds[name]}; leave it or kinds.{name} out"))
    if made.every is not None and made.max_gap is not None and made.max_gap < made.every:
        problems.append(
            ("max_gap", f"found {made.max_gap}, shorter than every ({made.every}): each reading would be a gap")
        )
    problems += [(key, "found 0 s; longer than 0") for key in ("every", "max_gap", "stuck") if getattr(made, key) == 0]
    if made.series < 1:
        problems.append(("series", f"found {made.series}; at least 1"))
    return problems + (timezone_problems("zone", made.zone) if made.zone is not None else [])


@problems_of.register
def _camera(made: model.Camera) -> Problems:
    problems: Problems = []
    for name, polygon in made.outlines().items():
        problems += _named("zones", name, _polygon(polygon))
    for name, line in made.lines.items():
        problems += _named("lines", name, _line(line))
    for name, polygon in made.masks.items():
        problems += _named("masks", name, _polygon(polygon))
    for name, polygon in made.regions.items():
        problems += _named("regions", name, _polygon(polygon))
    problems += _unseen(made) if not problems else []  # of shapes that are shapes
    if not 1 <= made.tiles <= MOST_TILES:
        problems.append(("tiles", f"found {made.tiles}; 2 for 2 × 2 parts beside the whole, at most {MOST_TILES}"))
    if not 0 < made.rate <= 60:
        problems.append(("rate", f"found {made.rate:g}; looks a second, above 0 and at most 60"))
    if made.silent == 0:
        problems.append(("silent", "found 0 s; longer than 0"))
    scheme = urlsplit(made.detect).scheme if "://" in made.detect else ""
    if scheme not in ("", "rtsp", "rtsps"):
        problems.append(
            ("detect", f"found {made.detect!r}; a camera is rtsp://…, a video file, or a device (/dev/video0)")
        )
    elif made.loop and (scheme or made.detect.startswith("/dev/")):
        problems.append(("loop", "a live stream has no end to start over from; loop: is for video files"))
    if made.login is not None and not scheme:
        problems.append(("login", "belongs to rtsp:// streams; a file or device has no login"))
    return problems


def _unseen(made: model.Camera) -> Problems:
    """Zones and lines where nothing is looked for: they would count nobody and call it watched."""
    wrong = [f"zones.{name}" for name in regions.outside(made.outlines(), made.regions, closed=True)]
    wrong += [f"lines.{name}" for name in regions.outside(made.lines, made.regions, closed=False)]
    where = f"reaches out of the regions ({', '.join(made.regions)}), outside which nothing is looked for"
    return [(key, f"{where}: draw it within one of them, or that one larger") for key in wrong]


@problems_of.register
def _evidence(made: box.EvidenceConfig) -> Problems:
    problems: Problems = []
    if made.budget < SMALLEST_EVIDENCE:
        problems.append(("budget", f"found {made.budget}; at least 10 MB: a clip may have half of it"))
    if made.clip != "off" and not 0 < made.clip <= LONGEST_CLIP:
        problems.append(("clip", f"found {made.clip}; longer than 0, at most 60 s before and after, or off"))
    if (made.privacy == "sealed") != (made.key is not None):
        key = "key" if made.privacy == "sealed" else "privacy"
        problems.append((key, "privacy: sealed and key: belong together; `zhiwang evidence key` makes a pair of keys"))
    if made.key is not None and not PUBLIC_KEY.fullmatch(made.key):
        problems.append(("key", "found no public key; 43 letters and digits, as `zhiwang evidence key` makes it"))
    return problems


@problems_of.register
def _ground(made: model.Ground) -> Problems:
    return ground.problems(made)


@problems_of.register
def _motion(made: model.Motion) -> Problems:
    if not made.every:
        return [("every", "found 0 s; longer than 0 (motion: off looks at every frame that rate: asks for)")]
    if 0 < made.sleep < made.every:
        return [
            ("sleep", f"found {made.sleep}, shorter than every ({made.every}): it would never be awake; 0 s: never")
        ]
    return []


@problems_of.register
def _zone(made: model.Zone) -> Problems:
    if made.score is None or 0.1 <= made.score <= 1:
        return []
    return [("score", f"found {made.score:g}; detections are kept from 0.1 on, so 0.1 to 1 is expected")]


@problems_of.register
def _rule(made: model.RuleCommon) -> Problems:
    if made.unless is not None and made.unless == made.only_while:
        return [("unless", f"is the same as only_while ({made.unless}): the rule could never be active")]
    return []


@problems_of.register
def _http(made: box.Http) -> Problems:
    host, colon, port = made.listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        return [("listen", f'found {made.listen!r}; an address and a port, such as "127.0.0.1:8080"')]
    if host.strip("[]") not in LOOPBACK and not host.startswith("127.") and made.token is None:
        return [
            ("listen", f"{made.listen} is open to others: write token: {{file: secrets/page}} beside it, or 127.0.0.1")
        ]
    return []


@problems_of.register
def _outbox(made: box.Outbox) -> Problems:
    problems: Problems = (
        [] if made.transaction >= 4096 else [("transaction", f"found {made.transaction}; at least 4 kB")]
    )
    if not 1_000_000 <= made.linger <= 60 * NS:
        problems.append(("linger", f"found {made.linger}; allowed is 1 ms to 60 s (what a power cut may cost in time)"))
    if made.budget < SMALLEST_BUDGET:
        problems.append(("budget", f"found {made.budget}; at least 64 MB: the journal alone may take 16 MB"))
    if 0 < made.ballast < SMALLEST_BALLAST:
        problems.append(("ballast", f"found {made.ballast}; 16 MB and up help over a full disk, 0 B is none"))
    if made.age < 60 * NS:
        problems.append(("age", f"found {made.age}; at least 1 min"))
    return problems


@problems_of.register
def _commands(made: box.Commands) -> Problems:
    return [("shelve_at_most", "found 0 s; longer than 0")] if made.shelve_at_most == 0 else []


@problems_of.register
def _history(made: box.HistoryConfig) -> Problems:
    problems: Problems = [("alerts", "found 0 s; longer than 0")] if made.alerts == 0 else []
    if made.size < SMALLEST_HISTORY:
        problems.append(("size", f"found {made.size}; at least 1 MB"))
    return problems


@problems_of.register
def _recording(made: box.Recording) -> Problems:
    problems: Problems = []
    if made.file < SMALLEST_RECORDING:
        problems.append(("file", f"found {made.file}; at least 1 MB"))
    if made.budget < 4 * made.file:
        problems.append(
            ("budget", f"found {made.budget}; at least four files of {made.file}, for the oldest goes whole")
        )
    if not 0 < made.around <= LONGEST_AROUND:
        problems.append(("around", f"found {made.around}; longer than 0, at most 10 min"))
    return problems


def timezone_problems(key: str, name: str) -> Problems:
    """What is wrong with a time zone's name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder's name, such as Asia
        hint = nearest(name, available_timezones())
        return [(key, f"no time zone {name!r}{hint} (names of the IANA database, such as Asia/Shanghai or UTC)")]
    return []


def _named(section: str, name: str, problem: str) -> Problems:
    """What is wrong with a zone or line and its name."""
    fine = NAME.fullmatch(name) and "." not in name
    wrong = [] if fine else [f"a {section[:-1]}'s name is of a-z 0-9 _ -, without dots"]
    return [(f"{section}.{name}", one) for one in [*wrong, *([problem] if problem else [])]]


def _beyond(points: tuple[Point, ...]) -> str:
    """What is wrong with points outside the picture."""
    outside = next((p for p in points if not (0 <= p[0] <= 1 and 0 <= p[1] <= 1)), None)
    if outside is None:
        return ""
    return f"found [{outside[0]:g}, {outside[1]:g}]; points are fractions of the picture, 0 to 1, not pixels"


def _line(line: tuple[Point, ...]) -> str:
    """What is wrong with a line, or nothing."""
    if len(line) < 2:
        return f"found {len(line)} points; a line has at least 2"
    if problem := _beyond(line):
        return problem
    steps = list(pairwise(line))
    still = next((i for i, (a, b) in enumerate(steps, 1) if a == b), None)
    if still:
        return f"points {still} and {still + 1} are the same; leave one out"
    for i, first in enumerate(steps):
        for j in range(i + 2, len(steps)):
            if _cross(*first, *steps[j]):
                return f"the line crosses itself after points {i + 1} and {j + 1}; list its points in order"
    return ""


def _polygon(polygon: tuple[Point, ...]) -> str:
    """What is wrong with a zone's outline, or nothing."""
    if len(polygon) < 3:
        return f"found {len(polygon)} points; an outline has at least 3"
    if problem := _beyond(polygon):
        return problem
    edges = list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))
    for i, first in enumerate(edges):
        for j in range(i + 2, len(edges) - (i == 0)):
            if _cross(*first, *edges[j]):
                return f"the outline crosses itself after points {i + 1} and {j + 1}; list its corners in order"
    if abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in edges)) < 1e-9:
        return "the outline encloses nothing: its points lie on one line"
    return ""


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
