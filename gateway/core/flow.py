"""How fast things went through each zone and how many stood in it, minute by minute: `zhiwang_flow`.

A visitor's speed is the mean of its known speeds while it was in the zone that minute; it counts in the minute and for
the label it had. Of the minute's visitors, n of them with a speed:

    measured = n                            speed = their mean, km/h
    speed_p85 = the ⌈0.85 n⌉-th from below  speed_off = √(Σ of their squared standard deviations) ÷ n, of the mean
    queue = ∫ standing visitors dt ÷ watched time        queue_most = the most that stood at once

A visitor stands where its speed is known and below STANDING, or below two standard deviations of itself (what jitters
does not move) and below a walk; without a ground, below a tenth of its height a second. `uncertainty` is the share of
presence in the zone of which it was not known whether it stood. `coverage`: the share of the minute that was watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.core.lines import number, point, prefix
from gateway.core.minutes import MINUTE_NS, SETTLE_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.looks import Look
    from gateway.core.moves import Motion
    from gateway.core.plan import CameraPlan
    from gateway.core.state import State
    from gateway.events import Why

STANDING = 5.0 / 3.6
"""m/s. Slower than a walk is a queue."""
CREEPING = 0.1
"""Of a height a second, where there is no ground."""
KMH = 3.6
MOST_LOOK_NS = 5 * 10**9
"""Who was there at a look is there until the next one, at most so long."""


class Passage(msgspec.Struct, frozen=True, array_like=True):
    """One visitor in one zone in one minute: known speeds and their variances, whole mm/s and (mm/s)², added up."""

    thing: int
    speeds: int
    looks: int
    squares: int


class Stand(msgspec.Struct, frozen=True, array_like=True):
    """One zone's minute of one label: visitors × time; standing, present, and not known which; how many stood now."""

    stood_ns: int = 0
    present_ns: int = 0
    unknown_ns: int = 0
    most: int = 0
    standing: int = 0
    here: int = 0
    unsure: int = 0


class Flow:
    """One camera's minutes, in books below `flow/<camera>`; keys are `minute zone label …`."""

    def __init__(self, camera: CameraPlan, state: State) -> None:
        self._camera, self._labels, self._zones = camera.name, camera.labels, [*camera.camera.zones]
        self._wanted = {name: zone.labels for name in self._zones if (zone := camera.camera.zone(name))}
        self._passages = state.book(f"flow/{camera.name}", Passage)
        self._stands = state.book(f"flow/{camera.name}/stood", Stand)
        columns = {"watched": (np.int64, -1), "at": (np.int64, -1)}
        self._last = state.table(f"flow/{camera.name}/last", columns)
        self._watched = state.table(f"flow/{camera.name}/watched", {"minute": (np.int64, -1), "ns": (np.int64, 0)})
        self._last.grow(1)
        self._watched.grow(8)

    def looked(self, begin: int, end: int, why: Why) -> None:
        """Time that was covered."""
        while begin < end and why in {"analysed", "still"}:
            minute = begin // MINUTE_NS
            until, row = min(end, (minute + 1) * MINUTE_NS), self._watched.rows[minute % 8]
            if row["minute"] != minute:
                row["minute"], row["ns"] = minute, 0
            row["ns"] += until - begin
            self._watched.touch_one(minute % 8)
            begin = until

    def take(self, look: Look) -> None:
        """A look."""
        tracks, moves, minute = look.tracks, look.moves, look.seen.event_ns // MINUTE_NS
        assert tracks is not None  # noqa: S101 - the look of a camera that tracks
        assert moves is not None  # noqa: S101 - as above
        self._go_on(look.watched_ns)
        still = standing(moves)
        for name in self._zones:
            visits = look.zones.get(name)
            if visits is None:
                continue
            tally: dict[str, list[int]] = {}
            for row in np.flatnonzero(visits.here).tolist():
                label = self._labels[int(tracks.label[row])]
                if self._wanted[name] and label not in self._wanted[name]:
                    continue
                one = tally.setdefault(label, [0, 0, 0])
                one[0] += 1
                one[1] += bool(still[row])
                one[2] += not moves.known[row]
                if moves.known[row] and moves.metres:
                    self._measured(f"{minute} {name} {label}", int(tracks.thing[row]), moves, row)
            for label, (here, stood, unsure) in tally.items():
                key = f"{minute} {name} {label}"
                was = self._stands.get(key) or Stand()
                most = max(was.most, stood)
                self._stands.put(key, msgspec.structs.replace(was, most=most, standing=stood, here=here, unsure=unsure))
        last = self._last.rows[0]
        last["watched"], last["at"] = look.watched_ns, minute
        self._last.touch_one(0)

    def _measured(self, key: str, thing: int, moves: Motion, row: int) -> None:
        """A visitor's speed as of a look."""
        key = f"{key} {thing}"
        was = self._passages.get(key) or Passage(thing, 0, 0, 0)
        speed, off = round(float(moves.speed[row]) * 1000), round(float(moves.speed_off[row]) * 1000)
        self._passages.put(key, Passage(thing, was.speeds + speed, was.looks + 1, was.squares + off * off))

    def _go_on(self, watched_ns: int) -> None:
        """Who was there with the look before was so for the time watched since; that belongs to its minute."""
        last = self._last.rows[0]
        passed = watched_ns - int(last["watched"]) if last["watched"] >= 0 else 0
        passed = min(passed, MOST_LOOK_NS)
        for key, was in self._stands.items():
            if not (was.here or was.standing):
                continue
            stood, present = was.stood_ns + was.standing * passed, was.present_ns + was.here * passed
            unknown = was.unknown_ns + was.unsure * passed
            self._stands.put(key, Stand(stood, present, unknown, was.most))

    def tick(self, admitted_ns: int) -> list[str]:
        """The points of the minutes that are over."""
        over, out = (admitted_ns - SETTLE_NS) // MINUTE_NS, list[str]()
        for key, stood in self._stands.items():
            minute, zone, label = key.split(" ", 2)
            if int(minute) >= over:
                continue
            row = self._watched.rows[int(minute) % 8]
            watched = int(row["ns"]) if row["minute"] == int(minute) else 0
            passages = [(k, one) for k, one in self._passages.items() if k.startswith(f"{key} ")]
            fields = _fields(stood, [one for _, one in passages], watched)
            head = prefix("zhiwang_flow", {"camera": self._camera, "zone": zone, "label": label})
            out.append(point(head, fields, int(minute) * MINUTE_NS))
            self._stands.drop(key)
            for passage, _ in passages:
                self._passages.drop(passage)
        return out


def standing(moves: Motion) -> NDArray[np.bool_]:
    """Which tracks stand, bool[k]."""
    slow = STANDING if moves.metres else CREEPING * moves.height
    return moves.known & ((moves.speed < slow) | ((moves.speed < 2.0 * moves.speed_off) & (moves.speed < 2.0 * slow)))


def _fields(stood: Stand, passages: list[Passage], watched_ns: int) -> dict[str, str]:
    """One point's fields; those of nothing measured are left out."""
    speeds = sorted(one.speeds / one.looks for one in passages)
    out = {"measured": f"{len(speeds)}i", "queue_most": f"{stood.most}i"}
    if speeds:
        total = squares = 0.0
        for one in passages:
            total, squares = total + one.speeds / one.looks, squares + one.squares / one.looks
        out["speed"] = number(round(total / len(speeds) / 1000 * KMH, 2))
        out["speed_p85"] = number(round(speeds[-(-17 * len(speeds) // 20) - 1] / 1000 * KMH, 2))
        out["speed_off"] = number(round(float(np.sqrt(squares)) / len(speeds) / 1000 * KMH, 2))
    if watched_ns:
        out["queue"] = number(round(stood.stood_ns / watched_ns, 4))
    out["coverage"] = number(round(watched_ns / MINUTE_NS, 4))
    if stood.present_ns:
        out["uncertainty"] = number(round(stood.unknown_ns / stood.present_ns, 4))
    return out
