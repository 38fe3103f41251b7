"""A View in memory: real alert JSON, series, components and pictures, and commands that act as the core's would."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.ports import Component, Counted, Drawing, Heat, Judged, Latest, Picture, Refused

if TYPE_CHECKING:
    from gateway.app.pen import Pen
    from gateway.events import Command

NS = 1_000_000_000
MIN = 60 * NS
ZONE = timezone(timedelta(hours=8))
NOW_NS = int(datetime(2026, 8, 14, 2, 16, 41, tzinfo=ZONE).timestamp()) * NS


def iso(ns: int) -> str:
    return datetime.fromtimestamp(ns / NS, ZONE).isoformat(timespec="seconds")


def flood(now_ns: int = NOW_NS) -> dict[str, object]:
    return {
        "schema": 1,
        "id": "flood-7d1c",
        "code": "LG17-4K2M",
        "epoch": "b3f1",
        "seq": 812,
        "prev": 790,
        "status": "actual",
        "class": "city",
        "change": "raised_level",
        "state": "active_unacknowledged",
        "severity": "severe",
        "severity_max": "severe",
        "colour": "orange",
        "rule": "flood",
        "subject": "water.level",
        "community": "330383017",
        "place": {
            "zh": "龙港大道与人民路口",
            "en": "Longgang Ave / Renmin Rd",
            "wgs84": [120.5491, 27.5815],
            "uncertainty_m": 5,
        },
        "started": iso(now_ns - 14 * MIN),
        "changed": iso(now_ns - 161 * NS),
        "late_s": 0.2,
        "value": 3.32,
        "unit": "m",
        "limit": 3.3,
        "recent": {"step_s": 30, "values": [2.9, 2.97, 3.05, 3.12, 3.2, 3.27, 3.32]},
        "coverage_1h": 1.0,
        "title": {"zh": "河道水位", "en": "River level"},
        "text": {
            "zh": "02:14:00 超过橙色线 3.30 米(持续 30 秒);10 分钟上涨 0.42 米,"
            "照此速度约 11 分钟到红色线 3.80 米。水位计近 1 小时数据完整率 100%。",
            "en": "02:14:00 above the orange line of 3.30 m for 30 s; up 0.42 m in 10 min; "
            "at this rate red (3.80 m) in about 11 min. Gauge complete for the last hour (100 %).",
        },
        "do": {"zh": "派人封闭人民路下穿通道", "en": "Send someone to close the Renmin Rd underpass"},
        "evidence": [],
        "config_sha": "5f1e",
        "model_sha": None,
    }


def dust(now_ns: int = NOW_NS) -> dict[str, object]:
    return flood(now_ns) | {
        "id": "dust-91aa",
        "code": "LG17-9QX3",
        "seq": 801,
        "change": "acknowledged",
        "state": "active_acknowledged",
        "severity": "moderate",
        "severity_max": "moderate",
        "colour": "yellow",
        "rule": "dust",
        "subject": "air.pm25{device=0017,site=a}",
        "started": iso(now_ns - 40 * MIN),
        "changed": iso(now_ns - 31 * MIN),
        "value": 118.0,
        "unit": "ug/m3",
        "limit": 115.0,
        "recent": None,
        "coverage_1h": 0.97,
        "title": {"zh": "积尘 PM2.5", "en": "Dust PM2.5"},
        "text": {
            "zh": "10 分钟平均 118 µg/m³,超过黄色线 115。",
            "en": "10 min mean 118 µg/m³, above the yellow line of 115.",
        },
        "do": {"zh": "安排洒水车", "en": "Send the water truck"},
        "acknowledged": {"by": "王工", "at": iso(now_ns - 31 * MIN)},
    }


def bank(now_ns: int = NOW_NS) -> dict[str, object]:
    return flood(now_ns) | {
        "id": "bank-03fe",
        "code": "LG17-2B7H",
        "seq": 808,
        "change": "raised",
        "severity": "moderate",
        "severity_max": "moderate",
        "colour": "yellow",
        "rule": "bank",
        "subject": "river.bank",
        "value": 3.0,
        "unit": None,
        "camera": "river",
        "limit": 1.0,
        "started": iso(now_ns - 3 * MIN),
        "changed": iso(now_ns - 2 * MIN),
        "recent": None,
        "title": {"zh": "河岸有人", "en": "People on the bank"},
        "text": {"zh": "河岸区域内 3 人,持续 20 秒。", "en": "3 people inside the bank zone for 20 s."},
        "do": {"zh": "用喇叭劝离", "en": "Ask them to leave by loudspeaker"},
    }


def frozen(now_ns: int = NOW_NS) -> dict[str, object]:
    return flood(now_ns) | {
        "id": "health-c0de",
        "code": "LG17-7F2D",
        "seq": 799,
        "class": "equipment",
        "change": "raised",
        "severity": "moderate",
        "severity_max": "moderate",
        "colour": "yellow",
        "rule": "health",
        "subject": "camera/crossing{condition=frozen}",
        "camera": "crossing",
        "value": None,
        "unit": "",
        "limit": None,
        "recent": None,
        "coverage_1h": None,
        "started": iso(now_ns - 13 * MIN),
        "changed": iso(now_ns - 13 * MIN),
        "title": {"zh": "摄像头 crossing", "en": "Camera crossing"},
        "text": {"zh": "画面自 02:03 起没有变化。", "en": "The picture has not changed since 02:03."},
        "do": {"zh": "检查镜头和网线", "en": "Check the lens and the cable"},
    }


def components(now_ns: int = NOW_NS) -> list[Component]:
    day = now_ns - 9 * 3600 * NS
    return [
        Component("camera/crossing", False, "frozen", "", now_ns - 13 * MIN, {"zh": "路口", "en": "Crossing"}),
        Component("camera/river", True, "connected", "5.0/s", day, {"zh": "河岸", "en": "River bank"}),
        Component("source/here", True, "connected", "41 msg/s", day),
        Component("source/air", True, "connected", "12 台", day),
        Component("sink/influx", True, "delivering_series", "0.2 s", day),
        Component("sink/alerts", True, "delivering_alerts", "0.1 s", day),
        Component("disk/outbox", True, "durable", "0.2/4 GB", day),
    ]


def river(at_ns: int) -> tuple[list[int], list[float]]:
    """The gauge: a slow rise through yellow and orange."""
    times = [NOW_NS - 3600 * NS + step * 15 * NS for step in range(241)]
    values = [2.42 + 0.9 / (1 + math.exp(-(step - 175) / 22)) + 0.012 * math.sin(step * 1.7) for step in range(241)]
    return [t for t in times if t <= at_ns], values[: sum(t <= at_ns for t in times)]


@dataclass
class MemoryView:
    """Everything that `View` asks for, from lists that a test changes."""

    now: int = NOW_NS
    alerts: dict[str, dict[str, object]] = field(default_factory=dict)
    past: list[dict[str, object]] = field(default_factory=list)
    parts: list[Component] = field(default_factory=list)
    pictures: dict[str, Picture] = field(default_factory=dict)
    series: list[Latest] = field(default_factory=list)
    charts: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    said: dict[str, object] = field(default_factory=dict)
    said_of: list[Judged] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    shelve_at_most_s: int = 8 * 3600
    heats: dict[str, Heat] = field(default_factory=dict)
    counts: dict[str, list[Counted]] = field(default_factory=dict)
    pen: Pen | None = None
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def now_ns(self) -> int:
        """As in `View`."""
        return self.now

    def components(self) -> list[Component]:
        """As in `View`."""
        return self.parts

    def status(self) -> dict[str, object]:
        """As in `View`."""
        return {
            "gateway": "lg-017-02",
            "version": "0.1.0",
            "config_sha": "5f1e09",
            "uptime_s": 32_400.0,
            "durable": True,
            "community": {"code": "330383017", "zh": "江口社区", "en": "Jiangkou"},
            "outbox_lag_s": 0.2,
            "place": {"zh": "龙港大道与人民路口", "en": "Longgang Ave / Renmin Rd"},
            "timezone": "Asia/Shanghai",
        } | self.said

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """As in `View`."""
        return self.samples

    def latest(self) -> list[Latest]:
        """As in `View`."""
        return self.series

    def judged(self) -> list[Judged]:
        """As in `View`."""
        return self.said_of

    async def evidence(self, alert: str, sha256: str) -> bytes | None:
        """What a test put there."""
        return self.files.get((alert, sha256))

    def picture(self, camera: str) -> Picture | None:
        """As in `View`."""
        return self.pictures.get(camera)

    def heat(self, camera: str) -> Heat | None:
        """As in `View`."""
        return self.heats.get(camera)

    async def counted(self, camera: str, from_ns: int, to_ns: int) -> list[Counted]:
        """As in `View`."""
        assert to_ns - from_ns == 3600 * NS
        return self.counts.get(camera, [])

    async def drawing(self, camera: str) -> Drawing | None:
        """As in `View`."""
        return await self.pen.read(camera) if self.pen else None

    async def redraw(self, camera: str, was: Drawing, now: Drawing) -> list[Refused]:
        """As in `View`."""
        assert self.pen is not None
        return await self.pen.draw(camera, was, now)

    async def open_alerts(self) -> list[dict[str, object]]:
        """As in `View`."""
        return list(self.alerts.values())

    async def past_alerts(self, limit: int) -> list[dict[str, object]]:
        """As in `View`."""
        return self.past[:limit]

    async def chart(self, subject: str, from_ns: int, to_ns: int, buckets: int) -> tuple[list[int], list[float]]:
        """As in `View`."""
        times, values = self.charts.get(subject, ([], []))
        inside = [at for at, when in enumerate(times) if from_ns <= when <= to_ns][-buckets:]
        return [times[at] for at in inside], [values[at] for at in inside]

    async def command(self, command: Command) -> dict[str, object]:
        """As in `View`."""
        self.commands.append(command)
        alert = self.alerts.get(command.target)
        if command.verb in {"right", "wrong", "unmark"}:
            alert = alert or next((one for one in self.past if command.target in {one["id"], one["code"]}), None)
        if alert is None:
            return {"id": command.id, "result": "unknown", "reason": "no open alert has this id or code"}
        if command.if_seq is not None and command.if_seq < int(str(alert["seq"])):
            return {"id": command.id, "result": "conflict", "reason": "the alert has changed since"}
        alert["seq"] = int(str(alert["seq"])) + 1
        if command.verb == "acknowledge":
            alert |= {"change": "acknowledged", "state": str(alert["state"]).replace("_unack", "_ack")}
            alert["acknowledged"] = {"by": command.who, "at": iso(self.now)}
        elif command.verb == "shelve":
            alert |= {"change": "shelved", "state": "shelved"}
            until = iso(min(command.until_ns or 0, self.now + self.shelve_at_most_s * NS))
            alert["shelved"] = {"by": command.who, "why": command.note, "until": until}
            return {"id": command.id, "result": "ok", "seq": alert["seq"], "until": until}
        elif command.verb in {"right", "wrong", "unmark"}:
            label = {"verdict": command.verb, "who": command.who, "at": iso(self.now), "note": command.note}
            alert |= {"change": "labelled", "label": None if command.verb == "unmark" else label}
        else:
            alert |= {"change": "unshelved", "state": "active_unacknowledged"}
        return {"id": command.id, "result": "ok", "seq": alert["seq"]}


def photograph(jpeg: bytes, now_ns: int = NOW_NS) -> Picture:
    """A picture with two people, a car and a zone."""
    boxes = np.array([[0.1, 0.3, 0.22, 0.8], [0.45, 0.35, 0.55, 0.75], [0.6, 0.4, 0.95, 0.7]], np.float32)
    zone = ("bank", [(0.0, 0.6), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)])
    return Picture(
        jpeg, now_ns - NS, boxes, np.array([0.91, 0.66, 0.84], np.float32), ["person", "person", "car"], [zone]
    )


def corner(jpeg: bytes = b"") -> MemoryView:
    """The street corner of experience.md, with two things to deal with and one camera blind."""
    wave = [96 + 24 * math.sin(step / 30) for step in range(241)]
    times, level = river(NOW_NS)
    air = "air.pm25{device=0017,site=a}"
    humid = [61.0 + (step % 7) * 0.3 if not 60 < step < 95 else math.nan for step in range(241)]
    view = MemoryView(
        alerts={str(a["id"]): a for a in (flood(), dust(), frozen())},
        parts=components(),
        series=[
            Latest(
                "water.level",
                "m",
                NOW_NS,
                level[-1],
                {"yellow": 2.8, "orange": 3.3, "red": 3.8},
                {"zh": "河道水位", "en": "River level"},
            ),
            Latest(
                air,
                "ug/m3",
                NOW_NS,
                wave[-1],
                {"blue": 75.0, "yellow": 115.0},
                {"zh": "积尘 PM2.5", "en": "Dust PM2.5"},
            ),
            Latest("air.rh{device=0017,site=a}", "%", NOW_NS, 61.2, {}),
        ],
        charts={"water.level": (times, level), air: (times, wave), "air.rh{device=0017,site=a}": (times, humid)},
        past=[flood(NOW_NS - 3 * 3600 * NS) | {"id": "flood-old", "change": "closed", "state": "normal"}],
        samples=[
            ("zhiwang_source_messages_total", {"source": "here"}, 41_210.0),
            ("zhiwang_component_up", {"kind": "camera", "name": "crossing"}, 0.0),
            ("zhiwang_sink_lag_s", {"sink": 'in"flux\\'}, 0.25),
        ],
    )
    if jpeg:
        view.pictures = {"river": photograph(jpeg), "crossing": photograph(jpeg, NOW_NS - 13 * MIN)}
    return view


def jpeg() -> bytes:
    """A picture: grey, with a lighter road."""
    cv2 = pytest.importorskip("cv2", reason="the vision extra is not installed")
    picture = np.full((432, 768, 3), 70, np.uint8)
    picture[230:, 100:600] = 140
    return bytes(cv2.imencode(".jpg", picture)[1])
