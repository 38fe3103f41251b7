"""(d) What memory the gateway takes: idle, under load, and while InfluxDB is away.

python benchmarks/memory.py

Resident memory of the process: VmRSS after 10 s, then VmHWM, the most it had, whose mark is reset before each load.
Ground-only with rules on every series, without and with the page; and with two cameras where the data beside the
project is there ($ZHIWANG_DATA: data/video/highway.avi and models/yolox_nano.onnx). The load is 3,000 messages of 5
fields a second: 15,000 readings.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from parts.air import SENSOR
from stage import Influx, Mosquitto, Row, folder, gateway, main, memory_mb, publish, running, server, until

from tests.conftest import SHARED

LOAD, SECONDS, AWAY_S = 3_000, 12, 12
CONFIG = """
gateway: bench-NAME
brokers: {here: {url: "BROKER"}}
sensors:
  NAME: {SENSOR, every: 10 s}
rules:
  dust: {threshold: NAME.pm25, levels: {yellow: 5000}, for: 30 s}
  smog: {threshold: NAME.pm10, over: mean 1 min, levels: {yellow: 5000}}
  hot: {threshold: NAME.temp, levels: {yellow: 5000}, unless: NAME.rh > 95}
COUNTsinks:
  influx: {v1: "INFLUX", db: bench}
  alerts: {mqtt: here}
""".replace("SENSOR", SENSOR)
PAGE = '\nhttp: {listen: "127.0.0.1:{port}", page: true}\n'
COUNT = "  crowd: {count: car, in: north.road, levels: {yellow: 100}, for: 10 s}\n"
CAMERAS = """
model: MODEL
cameras:
  north: {detect: VIDEO, loop: true, zones: {road: [[0, 0], [1, 0], [1, 1], [0, 1]]}}
  south: {detect: VIDEO, loop: true}
"""
VIDEO, MODEL = SHARED / "data/video/highway.avi", SHARED / "models/yolox_nano.onnx"


def _texts() -> dict[str, str]:
    ground = CONFIG.replace("COUNT", "")
    texts = {"ground": ground, "page": ground + PAGE}
    if VIDEO.is_file() and MODEL.is_file():
        seen = CONFIG.replace("COUNT", COUNT) + CAMERAS.replace("MODEL", str(MODEL)).replace("VIDEO", str(VIDEO))
        texts["cameras"] = seen + PAGE
    return texts


def _one(at: Path, broker: Mosquitto, influx: Influx, name: str, text: str) -> Row:
    filled = text.replace("NAME", name).replace("BROKER", broker.url).replace("INFLUX", influx.url)
    with gateway(at / name, filled) as ours:
        highest = Path(f"/proc/{ours.pid}/clear_refs")
        time.sleep(10)
        idle = memory_mb(ours.pid)
        highest.write_text("5", encoding="utf-8")  # VmHWM starts anew from what there is
        assert publish(broker.port, LOAD * SECONDS, rate=LOAD).wait(60) == 0
        until(lambda: ours.metric("zhiwang_sink_lag_rows") == 0, 30, "delivery")
        loaded = memory_mb(ours.pid, "VmHWM")
        highest.write_text("5", encoding="utf-8")
        influx.pause()
        assert publish(broker.port, LOAD * AWAY_S, rate=LOAD).wait(60) == 0
        influx.resume()
        until(lambda: ours.metric("zhiwang_sink_lag_rows") == 0, 30, "delivery after the outage")
        away = memory_mb(ours.pid, "VmHWM")
        taken = ours.metric("zhiwang_core_readings_total")
        assert taken == LOAD * (SECONDS + AWAY_S) * 5, f"{taken} readings"
    what = {"ground": "ground-only", "page": "ground-only, with the page", "cameras": "two cameras and the page"}[name]
    return Row(what, f"idle {idle:.0f} MB  loaded {loaded:.0f} MB  sink away {away:.0f} MB", "no figure is wanted")


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        broker, influx = server(Mosquitto, at / "broker"), server(Influx, at / "influx")
        stack.enter_context(running(broker, influx))
        influx.database("bench")
        texts = _texts()
        rows = [_one(at, broker, influx, name, text) for name, text in texts.items()]
        if "cameras" not in texts:
            rows.append(Row("two cameras and the page", "not measured", f"no video or model in {SHARED}"))
        return rows


if __name__ == "__main__":
    if sys.argv[1:]:
        raise SystemExit(__doc__)
    main(f"(d) resident memory, idle and at {LOAD:,} messages/s", measure)
