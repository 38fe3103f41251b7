"""One camera's sight, judged from the frames that are decoded anyway: which conditions hold, and whether it is blind.

    frame ─▶ sample ─▶ by itself: black, over-exposed, flat ─┐
              4/s   ├▶ against its past (1/s): covered, …   ─┼▶ held for a while ─▶ changes to tell, blind or not
                    └▶ against the one before: repeated     ─┘

Pure but for the frame's own buffer: the same frames give the same judgements, at whatever speed they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.vision.exposure import exposure, gradient, sharpness
from gateway.vision.held import Held
from gateway.vision.luma import SMALL, Taken
from gateway.vision.repeats import REPEATED_NS, Repeats
from gateway.vision.scene import Scene, Seen, edge_map

if TYPE_CHECKING:
    from collections.abc import Collection

    import av

    from gateway.vision.exposure import Exposure
    from gateway.vision.luma import Sample

NS = 1_000_000_000
SIGHT = ("black", "overexposed", "covered", "blurred", "moved", "repeated")
"""The conditions, in the order in which the first that holds is the one to believe."""
_EVERY_NS = NS // 4  # nothing of this changes faster than a person would care
_SCENE_EVERY_NS = 9 * NS // 10  # what is compared with minutes costs twice as much, and needs it once a second
_KEY_EVERY_NS = 9 * NS // 10  # frames coded by themselves prove a repeat: none is missed where they come each second
_HOLD_S: dict[str, tuple[float, float]] = {  # before it is said; before it is taken back
    "black": (5, 5),
    "overexposed": (10, 5),  # a camera's exposure recovers from a lamp switched on within seconds
    "covered": (15, 5),  # a bus that stops before the camera stands about ten
    "blurred": (20, 5),  # a focus motor hunts for some seconds when night falls
    "moved": (10, 5),
    "strange": (30, 5),  # another scene altogether: as moved, with nothing to measure it by
    "repeated": (0, 3),  # Repeats has held it for 2.5 s
}


class Change(NamedTuple):
    """A condition that holds from now on, or no longer does."""

    condition: str
    ok: bool
    detail: str


class Verdict(NamedTuple):
    """What a frame came to: whether it shows nothing that can be relied on, and what is to be said of it."""

    blind: bool
    changes: tuple[Change, ...] = ()


class Sight:
    """The judgement over one camera's frames. `wanted`: which conditions are judged; any other never holds."""

    def __init__(self, wanted: Collection[str] = SIGHT) -> None:
        self._wanted = frozenset(wanted)
        self._held = {name: Held(*hold) for name, hold in _HOLD_S.items()}
        self._scene = Scene()
        self._repeats = Repeats()
        self._size = (0, 0)
        self._last_ns: int | None = None
        self._key_ns: int | None = None
        self._scene_ns: int | None = None
        self._compares = not self._wanted.isdisjoint({"covered", "blurred", "moved"})
        self._seen = Seen(None, None, None, None)
        self._verdict = Verdict(blind=False)

    def again(self) -> None:
        """A new connection; what the camera usually sees stays known."""
        self._repeats.again()

    def look(self, frame: av.VideoFrame, event_ns: int, taken: Taken | None = None) -> Verdict:
        """Judge a frame; between two samples the last verdict stands. `taken`: its sample, where others want it too."""
        due = self._last_ns is None or not 0 <= event_ns - self._last_ns < _EVERY_NS
        if frame.key_frame and (due or self._key_ns is None or event_ns - self._key_ns >= _KEY_EVERY_NS):
            due, self._key_ns = True, event_ns
        sampled = (taken or Taken(frame)).sample if due and self._wanted else None
        if sampled is None:
            return Verdict(self._verdict.blind)
        self._verdict = self._judge(sampled, event_ns)
        return self._verdict

    def _judge(self, taken: Sample, at_ns: int) -> Verdict:
        self._last_ns = at_ns
        slope = gradient(taken.small)
        alone = exposure(taken.small, slope)
        if taken.size != self._size:
            self._size = taken.size
            self._scene.resized()
        step_ns = None if self._scene_ns is None else at_ns - self._scene_ns
        compared = not alone.blind and self._compares and (step_ns is None or not 0 <= step_ns < _SCENE_EVERY_NS)
        if compared:
            self._scene_ns = at_ns
            self._seen = self._scene.see(edge_map(taken.small, slope), alone.mean, sharpness(taken), at_ns)
        seen = self._seen
        looks = self._looks(alone, repeated=self._repeats.update(taken, at_ns) is not None, compared=compared)
        moved = self._said("moved") or self._said("strange")
        changed = [name for name, bad in looks.items() if self._held[name].update(bad, at_ns)]
        # Two ways of having moved are one condition: it begins with the first and is over when both are.
        changes = tuple(
            Change(_name(name), not self._said(name), self._detail(name, alone, seen))
            for name in changed
            if not (moved and _name(name) == "moved" and (self._said("moved") or self._said("strange")))
        )
        if compared and not any(looks.values()) and not any(map(self._said, _HOLD_S)):
            self._scene.learn()
        return Verdict(self._blind(alone), changes)

    def _blind(self, alone: Exposure) -> bool:
        """Whether this very picture shows nothing, or the camera is said to see something else than it should."""
        shown = {"black": alone.black, "overexposed": alone.overexposed, "covered": alone.flat}
        if any(nothing and name in self._wanted for name, nothing in shown.items()):
            return True
        return any(self._said(name) for name in _HOLD_S if name not in {"black", "overexposed"})

    def _looks(self, alone: Exposure, *, repeated: bool, compared: bool) -> dict[str, bool | None]:
        """How each condition looks in this picture; None where it cannot be judged, or another one explains it.

        What was not judged now is not in it: of a picture that was not compared with the past, what needs that.
        """
        judged: dict[str, bool | None] = {
            "black": alone.black,
            "overexposed": alone.overexposed,
            "repeated": None if alone.blind else repeated,
        }
        if alone.blind:
            judged |= {"covered": alone.flat or None, "blurred": None, "moved": None, "strange": None}
        elif compared:
            seen = self._seen
            covered = seen.covered(self._said("covered"))
            judged |= {
                "covered": covered,
                "blurred": None if covered else seen.blurred(self._said("blurred")),
                "moved": None if covered else seen.moved(self._said("moved")),
                "strange": None if covered else seen.strange(self._said("strange")),
            }
        return {name: bad for name, bad in judged.items() if _name(name) in self._wanted}

    def _said(self, name: str) -> bool:
        return self._held[name].bad is True

    def _detail(self, name: str, alone: Exposure, seen: Seen) -> str:
        if not self._said(name):
            return ""
        gone = "no edge anywhere" if alone.flat or seen.lost is None else f"{seen.lost:.0%} of the scene is gone"
        away = (
            f"the scene has shifted by {_words(seen.shift)} of the picture" if seen.shift else "the scene has shifted"
        )
        what = {
            "black": f"nothing brighter than {alone.brightest} of 255",
            "overexposed": f"{alone.clipped:.0%} of the picture is white",
            "covered": gone,
            "blurred": f"at {seen.sharp or 0:.0%} of its usual sharpness",
            "moved": away,
            "strange": "it shows another scene than it used to",
            "repeated": "one picture, to the last bit",
        }
        return f"{what[name]}, for {_HOLD_S[name][0] or REPEATED_NS / NS:g} s"


def _name(name: str) -> str:
    return "moved" if name == "strange" else name


def _words(shift: tuple[int, int]) -> str:
    right, down = shift
    rows, columns = SMALL
    parts: list[str] = []
    if right:
        parts.append(f"{abs(right) / columns:.0%} {'right' if right > 0 else 'left'}")
    if down:
        parts.append(f"{abs(down) / rows:.0%} {'down' if down > 0 else 'up'}")
    return " and ".join(parts)
