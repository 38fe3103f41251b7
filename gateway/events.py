"""The vocabulary: what enters through the door and what leaves through the outbox. Nothing else lives here.

Time is int nanoseconds UTC (`_ns`); pixels carry `_px`; positions are WGS-84 (lon, lat). Everything is frozen.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Why = Literal["analysed", "still", "overloaded", "blind"]
Severity = Literal["minor", "moderate", "severe", "extreme"]
Colour = Literal["blue", "yellow", "orange", "red"]
Stream = Literal["series", "alerts", "requests"]
Verb = Literal["acknowledge", "shelve", "unshelve", "right", "wrong", "unmark"]

COLOUR_OF: dict[str, str] = {"minor": "blue", "moderate": "yellow", "severe": "orange", "extreme": "red"}
SEVERITY_OF: dict[str, str] = {colour: severity for severity, colour in COLOUR_OF.items()}
SEVERITIES: tuple[str, ...] = tuple(COLOUR_OF)


# ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="message"):
    """One payload as it came. `event_ns` only where the transport itself states a time; `source` is the broker's name.

    `packet_id` is the MQTT packet identifier of a QoS 1 message, by which the door knows a redelivered one; 0: none.
    """

    source: str
    topic: str
    body: bytes
    qos: int = 1
    retain: bool = False
    duplicate: bool = False
    event_ns: int | None = None
    properties: tuple[tuple[str, str], ...] = ()
    packet_id: int = 0


class Detections(msgspec.Struct, frozen=True, tag="detections"):
    """What the engine found in one frame, at the low floor (score ≥ 0.1, ≤ 300 boxes); limits are the rules'.

    Arrays are read-only: xyxy float32[n, 4] px of the decoded picture, score float32[n], label int16[n] (index into the
    model's labels). `frame` is the camera's capture number; `event_ns` the capture time.
    """

    camera: str
    frame: int
    event_ns: int
    width_px: int
    height_px: int
    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]


class Looked(msgspec.Struct, frozen=True, array_like=True, tag="looked"):
    """What time a camera really covered: [from_ns, to_ns) of capture time, and how."""

    camera: str
    from_ns: int
    to_ns: int
    why: Why


class Health(msgspec.Struct, frozen=True, array_like=True, tag="health"):
    """What a component says about itself.

    `component` is `<kind>/<name>` (source/here, camera/river, sink/influx, disk/outbox, clock/wall, recorder/ring,
    rule/flood); `condition` names what it is about (connected, frozen, login, truncated, …); `ok` whether it is well.
    """

    component: str
    condition: str
    ok: bool
    detail: str = ""


class Evidence(msgspec.Struct, frozen=True, array_like=True, tag="evidence"):
    """A picture or clip made for an alert: its media type, hash, file below `<state>`, when it was taken (0: unsure).

    Its bytes are durable before it comes through the door (docs/adr/0015-evidence.md).
    """

    alert: str
    kind: str
    sha256: str
    uri: str
    taken_ns: int = 0


class Command(msgspec.Struct, frozen=True, array_like=True, tag="command"):
    """What a person asks of an alert.

    A repeated `id` gets its first reply; an `if_seq` older than the alert's gets `conflict`. `right`, `wrong` and
    `unmark` (take that back) are also for alerts that have closed.
    """

    id: str
    target: str
    verb: Verb
    who: str
    note: str = ""
    if_seq: int | None = None
    until_ns: int | None = None
    reply_to: str = ""


class Tick(msgspec.Struct, frozen=True, array_like=True, tag="tick"):
    """A second has passed; its times are the door's stamps."""


class ClockStep(msgspec.Struct, frozen=True, array_like=True, tag="clock_step"):
    """The wall clock was moved by more than 1 s against the monotonic one."""

    before_ns: int
    after_ns: int


class Configured(msgspec.Struct, frozen=True, array_like=True, tag="configured"):
    """The configuration that holds from here on, before secrets are resolved."""

    config_sha: str
    text: str


class Restart(msgspec.Struct, frozen=True, array_like=True, tag="restart"):
    """The process begins (again) from a checkpoint."""

    checkpoint: str
    epoch: str
    next_seq: int


Input = Message | Detections | Looked | Health | Evidence | Command | Tick | ClockStep | Configured | Restart
BARRIERS = (Tick, Command, Configured, Health, ClockStep, Restart, Evidence)
"""Inputs that are stepped alone, between the columns before and after them."""


# ── through the door ──────────────────────────────────────────────────────────────────────────────────────────────────


class Cut(msgspec.Struct, frozen=True):
    """Inputs admitted together: the first has number `n0`, the next n0 + 1, …; stamps are int64[len(inputs)]."""

    n0: int
    inputs: list[Input]
    admitted_ns: NDArray[np.int64]
    elapsed_ns: NDArray[np.int64]


class AlertRow(msgspec.Struct, frozen=True, array_like=True):
    """One change of one alert, as the core made it: without `status`, publishing time and `prev`, which sinks add.

    `body` is the JSON object of DESIGN.md. `severities` are the severity topics this change goes to; `open` is False on
    the change that closes the alert; `shadow` alerts go to the history only.
    """

    seq: int
    id: str
    rule: str
    subject: str
    class_: Literal["city", "equipment"]
    severities: tuple[str, ...]
    change: str
    state: str
    open: bool
    shadow: bool
    changed_ns: int
    body: bytes


class RequestRow(msgspec.Struct, frozen=True, array_like=True):
    """What the core asks of the world: `kind` reply | look | rebirth | evidence | track | write; `target` owns it."""

    id: str
    kind: str
    target: str
    expires_ns: int
    body: bytes


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """What could not be used, kept whole with its reason. `where` is a route's or a sink's name."""

    at_ns: int
    where: str
    topic: str
    reason: str
    body: bytes


class Stepped(msgspec.Struct, frozen=True):
    """What one cut came to. `series` is line protocol (ns), one line a point, each ending in a newline."""

    series: bytes
    points: int
    alerts: list[AlertRow]
    requests: list[RequestRow]
    dead: list[DeadLetter]
    delta: bytes
