"""One alert of a recording: found by its id or its short code, with the time it took from its beginning to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.errors import RecordingError
from gateway.recording.channels import ALERTS, OWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.recording.reader import Recording

ENDS = frozenset({"cleared", "closed"})
HOLDS = frozenset({"raised", "raised_level", "lowered_level", "updated", "unknown", "known", "returned"})
SHOWN = 5  # alerts that are named where another was asked for


class _Line(msgspec.Struct, frozen=True):
    """What of an alert's JSON matters here."""

    id: str
    rule: str
    subject: str
    change: str
    changed: str
    code: str = ""
    config_sha: str = ""


class Told(NamedTuple):
    """An alert in a recording. from_ns, to_ns: when its first change was recorded, and the last that belongs to it.

    `ended`: that one ended it, else it held on.
    """

    id: str
    code: str
    rule: str
    subject: str
    from_ns: int
    to_ns: int
    ended: bool
    config_sha: str


def told(recording: Recording) -> Iterator[tuple[int, bytes]]:
    """Each change of each alert as (log time, JSON), in order."""
    yield from recording.messages(OWN[ALERTS].topic)


def find(recording: Recording, name: str) -> Told:
    """The alert of this id or code; of several with one code the last. Raises RecordingError naming some there are."""
    decoder = msgspec.json.Decoder(_Line)
    wanted, found, last = name.strip().casefold(), dict[str, list[tuple[int, _Line]]](), dict[str, _Line]()
    for log_ns, body in told(recording):
        try:
            line = decoder.decode(body)
        except msgspec.MsgspecError:
            continue
        last.pop(line.id, None)
        last[line.id] = line
        if wanted in {line.id.casefold(), line.code.casefold()}:
            found.setdefault(line.id, []).append((log_ns, line))
    if not found:
        raise RecordingError(_missing(name, list(last.values())))
    return _told(found.popitem()[1])


def _told(lines: list[tuple[int, _Line]]) -> Told:
    (from_ns, first), (to_ns, last) = lines[0], lines[-1]
    ended = False
    for log_ns, line in lines:
        if line.change in ENDS and not ended:
            ended, to_ns, last = True, log_ns, line
        elif line.change in HOLDS and ended:
            ended, (to_ns, last) = False, lines[-1]
    return Told(first.id, last.code, first.rule, first.subject, from_ns, to_ns, ended, first.config_sha)


def _missing(name: str, lines: list[_Line]) -> str:
    if not lines:
        return f"found no alert {name}: the recording holds none at all"
    some = "; ".join(f"{one.code or one.id} {one.rule} {one.subject} {one.changed}" for one in lines[-SHOWN:])
    return f"found no alert {name} among the {len(lines)} that are recorded; the last are: {some}"
