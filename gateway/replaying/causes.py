"""Why two replays say different things of a rule: its configuration, its camera's model, a hole, or something else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from gateway.config.files import tree_of
from gateway.config.nodes import Items, Leaf, Map, builtins
from gateway.config.scalars import DURATIONS_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.nodes import Node
    from gateway.recording.parts import About, Gap
    from gateway.replaying.lives import Life

Kind = Literal["configuration", "model", "hole", "version", "input"]
AFTER_NS = 10 * DURATIONS_NS["min"]  # so long after a hole what was begun before it may still come
WHOLE = ("timezone", "city")  # keys beside the parts that decide what every rule says
NAMED = re.compile(r"[a-z0-9][A-Za-z0-9._-]*")
COMPONENTS = {
    "source": "brokers",
    "sink": "sinks",
    "camera": "cameras",
    "sensor": "sensors",
    "rule": "rules",
    "disk": "outbox",
    "recorder": "recording",
}
"""Where the configuration of what speaks of its health stands."""


class Key(msgspec.Struct, frozen=True):
    """A key that is written otherwise: what stands in A and in B, None: nothing."""

    key: str
    a: str | None
    b: str | None

    def __str__(self) -> str:
        if self.a is None or self.b is None:
            return f"{self.key}: {'+' if self.a is None else '−'} {self.b if self.a is None else self.a}"
        return f"{self.key}: {self.a} → {self.b}"


class Cause(msgspec.Struct, frozen=True):
    """Why something differs. `keys` where it is the configuration; `what` in words otherwise."""

    kind: Kind
    keys: tuple[Key, ...] = ()
    what: str = ""


class Why:
    """What the two sides were made of, and what that explains."""

    def __init__(self, a: About | None, b: About | None, holes: Sequence[Gap]) -> None:
        """`holes`: those of either recording."""
        self._a, self._b, self._holes = a, b, holes
        self._flat = tuple(_flat(about.config) if about else {} for about in (a, b))
        keys = dict.fromkeys([*self._flat[0], *self._flat[1]])
        pairs = [Key(key, self._flat[0].get(key), self._flat[1].get(key)) for key in keys]
        self.keys = [key for key in pairs if key.a != key.b] if a and b else []
        self._of: dict[tuple[str, str], tuple[Key, ...]] = {}
        self._models = (_models(a), _models(b)) if a and b else ({}, {})

    def cause(self, sides: Sequence[Life]) -> Cause:
        """Why what the sides (one or two alerts of one rule and subject) tell is not the same."""
        rule, subject = sides[0].rule, sides[0].subject
        if keys := self._keys(rule, subject):
            return Cause("configuration", keys)
        camera = sides[0].camera or (subject.partition(".")[0] if subject.partition(".")[0] in self._models[0] else "")
        one, two = (models.get(camera, "") for models in self._models)
        if camera and one != two:
            return Cause("model", what=f"{camera}: {one or '–'} → {two or '–'}")
        hole = next((hole for hole in self._holes if any(_touches(life, hole) for life in sides)), None)
        if hole is not None:
            return Cause("hole", what=hole.why)
        if self._a and self._b and self._a.version != self._b.version:
            return Cause("version", what=f"{self._a.version} → {self._b.version}")
        return Cause("input")

    def _keys(self, rule: str, subject: str) -> tuple[Key, ...]:
        if not self.keys:
            return ()
        at = (rule, subject.partition("{")[0])
        if at not in self._of:
            below = _Parts(self._flat).of(*at)
            self._of[at] = tuple(key for key in self.keys if _under(key.key, below))
        return self._of[at]


class _Parts(NamedTuple):
    """The parts of two configurations that decide what a rule says."""

    flat: tuple[dict[str, str], ...]

    def of(self, rule: str, subject: str) -> set[str]:
        """Dotted beginnings of keys: the rule's own, and those of what it names."""
        parts = {*WHOLE}
        self._add(f"rules.{rule}", parts)
        kind, _, name = subject.partition("/")
        if rule == "health" and kind in COMPONENTS:
            parts |= {f"{COMPONENTS[kind]}.{name}"}
        for name in (subject, subject.rpartition(".")[0], subject.partition(".")[0]):
            parts |= {part for part in self._named(name) if not part.startswith("rules.")}
        return parts

    def _add(self, part: str, parts: set[str]) -> None:
        if part in parts:
            return
        parts.add(part)
        if not part.startswith("rules."):
            return  # a sensor's words name nothing that the rule looks at
        for flat in self.flat:
            for key, value in flat.items():
                if _under(key, {part}):
                    for name in NAMED.findall(value):
                        for other in (name, name.rpartition(".")[0], name.partition(".")[0]):
                            for found in self._named(other):
                                self._add(found, parts)

    def _named(self, name: str) -> set[str]:
        """The sensor, camera or rule of that name."""
        parts = [f"{section}.{name}" for section in ("sensors", "cameras", "rules")]
        return {part for part in parts if name and any(_under(key, {part}) for flat in self.flat for key in flat)}


def _under(key: str, parts: set[str]) -> bool:
    return any(key == part or key.startswith((f"{part}.", f"{part}[")) for part in parts)


def _models(about: About) -> dict[str, str]:
    """By camera: the model's name and the beginning of its hash."""
    return {note.camera: f"{note.model} {note.sha256[:8]}" for note in about.models}


def _touches(life: Life, hole: Gap) -> bool:
    """Whether a hole lies in an alert's time, or shortly before it was raised."""
    ended_ns = hole.to_ns if life.ended_ns is None else life.ended_ns
    return life.raised_ns <= hole.to_ns + AFTER_NS and ended_ns >= hole.from_ns


def _flat(text: str) -> dict[str, str]:
    """Every value of a configuration's text by its dotted key; nothing of a text that cannot be read."""
    root, _ = tree_of(text, "gateway.yaml", Path())
    flat: dict[str, str] = {}
    _leaves(root, "", flat)
    return flat


def _leaves(node: Node, under: str, flat: dict[str, str]) -> None:
    if isinstance(node, Map):
        for key, entry in node.entries.items():
            _leaves(entry, f"{under}.{key}" if under else key, flat)
    elif isinstance(node, Items):
        shown = [item.text if isinstance(item, Leaf) else str(builtins(item)) for item in node.items]
        flat[under] = f"[{', '.join(shown)}]"
    else:
        flat[under] = node.text or "null"
