"""What a file says of itself, as MCAP metadata and attachments, and back."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

import msgspec
from mcap.records import Attachment, Metadata

from gateway.errors import RecordingError
from gateway.recording.parts import PROFILE, SCHEMA, About, Made, ModelNote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.recording.parts import Checkpoint

END = "zhiwang.end"  # the metadata that a file ends with when it was closed: how far it goes
CONFIGURATION, MODELS = "configuration.yaml", "models.json"


class Head(NamedTuple):
    """What a file's metadata says; its configuration and models come from the attachments.

    `hole`: why inputs before its first are missing, where the recorder had to let go of them.
    """

    about: About
    first_n: int
    first_ns: int
    hole: str


def described(about: About, checkpoint: Checkpoint, hole: str) -> tuple[Metadata, list[Attachment]]:
    """The records that say so, for the beginning of a file."""
    values = {
        "schema": str(SCHEMA),
        "gateway": about.gateway,
        "epoch": about.epoch,
        "version": about.version,
        "config_sha": about.config_sha,
        "made": about.made,
        "began_ns": str(about.began_ns),
        "timezone": about.timezone,
        "serial": str(about.serial),
        "first_n": str(checkpoint.n),
        "first_ns": str(checkpoint.admitted_ns),
        "hole": hole,
    }
    at_ns = max(0, about.began_ns)
    files = [
        Attachment(at_ns, at_ns, CONFIGURATION, "application/yaml", about.config.encode()),
        Attachment(at_ns, at_ns, MODELS, "application/json", msgspec.json.encode(about.models)),
    ]
    return Metadata(PROFILE, {**values, "crc": _crc(values)}), files


def head_of(values: Mapping[str, str]) -> Head | None:
    """What the metadata of that name says; None where it was damaged. Raises RecordingError for a newer schema."""
    rest = {key: value for key, value in values.items() if key != "crc"}
    if values.get("crc") != _crc(rest):
        return None
    schema = int(values["schema"])
    if schema > SCHEMA:
        raise RecordingError(
            f"found a recording of schema {schema}, written by zhiwang {values.get('version', '')}; this program reads "
            f"up to {SCHEMA}: upgrade it (pip install -U zhiwang) to that version or a later one"
        )
    made = values["made"]
    return Head(
        About(
            gateway=values["gateway"],
            epoch=values["epoch"],
            version=values["version"],
            config_sha=values["config_sha"],
            config="",
            models=(),
            made=cast(Made, made) if made in get_args(Made) else "ring",
            began_ns=int(values["began_ns"]),
            timezone=values["timezone"],
            serial=int(values["serial"]),
        ),
        int(values["first_n"]),
        int(values["first_ns"]),
        values["hole"],
    )


def models_of(data: bytes) -> tuple[ModelNote, ...]:
    """The models of the attachment of that name. Raises msgspec.MsgspecError where it is damaged."""
    return msgspec.json.decode(data, type=tuple[ModelNote, ...])


def ended(n: int, admitted_ns: int) -> Metadata:
    """The record that a closed file ends with: the number after its last input, and that one's stamp."""
    values = {"last_n": str(n), "last_ns": str(admitted_ns)}
    return Metadata(END, {**values, "crc": _crc(values)})


def end_of(values: Mapping[str, str]) -> tuple[int, int] | None:
    """What `ended` says; None where it was damaged."""
    rest = {key: value for key, value in values.items() if key != "crc"}
    return (int(rest["last_n"]), int(rest["last_ns"])) if values.get("crc") == _crc(rest) else None


def _crc(values: Mapping[str, str]) -> str:
    return f"{zlib.crc32(msgspec.json.encode(sorted(values.items()))):08x}"
