"""The settings of the box itself: what it stores, serves, records and looks with."""

from __future__ import annotations

from typing import Literal

from gateway.config.common import Secret, Struct
from gateway.config.scalars import NS, Duration, Size

EngineName = Literal["auto", "onnxruntime", "openvino", "cuda", "tensorrt"]


class VisionConfig(Struct, frozen=True):
    """What looks at the pictures of all cameras.

    engine: what runs the model; `auto` is onnxruntime on the CPU, and so is what another one falls back to. precision:
    `auto` is bf16 for openvino where the CPU has it, else f32. engines: how many threads look, each at its own
    pictures; default: half of the cores. batch: how many pictures of different cameras at most go through the model
    together.
    """

    engine: EngineName = "auto"
    precision: Literal["auto", "f32", "bf16"] = "auto"
    engines: int | None = None
    batch: int = 1


class Http(Struct, frozen=True):
    """Metrics, health and the page. Beyond loopback a token is needed."""

    listen: str = "127.0.0.1:8080"
    token: Secret | None = None
    page: bool = True


class Commands(Struct, frozen=True):
    """Who may command over MQTT: names as the broker's ACL lets them; the page and the local socket may."""

    mqtt: tuple[str, ...] = ()
    shelve_at_most: Duration = Duration(8 * 3600 * NS)


class Outbox(Struct, frozen=True):
    """The durable store. `budget` and `age` bound the series that wait: over either the oldest go."""

    linger: Duration = Duration(NS)
    transaction: Size = Size(256_000)
    budget: Size = Size(4_000_000_000)  # 5 readings/s for half a year, 5,000 for four hours; fits a 16 GB flash
    ballast: Size = Size(32_000_000)  # held back for the day when the disk is full: 16 MB and up recovers
    age: Duration = Duration(30 * 86_400 * NS)  # what `request` can ask for again; servers' retention is often shorter


class HistoryConfig(Struct, frozen=True):
    """The embedded history: alerts always, series where the page is on."""

    alerts: Duration = Duration(400 * 86_400 * NS)
    series: Duration = Duration(7 * 86_400 * NS)
    size: Size = Size(1_000_000_000)


class Recording(Struct, frozen=True):
    """The ring of what came through the door, in `<state>/recording/`.

    `budget`: bytes in all, the oldest files go; `file`: one is full at this size. `video`: the cameras' own packets,
    always, or from `around` before to `around` after an alert that a camera's picture belongs to.
    """

    budget: Size = Size(2_000_000_000)
    file: Size = Size(128_000_000)
    video: Literal["off", "alerts", "always"] = "off"
    around: Duration = Duration(10 * NS)


class EvidenceConfig(Struct, frozen=True):
    """Pictures and clips of what alerts are about, in `<state>/evidence/` (SEMANTICS.md §11).

    budget: bytes in all; the oldest go, never an open alert's or a pinned one's. clip: how long before and after;
    privacy: clips with everybody blurred, sealed as they came for the holder of `key`'s private half, or as they came
    (`none`). key: a public key as `zhiwang evidence key` makes it.
    """

    budget: Size = Size(8_000_000_000)
    clip: Duration | Literal["off"] = Duration(10 * NS)
    privacy: Literal["blur", "sealed", "none"] = "blur"
    key: str | None = None


class Logging(Struct, frozen=True):
    """How the log is written, to stderr."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"
