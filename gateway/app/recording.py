"""The recorder of a running gateway: fed by the door and by what became durable."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.config.box import Recording
from gateway.recording.beside_channels import BesideChannels
from gateway.recording.parts import About, Checkpoint, notes_of
from gateway.recording.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gateway.config.manifest import Manifest
    from gateway.config.model import Config
    from gateway.door import Door
    from gateway.door.worker import Snapshot
    from gateway.events import Stepped
    from gateway.outbox import Outbox
    from gateway.ports import Clock
    from gateway.recording.video import VideoTap

FOLDER = "recording"  # below the state folder
FILE_NS = 6 * 3600 * 10**9  # a checkpoint at least so often: an alert is cut out of four files a day


def recorder_of(
    config: Config, text: str, manifests: Mapping[str, Manifest], outbox: Outbox, door: Door, clock: Clock
) -> Recorder | None:
    """The recorder, which begins when the door does; None where none is wanted.

    Where the outbox is in memory there is no disk to record on either.
    """
    settings = config.recording
    if not isinstance(settings, Recording) or not outbox.durable:
        return None
    about = About(
        gateway=config.gateway,
        epoch=outbox.epoch,
        version=__version__,
        config_sha=config.sha,
        config=text,
        models=notes_of(manifests),
        made="ring",
        began_ns=clock.now_ns(),
        timezone=config.timezone,
    )
    recorder = Recorder(
        config.state / FOLDER, about, clock, budget=int(settings.budget), file_bytes=int(settings.file), file_ns=FILE_NS
    )
    begun = False

    def snapshot(taken: Snapshot) -> None:
        nonlocal begun
        checkpoint = Checkpoint(*taken[:-1], taken.state or None)
        if begun:
            recorder.checkpoint(checkpoint)
        else:
            begun = True
            recorder.begin(checkpoint)

    def stepped(held: Sequence[Stepped]) -> None:
        rows = [row for one in held for row in one.alerts]
        if rows:
            recorder.alerts(rows)

    outbox.spare = partial(spare, config.state / FOLDER)
    door.on_admitted(recorder.admitted)
    door.on_snapshot(recorder.wants_checkpoint, snapshot)
    door.on_stepped(stepped)
    shown = BesideChannels(config, about.models, clock, recorder.beside)
    door.on_admitted(shown.admitted)
    door.on_stepped(shown.stepped)
    return recorder


def spare(folder: Path, wanted: int) -> int:
    """Remove the oldest recordings but for the newest file until so many bytes are free; returns how many are.

    In the disk thread: the recorder, which writes the newest, does not mind that others are gone.
    """
    freed = 0
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.mcap"))[:-1]:
            if freed >= wanted:
                break
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def video_of(config: Config, recorder: Recorder | None, door: Door, clock: Clock) -> VideoTap | None:
    """Who takes the cameras' packets; None where nothing is recorded. `recorder_of` made the recorder."""
    if recorder is None or not isinstance(config.recording, Recording):
        return None
    from gateway.recording.video import VideoTap  # noqa: PLC0415 - a ground-only gateway has no video

    tap = VideoTap(config.cameras, config.rules, config.recording, clock, recorder.beside)
    door.on_stepped(lambda held: tap.alerts([row for one in held for row in one.alerts]))
    return tap
