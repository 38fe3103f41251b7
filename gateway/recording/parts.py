"""What a recording consists of: what is said of it, checkpoints, holes, and the pieces that reading it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from gateway.events import Cut  # noqa: TC001 - Part's annotation is asked for at run time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.manifest import Manifest

SCHEMA = 1  # of the recording; a reader takes this one and older ones
PROFILE = "zhiwang"  # in the MCAP header, and the name of the metadata record
Made = Literal["ring", "export", "cut", "import"]


class ModelNote(msgspec.Struct, frozen=True):
    """The model that a camera's detections came from; `score` is the manifest's default limit."""

    camera: str
    model: str
    sha256: str
    labels: tuple[str, ...]
    score: float


def notes_of(manifests: Mapping[str, Manifest]) -> tuple[ModelNote, ...]:
    """What a recording says of the models of its cameras; by camera."""
    return tuple(ModelNote(camera, one.name, one.sha256, one.labels, one.score) for camera, one in manifests.items())


class About(msgspec.Struct, frozen=True):
    """What holds for a whole file: one process start, hence one configuration (`config`: its text, without secrets).

    `serial` counts the files of one ring, which puts them in order whatever the clock said; 0: not of a ring.
    """

    gateway: str
    epoch: str
    version: str
    config_sha: str
    config: str
    models: tuple[ModelNote, ...]
    made: Made
    began_ns: int
    timezone: str
    serial: int = 0


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """The core's snapshot after all inputs below `n`; `state` None: there was nothing yet.

    admitted_ns and elapsed_ns are the stamps of the last input before it; `next_seq` that of the next alert row.
    """

    n: int
    admitted_ns: int
    elapsed_ns: int
    next_seq: int
    state: bytes | None


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """Inputs from_n up to, without, to_n are not in the recording; from_ns and to_ns: admission, UTC."""

    from_n: int
    to_n: int
    from_ns: int
    to_ns: int
    why: str


class Begin(NamedTuple):
    """A file's configuration holds from here on.

    `checkpoint` None: the state is carried over; else it starts from there, and `why` says so: "" at the first piece,
    "hole: …" where inputs are missing, "epoch: …" where the gateway began anew.
    """

    about: About
    checkpoint: Checkpoint | None
    why: str


class Part(NamedTuple):
    """Inputs in the order of admission. `done_bytes` of the recording are behind them, for progress."""

    cut: Cut
    done_bytes: int


Piece = Begin | Part | Gap
