"""The channels that every recording has, by their fixed ids: a chunk is understood without the ones before it."""

from __future__ import annotations

from gateway.recording.beside import Beside
from gateway.recording.columns import ENCODING

INPUTS, CHECKPOINT, GAP, ALERTS, FIRST_BESIDE = 1, 2, 3, 4, 16
ANY_OBJECT = b'{"type":"object"}'

OWN: dict[int, Beside] = {
    INPUTS: Beside("/zhiwang/inputs", message_encoding=ENCODING),
    CHECKPOINT: Beside("/zhiwang/checkpoint", message_encoding="msgpack"),
    GAP: Beside("/zhiwang/gap", message_encoding="msgpack"),
    ALERTS: Beside("/alerts", "zhiwang.Alert", "jsonschema", ANY_OBJECT),
}
