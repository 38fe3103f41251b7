"""Configurations that together use every kind of rule and every key of theirs."""

from __future__ import annotations

from tests.core.streams import Case, Device

ONE = (("site", "a"), ("device", "1"))
TWO = (("site", "a"), ("device", "2"))
FAR = (("site", "b"), ("device", "3"))
WATER = Device(((),), {"level": (2.5, 2.69, 2.7, 2.75, 2.8, 2.81, 3.0, 3.25, 3.31, 3.9)})
AIR = Device((ONE, TWO, FAR), {"pm25": (10.0, 60.0, 74.9, 75.1, 100.0, 116.0, 300.25), "rh": (50.0, 95.0, 96.0)})
WIND = Device(((("site", "a"),), (("site", "b"),)), {"speed": (1.0, 5.0, 9.0)})

WATER_SENSOR = """
  water:
    mqtt: here
    topic: water
    json: {time: ts, level: level}
    units: {level: m}
"""
AIR_SENSOR = """
  air:
    mqtt: here
    topic: air/{site}/{device}
    json: {time: ts, pm25: pm25, rh: rh}
    units: {pm25: ug/m3}
"""
WIND_SENSOR = """
  wind:
    mqtt: here
    topic: wind/{site}
    json: {time: ts, speed: speed}
    every: 10 s
"""
MASTS_SENSOR = """
  wind:
    mqtt: here
    topic: wind/{mast}
    json: {time: ts, speed: speed}
    max_gap: 1 min
"""
MASTS = Device(((("mast", "n"),), (("mast", "s"),)), WIND.values)
EVERY = "    every: 10 s\n"


def water(rules: str, more: str = EVERY) -> Case:
    """Rules over the gauge."""
    return Case(f"sensors:{WATER_SENSOR}{more}rules:\n{rules}", {"water": WATER})


def air(rules: str, more: str = "", wind: str = "") -> Case:
    """Rules over three boxes of air sensors."""
    devices = {"air": AIR, "wind": WIND} if wind else {"air": AIR}
    return Case(f"sensors:{AIR_SENSOR}{more}{wind}rules:\n{rules}", devices)


LEVELS = "levels: {yellow: 2.80, orange: 3.30, red: 3.80}"
CASES = {
    "plain levels": water(f"  flood: {{threshold: water.level, {LEVELS}}}\n"),
    "held": water(f"  flood: {{threshold: water.level, {LEVELS}, for: 30 s, clear_by: 0.10}}\n"),
    "held, without every": water(f"  flood: {{threshold: water.level, {LEVELS}, for: 20 s}}\n", ""),
    "cleared slowly": water(f"  flood: {{threshold: water.level, {LEVELS}, clear_by: 0.05, clear_for: 25 s}}\n"),
    "held and cleared slowly": water(
        f"  flood: {{threshold: water.level, {LEVELS}, for: 10 s, clear_for: 10 s}}\n", "    max_gap: 15 s\n"
    ),
    "below": water("  dry: {threshold: water.level, below: {blue: 2.75, red: 2.6}, clear_by: 0.06, for: 5 s}\n"),
    "outside": water(
        "  odd: {threshold: water.level, outside: {yellow: [2.7, 3.0], red: [2.6, 3.3]}, clear_by: 0.01}\n"
    ),
    "late ticks": water(
        f"  flood: {{threshold: water.level, {LEVELS}, for: 10 s}}\n", EVERY + "    allowed_lateness: 20 s\n"
    ),
    "mean": water(f"  flood: {{threshold: water.level, {LEVELS}, over: mean 1 min}}\n"),
    "max": water(f"  flood: {{threshold: water.level, {LEVELS}, over: max 40 s, coverage: 0.75, for: 10 s}}\n"),
    "p95": water(f"  flood: {{threshold: water.level, {LEVELS}, over: p95 2 min, clear_for: 5 s}}\n", ""),
    "rises": water(
        "  rising: {rate: water.level, levels: {yellow: 0.5 m/min, orange: 2 m/min}, clear_by: 0.1 m/min}\n"
    ),
    "falls, far apart": water(
        "  falling: {rate: water.level, below: {yellow: -0.5 m/min, red: -1 m/min}, min_dt: 15 s, for: 10 s}\n"
    ),
    "stuck": Case(
        f"sensors:{WATER_SENSOR}    stuck: 30 s\n", {"water": Device(((),), {"level": (2.5, 2.5, 2.5, 2.5, 2.6)})}
    ),
    "many series": air("  dust: {threshold: air.pm25, levels: {blue: 75, yellow: 115}, for: 10 s}\n", EVERY),
    "where": air("  dust: {threshold: air.pm25, where: {site: a}, levels: {blue: 75}, over: mean 30 s}\n", EVERY),
    "unless the same box is damp": air(
        "  dust: {threshold: air.pm25, levels: {blue: 75, yellow: 115}, unless: air.rh > 95}\n", EVERY
    ),
    "only while windy there": air(
        "  dust: {threshold: air.pm25, levels: {blue: 75}, only_while: wind.speed >= 5, unknown: suppress}\n",
        EVERY,
        WIND_SENSOR,
    ),
    "unless another rule": air(
        "  dust: {threshold: air.pm25, levels: {blue: 75}, unless: storm}\n"
        "  storm: {threshold: wind.speed, levels: {yellow: 5}, for: 10 s}\n"
        "  haze: {rate: air.pm25, levels: {yellow: 1 ug/m3/s}, only_while: dust, mode: shadow}\n",
        "",
        WIND_SENSOR,
    ),
    "unless the newest of several": Case(
        f"sensors:{WATER_SENSOR}{MASTS_SENSOR}rules:\n"
        "  flood: {threshold: water.level, levels: {yellow: 2.8}, unless: wind.speed >= 5}\n",
        {"water": WATER, "wind": MASTS},
    ),
    "huge numbers": Case(
        f"sensors:{WATER_SENSOR}{EVERY}rules:\n"
        "  rising: {rate: water.level, levels: {yellow: 0.5 m/min}}\n"
        "  mean: {threshold: water.level, over: mean 1 min, levels: {yellow: 2.8}, coverage: 0.1}\n"
        "  far: {threshold: water.level, outside: {yellow: [-1, 2.8]}, clear_by: 0.1}\n",
        {"water": Device(((),), {"level": (1e308, -1e308, 2.8, 5e-324, -0.0, 4.4e12)})},
    ),
    "by hours": water(f'  flood: {{threshold: water.level, {LEVELS}, active: "04:00-04:30, 04:32-05:00"}}\n', ""),
}
CAMERA = """
cameras:
  crossing:
    detect: rtsp://127.0.0.1/1
    zones: {zebra: [[0, 0.5], [0.7, 0.5], [0.7, 1], [0, 1]]}
rules:
"""
COUNTS = {
    "one for a while": CAMERA
    + "  bank: {count: person, in: crossing.zebra, levels: {yellow: 1, orange: 3}, for: 5 s}\n",
    "at once, in all the picture": CAMERA
    + "  any: {count: [person, car], in: crossing, levels: {blue: 2}, score: 0.5}\n",
    "after another": CAMERA
    + "  few: {count: person, in: crossing.zebra, levels: {yellow: 1}, for: 2 s, unless: many}\n"
    "  many: {count: person, in: crossing, levels: {yellow: 3}}\n",
}
STREET = """
cameras:
  crossing:
    detect: rtsp://127.0.0.1/1
    zones:
      zebra: [[0, 0.5], [0.7, 0.5], [0.7, 1], [0, 1]]
      far: {outline: [[0.3, 0.2], [0.95, 0.2], [0.6, 0.75]], least: 60 px, score: 0.7}
    lines: {kerb: [[0.5, 1], [0.5, 0]], bend: [[0, 0.6], [0.6, 0.5], [0.9, 0.9]]}
rules:
"""
TRACKS = {
    "who comes and goes": STREET + "  in: {enter: person, in: crossing.zebra, hold: 3 s}\n"
    "  over: {enter: [person, car], in: crossing.far, levels: {blue: 1, red: 2}, appearing: false, hold: 1 s}\n"
    "  out: {leave: person, in: crossing.zebra, hold: 2 s}\n"
    "  gone: {leave: [person, car], in: crossing.far, levels: {orange: 1}}\n",
    "each label by its own hours": STREET
    + "  people: {enter: person, in: crossing, hold: 1 s, active: '04:28-05:00'}\n"
    "  cars: {crowd: car, in: crossing, levels: {yellow: 1}, for: 1 s, active: '00:00-04:28, 04:29-04:30'}\n",
    "who stays": STREET
    + "  loiter: {dwell: person, in: crossing.zebra, levels: {yellow: 2 s, orange: 6 s}, hold: 4 s}\n"
    "  park: {dwell: car, in: crossing, levels: {yellow: 1 s, red: 10 s}, for: 1 s}\n",
    "how many": STREET
    + "  many: {crowd: person, in: crossing.zebra, levels: {blue: 1, yellow: 2, orange: 3}, hold: 1 s}\n"
    "  all: {crowd: [person, car], in: crossing, levels: {blue: 3}, for: 1 s, unless: many}\n",
    "who crosses": STREET + "  kerb: {cross: person, over: crossing.kerb, levels: {yellow: 1, orange: 3}, per: 10 s}\n"
    "  inward: {cross: [person, car], over: crossing.bend, direction: in, levels: {yellow: 1}, per: 20 s}\n"
    "  outward: {cross: person, over: crossing.bend, direction: out, levels: {red: 1}, per: 5 s, only_while: kerb}\n",
}
GROUND = STREET.replace(
    "rules:",
    "    ground: {metres: [[[0, 0.9], [-4, 6]], [[1, 0.9], [4, 6]], [[0.7, 0.3], [8, 30]], [[0.3, 0.3], [-8, 30]]]}\n"
    "rules:",
)
WIDE = GROUND.replace("4, 6]", "40, 6]").replace("8, 30]", "60, 12]")
MOVES = {
    "how fast": GROUND
    + "  fast: {speed: [person, car], in: crossing.zebra, levels: {yellow: 5 km/h, orange: 12 km/h}, hold: 2 s}\n"
    "  slow: {speed: person, in: crossing, below: {blue: 6 km/h, red: 1 km/h}, for: 1 s, hold: 1 s, unless: fast}\n",
    "which way": GROUND + "  against: {wrong_way: [person, car], in: crossing, towards: crossing.bend, hold: 2 s}\n"
    "  off: {wrong_way: person, in: crossing, towards: crossing.far, levels: {yellow: 1, red: 2}, for: 1 s}\n",
    "which way, by the compass": GROUND
    + "  against: {wrong_way: [person, car], in: crossing, towards: 350 deg, hold: 2 s}\n"
    "  west: {wrong_way: person, in: crossing.zebra, towards: 95.5 deg, levels: {yellow: 1, red: 2}, for: 1 s}\n",
    "which way, in the picture": STREET
    + "  against: {wrong_way: [person, car], in: crossing, towards: crossing.kerb, hold: 2 s}\n"
    "  off: {wrong_way: person, in: crossing.zebra, towards: crossing.far, levels: {yellow: 1}}\n",
    "what stands": GROUND
    + "  stood: {stopped: [person, car], in: crossing, levels: {yellow: 1 s, red: 4 s}, hold: 3 s}\n"
    "  left: {abandoned: person, person: car, in: crossing, away: 2 m, for: 2 s, hold: 2 s, unless: near}\n"
    "  near: {stopped: car, in: crossing, for: 8 s}\n",
    "what stands, in the picture": STREET + "  stood: {stopped: person, in: crossing.zebra, for: 2 s, hold: 2 s}\n"
    "  left: {abandoned: person, person: car, in: crossing, away: 1 heights, levels: {blue: 1 s, red: 5 s}}\n",
    "who nearly meets": WIDE
    + "  near: {near_miss: [person, car], in: crossing, levels: {yellow: 20 s, red: 4 s}, hold: 2 s}\n"
    "  two: {near_miss: [person, person], in: crossing, levels: {blue: 20 s, orange: 4 s}, unless: near}\n",
}
TRACKS |= MOVES | {
    "how many on a square metre": GROUND
    + "  many: {crowd: [person, car], in: crossing.zebra, levels: {blue: 0.016/m2, yellow: 0.04/m2}, hold: 1 s}\n"
    "  far: {crowd: person, in: crossing.far, levels: {orange: 0.0004/m2}, for: 1 s, unless: many}\n"
}
