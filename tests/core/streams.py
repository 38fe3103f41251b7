"""Any stream: repeated series, equal times, late, duplicate, adrift and retained readings, gaps, ticks and health."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gateway.events import ClockStep, Configured, Detections, Health, Input, Looked, Message, Restart, Tick
from tests.core.build import LABELS, T0, S, Stamped, body_of, config_of
from tests.core.reference.alerts import Line
from tests.core.reference.gateway import GatewayReference, Sent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import AlertRow

T = TypeVar("T")
MS = 10**6
ADMITTED = (0, 0, MS, S, S, 4 * S, 10 * S, 10 * S, 25 * S, 40 * S)  # steps of time from one input to the next
CLAIMS = (0, 0, 0, 0, -S, -3 * S, -10 * S, -31 * S, 4 * S, 5 * S, 6 * S, -3600 * S, -3601 * S)
YEAR_2100, YEAR_1970 = 4_102_444_800 * S, 5 * S


def searching(examples: int) -> settings:
    """How long hypothesis looks: the same examples each time; with ZHIWANG_SEARCH=20 others, twenty times as many."""
    more = int(os.environ.get("ZHIWANG_SEARCH", "0"))
    return settings(
        max_examples=examples * max(1, more),
        derandomize=not more,
        deadline=None,
        database=None,
        phases=[phase for phase in Phase if phase is not Phase.explain],
        suppress_health_check=list(HealthCheck),
    )


class Device(NamedTuple):
    """What may come from one family: tags to choose from, and numbers to choose from for each value."""

    tags: tuple[tuple[tuple[str, str], ...], ...]
    values: dict[str, tuple[float, ...]]


class Case(NamedTuple):
    """A configuration and what its devices send."""

    text: str
    devices: dict[str, Device]


class Step(NamedTuple):
    """One input, in words and as it enters."""

    words: Sent | Input
    stamped: Stamped


def message_of(sent: Sent) -> Message:
    """Its JSON, on the topic of its tags."""
    payload: dict[str, object] = dict(sent.values)
    if sent.claimed_ns is not None:
        payload["ts"] = datetime.fromtimestamp(sent.claimed_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    topic = "/".join((sent.sensor, *(value for _, value in sent.tags)))
    return Message("here", topic, msgspec.json.encode(payload), retain=sent.retain)


class Dice:
    """Choices out of hypothesis' bytes: one draw a stream, so that thousands of inputs cost little to make.

    A byte 0 chooses the first option, so what shrinks becomes plain.
    """

    def __init__(self, faces: bytes) -> None:
        self._faces = faces
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._faces)

    def pick(self, options: Sequence[T]) -> T:
        """One of them."""
        face = self._faces[self._at] if self else 0
        self._at += 1
        return options[face % len(options)]


def streams(case: Case, longest: int = 60) -> st.SearchStrategy[list[Step]]:
    """Steps of a case, beginning as every gateway does."""
    return st.binary(min_size=longest, max_size=6 * longest).map(lambda faces: stream_from(case, faces))


KINDS = ("nothing", "tick", *("reading",) * 8, "again", "tick", "tick", "health")


def stream_from(case: Case, faces: bytes) -> list[Step]:
    """The stream that these bytes choose."""
    steps, dice = list[Step](), Dice(faces)
    now = T0

    def add(words: Sent | Input) -> None:
        item = message_of(words) if isinstance(words, Sent) else words
        steps.append(Step(words, Stamped(item, now, now - T0)))

    for first in (Restart("", "b3f1", 1), Configured("sha", "")):
        add(first)
    if dice.pick((True, False)):
        add(Health("source/here", "connected", ok=True))
    sent: list[Sent] = []
    while dice:
        what = dice.pick(KINDS)
        now += dice.pick(ADMITTED)
        if what == "tick":
            add(Tick())
        elif what == "health":
            component = dice.pick(("source/here", "source/here", "sink/influx", "disk/outbox"))
            add(Health(component, "connected", ok=dice.pick((True, False)), detail=dice.pick(("", "gone", "refused"))))
        elif what == "again" and sent:
            add(dice.pick(sent[-4:]))
        elif what == "reading":
            words = _reading(case, now, dice)
            sent.append(words)
            add(words)
    return steps


def _reading(case: Case, now: int, dice: Dice) -> Sent:
    sensor = dice.pick(sorted(case.devices))
    device = case.devices[sensor]
    tags = dice.pick(device.tags)
    values = {name: dice.pick(numbers) for name, numbers in device.values.items()}
    if len(values) > 1 and (left_out := dice.pick((None, None, None, *values))):
        del values[left_out]
    claim = dice.pick((*CLAIMS, *CLAIMS, None, YEAR_1970, YEAR_2100))
    if claim not in (None, YEAR_1970, YEAR_2100):
        claim += now
    return Sent(sensor, tags, values, claim, retain=dice.pick((False,) * 9 + (True,)))


def jiggle() -> st.SearchStrategy[list[int]]:
    """Sizes of cuts."""
    return st.lists(st.integers(1, 9), min_size=1, max_size=5)


# ── cameras ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PLACES = (
    (0.5, 0.8),
    (0.3, 0.6),
    (0.9, 0.9),
    (0.5, 0.3),
    (0.1, 0.1),
)  # of feet, as fractions; the zone is y ≥ 0.5, x ≤ 0.7
LOOKS = ("nothing", *("look",) * 8, "twice", "tick", "still", "blind", "overloaded", "early")


def looks(camera: str = "crossing", longest: int = 60) -> st.SearchStrategy[list[Step]]:
    """A camera's looks and what time it covered; sometimes blind, sometimes telling a thing twice."""
    return st.binary(min_size=longest, max_size=8 * longest).map(lambda faces: looks_from(camera, faces))


def looks_from(camera: str, faces: bytes) -> list[Step]:
    """The looks that these bytes choose."""
    steps, dice = list[Step](), Dice(faces)
    now, settled, frame = T0 + S, T0 + S, 0

    def add(words: Input, at_ns: int) -> None:
        steps.append(Step(words, Stamped(words, at_ns, at_ns - T0)))

    for first in (Restart("", "b3f1", 1), Configured("sha", "")):
        add(first, T0)
    while dice:
        what = dice.pick(LOOKS)
        now += dice.pick((200 * MS, 200 * MS, S, S, 3 * S))
        if what == "tick":
            add(Tick(), now)
        elif what in ("still", "blind", "overloaded"):
            add(Looked(camera, settled, now, what), now)  # type: ignore[arg-type]  a Why
            settled = now
        elif what == "twice":
            add(steps[-1].stamped.item, now)
        elif what in ("look", "early"):
            frame += 1
            taken = (
                now - S if what == "early" else now
            )  # what an engine was slow to see comes after later time was told
            found = [_box(dice) for _ in range(dice.pick((0, 1, 1, 2, 3, 4)))]
            pair = [detections_of(camera, frame, taken, found), Looked(camera, settled, taken, "analysed")]
            for item in reversed(pair) if what == "early" and dice.pick((True, False)) else pair:
                add(item, now)
            settled = max(settled, taken)
    return steps


def walks(camera: str = "crossing", longest: int = 90) -> st.SearchStrategy[list[Step]]:
    """People and cars that walk, stand, sway, are hidden and come back; the camera is blind at times."""
    return st.binary(min_size=longest, max_size=10 * longest).map(lambda faces: walks_from(camera, faces))


WALK = ("nothing", *("look",) * 18, "twice", "tick", "still", "blind", "early", "shrunk")
STEPS = ((0.0, 0.0), (0.02, 0.0), (-0.02, 0.0), (0.0, 0.02), (0.0, -0.02), (0.04, 0.01), (-0.03, -0.02), (0.004, 0.0))


def walks_from(camera: str, faces: bytes) -> list[Step]:
    """The walks that these bytes choose."""
    steps, dice = list[Step](), Dice(faces)
    now, settled, frame = T0 + S, T0 + S, 0
    scores = ((0.9, 0.9, 0.8, 0.5, 0.2), (0.5, 0.45, 0.5, 0.3), (0.9, 0.9, 0.8, 0.5, 0.2))
    there = [[dice.pick((0.2, 0.45, 0.8)), dice.pick((0.55, 0.9, 0.3)), dice.pick(STEPS), 0] for _ in range(3)]

    def add(words: Input, at_ns: int) -> None:
        steps.append(Step(words, Stamped(words, at_ns, at_ns - T0)))

    for first in (Restart("", "b3f1", 1), Configured("sha", "")):
        add(first, T0)
    while dice:
        what = dice.pick(WALK)
        passed = dice.pick((200 * MS, 200 * MS, 200 * MS, 100 * MS, 500 * MS, S))
        now += passed
        if what == "tick":
            add(Tick(), now)
        elif what in ("still", "blind"):
            now += dice.pick((0, S, 3 * S, 12 * S))
            add(Looked(camera, settled, now, what), now)  # type: ignore[arg-type]  a Why
            settled = now
        elif what == "twice":
            add(steps[-1].stamped.item, now)
        else:
            frame += 1
            taken = now - S if what == "early" else now
            found: list[tuple[float, float, float, int]] = []
            for place, one in enumerate(there):
                if dice.pick((False,) * 11 + (True,)):
                    one[2] = dice.pick(STEPS)
                if dice.pick((False,) * 15 + (True,)):
                    one[3] = dice.pick((2, 8, 30))  # hidden for so many looks
                one[3] = max(0, one[3] - 1)
                one[0] = min(1.0, max(0.0, one[0] + one[2][0] * passed / 2e8))
                one[1] = min(1.0, max(0.0, one[1] + one[2][1] * passed / 2e8))
                if not one[3]:
                    sway = dice.pick((0.0, 0.0, 0.004, -0.006))
                    found.append((one[0] + sway, one[1], dice.pick(scores[place]), int(place == 2)))
            seen = detections_of(camera, frame, taken, found)
            if what == "shrunk" and found:  # something stands before their feet
                seen.xyxy[:, 3] -= 30
            pair = [seen, Looked(camera, settled, taken, "analysed")]
            for item in reversed(pair) if what == "early" and dice.pick((True, False)) else pair:
                add(item, now)
            settled = max(settled, taken)
    return steps


def _box(dice: Dice) -> tuple[float, float, float, int]:
    """(x and y of the feet, score, label)."""
    x, y = dice.pick(PLACES)
    score = dice.pick((0.9, 0.5, 0.4, 0.39, 0.2))
    return x + dice.pick((0.0, 0.001, 0.02)), y, score, dice.pick((0, 0, 0, 1))


def detections_of(camera: str, frame: int, at_ns: int, found: list[tuple[float, float, float, int]]) -> Detections:
    """A frame of 640 × 480 with boxes of 40 × 80 pixels on these feet."""
    xyxy = np.array([(x * 640 - 20, y * 480 - 80, x * 640 + 20, y * 480) for x, y, _, _ in found], np.float32)
    score = np.array([score for _, _, score, _ in found], np.float32)
    label = np.array([label for _, _, _, label in found], np.int16)
    return Detections(camera, frame, at_ns, 640, 480, xyxy.reshape(-1, 4), score, label)


# ── what should be and what came ─────────────────────────────────────────────────────────────────────────────────────


def expected(text: str, steps: list[Step]) -> list[Line]:
    """The rows by the reference."""
    reference = GatewayReference(config_of(text), LABELS)
    for n, step in enumerate(steps, 1):
        assert not isinstance(step.words, ClockStep)
        reference.take(n, step.words, step.stamped.admitted_ns, step.stamped.elapsed_ns)
    return [rounded(line) for line in reference.lines]


def came(rows: list[AlertRow]) -> list[Line]:
    """The core's rows in the same words."""
    out: list[Line] = []
    for row in rows:
        body = body_of(row)
        started = round(datetime.fromisoformat(str(body["started"])).timestamp() * 1000) * MS
        out.append(
            Line(
                row.seq,
                row.rule,
                row.subject,
                row.change,
                str(body["severity"]),
                row.severities,
                started,
                row.changed_ns,
                body["value"],  # type: ignore[arg-type]  a number or None
                body["limit"],  # type: ignore[arg-type]  as above
                str(body["detail"] or ""),
            )
        )
    return out


def rounded(line: Line) -> Line:
    """As an alert's body shows it: times to the millisecond, numbers to six decimals."""
    return line._replace(
        started_ns=line.started_ns // MS * MS,
        value=None if line.value is None or math.isinf(line.value) else round(line.value, 6),
        limit=None if line.limit is None else round(line.limit, 6),
    )
