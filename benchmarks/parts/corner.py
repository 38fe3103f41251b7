"""A corner that watches all five fields of 100 devices: the sensor, 20 rules of every kind, history and alerts.

Stamps are true to `every:` (a device's are 10 s apart, whatever the rate they come at), so that windows, `for:` and
rates judge what they would judge in the field; they begin DAYS ago, hence `max_late` and `allowed_lateness`. Of 1,000
messages one leaps over the lines of `spike` and the device's next one is back below: an alert is raised (or returns),
then cleared.
"""

from __future__ import annotations

import time

from parts.air import SENSOR

DAYS = 5
STEP_MS = 10_000
CORNER = """
gateway: NAME
brokers: {here: {url: "BROKER", keepalive: 600 s}}
sensors:
  air: {SENSOR, every: 10 s, stuck: 30 min, max_late: 9 d, allowed_lateness: 9 d}
rules:
  spike: {threshold: air.pm25, levels: {blue: 150, yellow: 250, orange: 350, red: 450}, clear_by: 10}
  dust: {threshold: air.pm25, levels: {blue: 160, yellow: 300}, clear_by: 5, for: 30 s}
  dust-5min: {threshold: air.pm25, over: mean 5 min, levels: {blue: 170, yellow: 200}}
  dust-rising: {rate: air.pm25, levels: {yellow: 3600 ug/m3/min}, for: 20 s}
  dust-dry: {threshold: air.pm25, levels: {yellow: 160}, for: 20 s, unless: air.rh > 95}
  coarse: {threshold: air.pm10, levels: {blue: 180, yellow: 250, red: 400}, clear_by: 10, for: 1 min}
  coarse-10min: {threshold: air.pm10, over: mean 10 min, levels: {blue: 180, yellow: 250}}
  coarse-max: {threshold: air.pm10, over: max 5 min, levels: {red: 400}}
  coarse-while: {threshold: air.pm10, levels: {yellow: 180}, only_while: air.pm25 > 100}
  damp: {threshold: air.rh, levels: {blue: 85, yellow: 95}, clear_by: 2, for: 1 min}
  dry: {threshold: air.rh, below: {yellow: 20, orange: 10}, clear_for: 30 s}
  damp-p95: {threshold: air.rh, over: p95 5 min, levels: {yellow: 90}}
  heat: {threshold: air.temp, levels: {yellow: 38, orange: 42, red: 45}, clear_by: 1, for: 1 min}
  frost: {threshold: air.temp, below: {yellow: 0, red: -10}, clear_by: 1}
  comfort: {threshold: air.temp, outside: {blue: [5, 40], yellow: [0, 45]}, clear_by: 1}
  cooling: {rate: air.temp, below: {yellow: -600 degC/min}, min_dt: 10 s}
  heat-mean: {threshold: air.temp, over: mean 10 min, levels: {yellow: 38}, unless: dust}
  loud: {threshold: air.noise, levels: {blue: 85, yellow: 95}, for: 20 s, only_while: air.temp > 0}
  loud-max: {threshold: air.noise, over: max 10 min, levels: {orange: 110}}
  loud-rising: {rate: air.noise, levels: {yellow: 600 dB/min}}
sinks:
  store: SINK
  alerts: {mqtt: here}
http: {listen: "127.0.0.1:{port}", page: true}
""".replace("SENSOR", SENSOR)
RULES = sum(line.startswith("  ") and ("threshold:" in line or "rate:" in line) for line in CORNER.splitlines())


def corner(name: str, broker: str, sink: str) -> str:
    """The configuration of such a gateway."""
    return CORNER.replace("NAME", name).replace("BROKER", broker).replace("SINK", sink)


def begin_ms() -> int:
    """The stamp of such a stream's first message."""
    return time.time_ns() // 10**6 - DAYS * 86_400_000
