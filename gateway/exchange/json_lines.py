"""A recording as JSON lines: every input but ticks, and every alert. `zhiwang import` reads both again.

A message is `{"n", "time", "source", "topic", "qos", "retain", "payload"}`, `payload_base64` in its place where the
payload is no text, `event_time` where the transport stated one. Other inputs are `{"n", "time", "kind", …}` with their
own fields; detections have `boxes`: [{label, score, xyxy}], px. Alerts are as the gateway said them.
"""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING

import msgspec

from gateway.codecs.times import utc_stamp
from gateway.events import Detections, Message, Tick
from gateway.exchange.spans import Exported, Span, Watching, cuts, label_of
from gateway.whole import made_whole

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from typing import BinaryIO

    from gateway.events import Input
    from gateway.recording.parts import About
    from gateway.recording.reader import Recording

INPUTS, ALERTS = "inputs.jsonl", "alerts.jsonl"


def to_json_lines(recording: Recording, output: Path, span: Span, watching: Watching) -> Exported:
    """Write inputs and alerts: into a folder, or, where the name ends in .jsonl, the inputs there and alerts beside.

    Each file appears under its name when it is whole.
    """
    single = output.suffix == ".jsonl"
    inputs = output if single else output / INPUTS
    alerts = output.with_name(f"{output.stem}.{ALERTS}") if single else output / ALERTS
    inputs.parent.mkdir(parents=True, exist_ok=True)
    encode, rows = msgspec.json.Encoder().encode, {inputs.name: 0, alerts.name: 0}
    with _whole(inputs) as file:
        for about, cut in cuts(recording, span, watching):
            for place, (one, at_ns) in enumerate(zip(cut.inputs, cut.admitted_ns.tolist(), strict=True)):
                if not isinstance(one, Tick):
                    file.write(encode({"n": cut.n0 + place, "time": utc_stamp(at_ns), **_fields(one, about)}) + b"\n")
                    rows[inputs.name] += 1
    with _whole(alerts) as file:
        for body in recording.alerts(*span):
            file.write(body + b"\n")
            rows[alerts.name] += 1
    return Exported(rows, interrupted=watching.stop())


def _fields(one: Input, about: About) -> dict[str, object]:
    if isinstance(one, Message):
        return _message(one)
    if isinstance(one, Detections):
        return _detections(one, about)
    return {"kind": type(one).__name__.lower(), **msgspec.structs.asdict(one)}


def _message(one: Message) -> dict[str, object]:
    told: dict[str, object] = {"source": one.source, "topic": one.topic, "qos": one.qos, "retain": one.retain}
    if one.event_ns is not None:
        told["event_time"] = utc_stamp(one.event_ns)
    try:
        told["payload"] = one.body.decode()
    except UnicodeDecodeError:
        told["payload_base64"] = base64.b64encode(one.body).decode()
    return told


def _detections(one: Detections, about: About) -> dict[str, object]:
    labels = next((note.labels for note in about.models if note.camera == one.camera), ())
    boxes = [
        {"label": label_of(labels, label), "score": round(score, 4), "xyxy": [round(side, 2) for side in xyxy]}
        for label, score, xyxy in zip(one.label.tolist(), one.score.tolist(), one.xyxy.tolist(), strict=True)
    ]
    told = {"kind": "detections", "camera": one.camera, "frame": one.frame, "event_time": utc_stamp(one.event_ns)}
    return {**told, "width": one.width_px, "height": one.height_px, "boxes": boxes}


@contextlib.contextmanager
def _whole(path: Path) -> Generator[BinaryIO]:
    with made_whole(path) as part, part.open("wb") as file:
        yield file
