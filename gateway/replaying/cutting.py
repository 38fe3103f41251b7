"""One alert cut out of a recording as a test: the state before it, the inputs until its end, and what they came to.

recording ─▶ find the alert ─▶ step to just before it ─▶ its inputs ─▶ F.mcap ─▶ replayed once: which alerts are theirs
                                                                             └▶ F.alerts.jsonl, as they came live
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import GatewayError, RecordingError
from gateway.recording.alert_line import as_test
from gateway.recording.cut import find
from gateway.recording.export import Form, export, refuse_to_overwrite
from gateway.recording.reader import Recording
from gateway.registry import registry
from gateway.replaying.compare import comparable
from gateway.replaying.configurations import Configurations
from gateway.replaying.lead_in import needed_ns
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from gateway.replaying.restep import from_state_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.events import AlertRow
    from gateway.recording.cut import Told
    from gateway.recording.export import Exported
    from gateway.recording.parts import About
    from gateway.replaying.play import Played

SECOND_NS = 10**9
SETTLED_NS = 2 * SECOND_NS  # an alert is recorded when it is durable: so long after its input, at most, as a rule


class CutOut(msgspec.Struct, frozen=True):
    """What was written: the recording and the expectation beside it. `changes`: the alerts' changes in it.

    begun_ns, ended_ns: admission of its first input and of its last. `begins_late`: the recording has less of before
    the alert than its rule looks back on. `same`: a replay says now what was said then.
    """

    path: Path
    expectation: Path
    alert: str
    code: str
    rule: str
    subject: str
    ended: bool
    begun_ns: int
    ended_ns: int
    inputs: int
    changes: int
    bytes: int
    begins_late: bool
    same: bool
    timezone: str


def cut_out(
    recording: Recording,
    name: str,
    path: Path,
    *,
    before_ns: int | None = None,
    after_ns: int | None = None,
    beside: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CutOut:
    """Cut the alert of this id or code out, to `path`, with `F.alerts.jsonl` beside it.

    before_ns: how much of before its first change; default: as much as its rule looks back on. after_ns: no more than
    so much of after its first change; default: until it cleared, else until its last change. beside: its video, boxes
    and positions, too. Raises RecordingError, GatewayError.
    """
    refuse_to_overwrite(recording, path)
    alert = find(recording, name)
    about = _about(recording, alert)
    config = Configurations(registry(), None, {}).of(about).config
    lead_ns = needed_ns(config, alert.rule, alert.subject) + SETTLED_NS if before_ns is None else before_ns
    from_ns, to_ns = alert.from_ns - lead_ns, alert.to_ns + SECOND_NS
    if after_ns is not None:
        to_ns = min(to_ns, alert.from_ns + after_ns)
    inputs, played, done = _write_cut(recording, path, from_ns, to_ns, beside, progress)
    if len(done.files) > 1:
        held = alert.code or alert.id
        raise RecordingError(
            f"another configuration began while {held} held; cut less of it, with --before and --after"
        )
    lines = list(Recording.open([path]).alerts())
    expectation = path.with_suffix(".alerts.jsonl")
    _write(expectation, lines)
    return CutOut(
        path=path,
        expectation=expectation,
        alert=alert.id,
        code=alert.code,
        rule=alert.rule,
        subject=alert.subject,
        ended=alert.ended and (after_ns is None or to_ns > alert.to_ns),
        begun_ns=done.begun_ns,
        ended_ns=done.ended_ns,
        inputs=done.inputs,
        changes=len(lines),
        bytes=done.bytes,
        begins_late=inputs.files[0].first_n == recording.files[0].first_n,
        same=_same(lines, played.alerts),
        timezone=about.timezone,
    )


def _write_cut(
    recording: Recording,
    path: Path,
    from_ns: int,
    to_ns: int,
    beside: bool,
    progress: Callable[[int, int], None] | None,
) -> tuple[Recording, Played, Exported]:
    """The inputs of that span, what they come to, and the file of both."""
    scratch = path.with_name(f".{path.name}.inputs")
    try:
        pieces = from_state_at(recording, from_ns, to_ns, progress)
        export(recording, scratch, to_ns=to_ns, form=Form(False, False, False), made="cut", pieces=pieces)
        inputs = Recording.open([scratch])
        played = play(inputs, Memory())
        last_seq = played.alerts[-1].seq if played.alerts else 0
        form = Form(readable=False, beside=beside, states=False, last_seq=last_seq)
        done = export(recording, path, to_ns=to_ns, form=form, made="cut", pieces=inputs.pieces())
    finally:
        scratch.unlink(missing_ok=True)
    return inputs, played, done


def _about(recording: Recording, alert: Told) -> About:
    """What held when the alert began."""
    held = [file.about for file in recording.files if file.about.config_sha == alert.config_sha]
    return held[-1] if held else recording.files[-1].about


def _same(lines: Sequence[bytes], rows: Sequence[AlertRow]) -> bool:
    return [*map(comparable, lines)] == [comparable(row.body) for row in rows]


def _write(path: Path, lines: Sequence[bytes]) -> None:
    """As a replay writes them: where some are `actual`, an expectation is taken for one that has no shadow rules'."""
    try:
        path.write_bytes(b"".join(as_test(line) + b"\n" for line in lines))
    except OSError as error:
        raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error
