"""The Protocols between the parts. A new input, payload format, rule, engine or sink fulfils one of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gateway.events import Command, Cut, Input, Stepped, Stream

NO_TIME = -(2**63)
"""Stands in an int64 time column where a payload states no time."""


class Clock(Protocol):
    """Time and chance."""

    def now_ns(self) -> int: ...
    def monotonic_ns(self) -> int: ...
    def cpu_ns(self) -> int: ...
    async def sleep(self, seconds: float) -> None: ...
    def uniform(self, low: float, high: float) -> float: ...
    def token_hex(self, n_bytes: int) -> str: ...


Commit = Callable[[Sequence["Input"]], Awaitable[None]]
"""The door: returns when the batch is durable. Sources acknowledge after it returned, in the order received."""


class Source(Protocol):
    """Something that hands inputs to the door until it is cancelled."""

    @property
    def name(self) -> str: ...
    async def run(self, commit: Commit) -> None: ...


class Field(msgspec.Struct, frozen=True):
    """One value that a route takes out of a payload. `valid` is inclusive, in `unit`; `kind` is what is stored."""

    name: str
    path: str
    kind: str = "float"  # float | int | bool | str
    unit: str = ""
    valid: tuple[float, float] | None = None


class Bad(NamedTuple):
    """What was wrong with one payload, by its place in the batch."""

    message: int
    reason: str


class Numbered(NamedTuple):
    """Devices' own numbers: message int32[k] is the payload's place in the batch, never decreasing; number int64[k]."""

    message: NDArray[np.int32]
    number: NDArray[np.int64]


class Decoded(NamedTuple):
    """Rows from a batch of payloads: one row is one time with a value for each field that was there.

    message int32[r] is the payload's place in the batch, never decreasing; event_ns int64[r], NO_TIME where it states
    none; columns[f] holds field f: float64[r] (NaN: absent) for kinds float, int and bool, else list[str | None].
    A row with a bad field keeps its good ones; its payload is then also in `bad`. `numbered`: the numbers that devices
    gave what they sent, also where nothing else could be used; None where the route names no counter.
    """

    message: NDArray[np.int32]
    event_ns: NDArray[np.int64]
    columns: Sequence[NDArray[np.float64] | list[str | None]]
    bad: list[Bad]
    numbered: Numbered | None = None


class Decoder(Protocol):
    """Payloads of one route to rows. `fields` are the route's, in the order of `Decoded.columns`.

    Never raises for a bad payload: it says so in `bad`.
    """

    fields: tuple[Field, ...]
    pure: bool

    def decode(self, bodies: Sequence[bytes]) -> Decoded: ...


class Core(Protocol):
    """The pure part, as the door sees it."""

    def step(self, cut: Cut) -> Stepped: ...
    def snapshot(self) -> bytes: ...
    def restore(self, snapshot: bytes | None, deltas: Sequence[bytes]) -> None: ...


class Row(NamedTuple):
    """One row of a stream in the outbox.

    `position` grows by one a row; `key` is an alert's id and seq, else empty; `count` is how many points it holds.
    `backfill`: series from before an outage that come after newer ones; mark them beside the data, never in tags.
    """

    position: int
    at_ns: int
    key: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - a row is read by its names, never searched as a tuple
    body: bytes
    backfill: bool = False


class Rejected(NamedTuple):
    """A part of a row that the server will never take: goes to the dead letters with the server's words."""

    row: Row
    body: bytes
    reason: str


class Sink(Protocol):
    """Where a stream goes.

    `deliver` returns what was refused for good, raises TransientError to be called again with the same rows,
    LoginRefused to be called again rarely; anything delivered twice must be harmless.
    """

    @property
    def name(self) -> str: ...
    @property
    def stream(self) -> Stream: ...
    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]: ...
    async def aclose(self) -> None: ...


class Engine(Protocol):
    """A detector session. Batches are written in place, by slot, into `batch` (uint8[slots, h, w, 3] RGB)."""

    batch: NDArray[np.uint8]

    def infer(self, n: int) -> Sequence[NDArray[np.generic]]:
        """The raw outputs for the first `n` slots."""
        ...


class Component(msgspec.Struct, frozen=True):
    """What a part last said of itself: `name` as in Health (source/here, camera/river, sink/influx, disk/outbox).

    `detail` is short enough for the page's strip (`5.0/s`, `12 devices`). `title`: words for people by language.
    """

    name: str
    ok: bool
    condition: str
    detail: str
    since_ns: int
    title: dict[str, str] = {}


class Picture(NamedTuple):
    """A camera's last analysed picture.

    JPEG bytes; boxes as fractions of the picture float32[n, 4] (x1, y1, x2, y2); zones as (name, polygon) and lines as
    (name, points) in the same.
    """

    jpeg: bytes
    event_ns: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: list[str]
    zones: Sequence[tuple[str, Sequence[tuple[float, float]]]] = ()
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]] = ()


Shapes = dict[str, tuple[tuple[float, float], ...]]
"""Zones or lines by name: points as fractions of the picture."""


class Drawing(NamedTuple):
    """A camera's zones and lines."""

    zones: Shapes
    lines: Shapes


class Refused(NamedTuple):
    """Why a drawing was not kept: `kind` is zones or lines and `name` the shape's, both empty where it is none's."""

    kind: str
    name: str
    problem: str


class Heat(NamedTuple):
    """Where things stood: looks in which one stood there int64[rows, columns], of `looks` in all, since `since_ns`."""

    cells: NDArray[np.int64]
    looks: int
    since_ns: int


class Counted(msgspec.Struct, frozen=True):
    """What a zone (`kind` zones) or line (lines) came to in some time, of one label.

    counts: entered, appeared, left of a zone; in, out of a line. unsure: how many of each may be wrong. mean, most:
    visitors of a zone at once. coverage: the share of that time that was watched, 0–1.
    """

    kind: str
    name: str
    label: str
    counts: dict[str, int]
    unsure: dict[str, int]
    mean: float
    most: int
    coverage: float


class Latest(msgspec.Struct, frozen=True):
    """A series' last value. `limits` are its rules' lines, by colour; `unit` and `title` may be empty."""

    subject: str
    unit: str
    event_ns: int
    value: float
    limits: dict[str, float]
    title: dict[str, str] = {}


class Judged(msgspec.Struct, frozen=True):
    """What people said of a rule's alerts: of those raised in this local month, and how often ever."""

    rule: str
    raised: int
    right: int
    wrong: int
    said_right: int
    said_wrong: int


class View(Protocol):
    """The running gateway, as page, `/metrics` and local socket see it. Alerts are the JSON objects of DESIGN."""

    def now_ns(self) -> int: ...
    def components(self) -> list[Component]: ...
    def status(self) -> dict[str, object]: ...
    def metrics(self) -> list[tuple[str, dict[str, str], float]]: ...
    def latest(self) -> list[Latest]: ...
    def judged(self) -> list[Judged]: ...
    def picture(self, camera: str) -> Picture | None: ...
    async def evidence(self, alert: str, sha256: str) -> bytes | None: ...
    def heat(self, camera: str) -> Heat | None: ...
    async def counted(self, camera: str, from_ns: int, to_ns: int) -> list[Counted]: ...
    async def drawing(self, camera: str) -> Drawing | None: ...
    async def redraw(self, camera: str, was: Drawing, now: Drawing) -> list[Refused]: ...
    async def open_alerts(self) -> list[dict[str, object]]: ...
    async def past_alerts(self, limit: int) -> list[dict[str, object]]: ...
    async def chart(self, subject: str, from_ns: int, to_ns: int, buckets: int) -> tuple[list[int], list[float]]: ...
    async def command(self, command: Command) -> dict[str, object]: ...
