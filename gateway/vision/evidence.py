"""Makes what the core asks of cameras for alerts: the owner of the requests to `camera/<name>` (SEMANTICS.md §11).

outbox ─ requests ─▶ Evidencer ─▶ thread evidence ─▶ <state>/evidence ─▶ Evidence ─▶ the door
looks of the engines ──▶ rings ──▲        └─ 10 s later ─▶ thread evidence-clip ─▶ the same way

A picture's bytes are durable before its Evidence comes through the door: the change that names it never names nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import av.error
import cv2
import msgspec
import numpy as np

from gateway.core.evidence import KIND, Wanted
from gateway.errors import EvidenceError, TransientError, Unreachable
from gateway.events import Evidence, Health, RequestRow
from gateway.ports import Rejected
from gateway.vision.evidence_clip import Clipping, clip_of
from gateway.vision.evidence_picture import annotate, followed, jpeg_of, smaller
from gateway.vision.evidence_ring import Ring, Taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from gateway.config.box import EvidenceConfig
    from gateway.config.manifest import Manifest
    from gateway.config.model import Camera
    from gateway.events import Stream
    from gateway.ports import Clock, Commit, Row
    from gateway.vision.board import Last
    from gateway.vision.evidence_picture import Look
    from gateway.vision.evidence_ring import Reel, Shot
    from gateway.vision.evidence_store import Store
    from gateway.vision.tap import TakesVideo

T = TypeVar("T")
NAME = "evidence"
LOG = logging.getLogger(__name__)
NS = 1_000_000_000
NICE = 10  # the engines have 5: what a clip takes it takes from nobody
WAIT_S, LOOK_S = 5.0, 0.1  # a camera that has just begun may have its first look so late
A_MOMENT = 5  # tries for a look that is being made small, before one beside it is taken
STALE_NS = 60 * NS  # an older picture shows something else
AGAIN_S = 5  # how often it is tried whether there is room, at the start and where there was none
HELD_S = 86_400.0  # longer than any `for:` that a picture should wait for
AHEAD = 2  # looks of one camera that wait to be made small: beyond it one is left out
CLIPS = 16  # that wait or are made
_REQUEST = msgspec.msgpack.Decoder(RequestRow)
_WANTED = msgspec.json.Decoder(Wanted)


class Made(NamedTuple):
    """An annotated picture and when its frame was taken (0: unsure)."""

    jpeg: bytes
    taken_ns: int


class Held(NamedTuple):
    """What was taken when a condition began; `until_ns`: UTC, when it is dropped."""

    made: Made | None
    reel: Reel | None
    camera: str
    until_ns: int


class Evidencer:
    """Sink of the requests `evidence`, with the cameras' rings. `run` beside it makes the clips.

    `open_alerts` gives the ids of alerts whose files must not go; `commit` is the door.
    """

    name = NAME
    stream: Stream = "requests"

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        manifests: Mapping[str, Manifest],
        settings: EvidenceConfig,
        store: Store,
        zone: ZoneInfo,
        clock: Clock,
        commit: Commit,
        report: Callable[[Health], Awaitable[None]],
        open_alerts: Callable[[], Awaitable[set[str]]],
    ) -> None:
        self.rings = {name: Ring(name, manifests[name].labels) for name in cameras}
        self._cameras, self._settings, self._store = cameras, settings, store
        self._zone, self._clock, self._commit, self._report = zone, clock, commit, report
        self._open_alerts = open_alerts
        self._held: dict[str, Held] = {}
        self._clips: asyncio.Queue[tuple[Wanted, Reel]] = asyncio.Queue(CLIPS)
        self._waiting: dict[str, int] = dict.fromkeys(cameras, 0)
        self._said_full: bool | None = None
        self._blind: set[str] = set()  # cameras that had nothing to show when it was waited for
        self._over = threading.Event()
        self._counts = dict.fromkeys(("pictures", "clips", "held", "dropped", "missed", "not_kept"), 0)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="evidence", initializer=_nice)
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="evidence-clip", initializer=_nice)

    # ── what cameras show ──

    def taken(self, other: TakesVideo | None) -> TakesVideo:
        """Who takes the cameras' packets: these rings, and `other`."""
        return Taken(self.rings if self._settings.clip != "off" else {}, other)

    def look(self, last: Last) -> None:
        """An engine has looked at a frame. Called in its thread: what costs time is done in ours."""
        ring = self.rings.get(last.captured.camera)
        if ring is None:
            return
        look = ring.found(last)
        if self._waiting[ring.camera] < AHEAD:
            self._waiting[ring.camera] += 1
            with contextlib.suppress(RuntimeError):  # it is over
                self._thread.submit(self._shrink, ring, look, last)

    def _shrink(self, ring: Ring, look: Look, last: Last) -> None:
        try:
            ring.picture(look, last.captured.frame)
        finally:
            self._waiting[ring.camera] -= 1

    # ── what is asked ──

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Take and hold, or make and hand over, what is asked; what has expired is left."""
        rejected: list[Rejected] = []
        asked: dict[str, list[Wanted]] = {}
        for row in rows:
            try:
                request = _REQUEST.decode(row.body)
                wanted = _WANTED.decode(request.body) if request.kind == KIND else None
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no request for evidence: {error}"))
                continue
            if wanted and request.expires_ns > self._clock.now_ns() and wanted.camera in self.rings:
                asked.setdefault(wanted.camera, []).append(wanted)
        failed: list[TransientError] = []
        async with asyncio.TaskGroup() as tasks:  # a camera that shows nothing keeps none of the others waiting
            for each in asked.values():
                tasks.create_task(self._in_order(each, failed))
        if failed:
            raise failed[0]
        return rejected

    async def _in_order(self, asked: Sequence[Wanted], failed: list[TransientError]) -> None:
        try:
            for wanted in asked:
                await (self._keep(wanted) if wanted.alert else self._hold(wanted))
        except TransientError as error:
            failed.append(error)

    async def read(self, alert: str, sha256: str, most: int) -> bytes | None:
        """A file; a JPEG of at most so many bytes (0: as it is). None where it is gone. Unreachable at the end."""

        def work() -> bytes | None:
            body = self._store.read(alert, sha256)
            return smaller(body, most) if body is not None and most else body

        return await self._in_thread(work)

    async def run(self) -> None:
        """Make clips as their time is over, and drop what no alert followed, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forget())
            while True:
                wanted, reel = await self._clips.get()
                await self._clip(wanted, reel)

    async def aclose(self) -> None:
        """End the threads; a clip under way is given up."""
        self._over.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)

    def stats(self) -> dict[str, float]:
        """Counts since the start: pictures and clips made, held ones, those dropped, missed, and not kept on disk."""
        return {**self._counts}

    async def _hold(self, wanted: Wanted) -> None:
        """A condition has begun: take its picture, and begin the clip."""
        reel = self._reel(wanted)
        made = await self._picture(wanted)
        if made is not None:
            await self._in_thread(self._store.hold, wanted.capture, made.jpeg)
        self._held[wanted.capture] = Held(made, reel, wanted.camera, wanted.until_ns)
        self._counts["held"] += 1

    async def _keep(self, wanted: Wanted) -> None:
        """An alert has come: what was held for it, or what there is now."""
        held = self._held.pop(wanted.capture, None)
        made = held.made if held else None
        if made is None and (jpeg := await self._in_thread(self._store.held, wanted.capture)):
            made = Made(jpeg, 0)  # held by a process that was killed
        made = made or await self._picture(wanted)
        reel = held.reel if held else self._reel(wanted)
        if made is not None:
            await self._hand_over(wanted.alert, "image/jpeg", made.jpeg, made.taken_ns)
            self._counts["pictures"] += 1
        await self._in_thread(self._store.drop, wanted.capture)
        if reel is not None and wanted.around_ns and not self._clips.full():
            self._clips.put_nowait((wanted, reel))
        elif reel is not None:
            self._counts["dropped"] += bool(wanted.around_ns)
            self.rings[wanted.camera].end(reel)

    def _reel(self, wanted: Wanted) -> Reel | None:
        if not wanted.around_ns:
            return None
        ring = self.rings[wanted.camera]
        here_ns = wanted.event_ns if wanted.frame else ring.newest_ns() or wanted.event_ns
        return ring.reel(here_ns - wanted.around_ns, here_ns + wanted.around_ns)

    async def _picture(self, wanted: Wanted) -> Made | None:
        """The annotated picture; None where the camera shows nothing that is fresh."""
        ring = self.rings[wanted.camera]
        for tries in range(1 if wanted.camera in self._blind else round(WAIT_S / LOOK_S)):
            shot = ring.shot(wanted.frame, wanted.event_ns)
            if shot and wanted.event_ns - shot.look.event_ns > STALE_NS:
                break
            if shot and (not wanted.frame or shot.look.event_ns >= wanted.event_ns or tries >= A_MOMENT):
                self._blind.discard(wanted.camera)
                try:
                    return await self._in_thread(self._draw, wanted, shot)
                except EvidenceError as error:
                    LOG.warning("camera %s: no picture for rule %s: %s", wanted.camera, wanted.rule, error)
                    break
            await self._clock.sleep(LOOK_S)
        self._blind.add(wanted.camera)
        self._counts["missed"] += 1
        return None

    def _draw(self, wanted: Wanted, shot: Shot) -> Made:
        look = shot.look
        try:
            return self._drawn(wanted, shot)
        except (cv2.error, av.error.FFmpegError, ValueError) as error:
            size = f"{look.width_px} × {look.height_px}"
            raise EvidenceError(f"a frame of {size} cannot be drawn on ({error})") from None

    def _drawn(self, wanted: Wanted, shot: Shot) -> Made:
        look = shot.look
        picture = cast("NDArray[np.uint8]", np.ascontiguousarray(shot.frame.to_ndarray(format="bgr24")))
        if wanted.boxes:  # without them it is whom the rule's words choose in this look
            boxes = followed(wanted.boxes, self.rings[wanted.camera].between(wanted.event_ns, look))
            wanted = msgspec.structs.replace(wanted, boxes=boxes)
        masks = self._cameras[wanted.camera].masks.values()
        when = datetime.fromtimestamp(look.event_ns / NS, self._zone).isoformat(" ", "seconds")[:19]
        annotate(picture, look, wanted, masks, f"{wanted.camera}  {when}")
        return Made(jpeg_of(picture), look.event_ns)

    async def _clip(self, wanted: Wanted, reel: Reel) -> None:
        ring = self.rings[wanted.camera]
        try:
            for _ in range(round(wanted.around_ns / NS / LOOK_S) + round(WAIT_S / LOOK_S)):
                newest_ns = ring.newest_ns()
                if reel.broken or (newest_ns is not None and newest_ns > reel.to_ns):
                    break
                await self._clock.sleep(LOOK_S)
        finally:
            ring.end(reel)
        looks = ring.looks(reel.from_ns, reel.to_ns)
        masks = tuple(self._cameras[wanted.camera].masks.values())
        how = Clipping(self._settings.privacy, self._settings.key or "", masks, self._over.is_set)
        try:
            kind, body = await asyncio.get_running_loop().run_in_executor(
                self._slow, partial(clip_of, reel.whole(), looks, how)
            )
            if await self._hand_over(wanted.alert, kind, body, reel.from_ns):
                self._counts["clips"] += 1
        except (EvidenceError, TransientError) as error:
            self._counts["missed"] += 1
            LOG.warning("camera %s: no clip for %s: %s", wanted.camera, wanted.alert, error)

    async def _hand_over(self, alert: str, kind: str, body: bytes, taken_ns: int) -> bool:
        """Store it, then say so through the door; where the disk has no room a clip is not handed over: False."""
        spared = await self._open_alerts()
        try:
            sha256 = await self._in_thread(self._store.keep, alert, kind, body, spared)
        except EvidenceError as error:
            self._counts["not_kept"] += 1
            await self._say(str(error))
            if kind != "image/jpeg":
                return False
            sha256 = hashlib.sha256(body).hexdigest()  # it is kept in memory, and goes out while it is there
        else:
            await self._say("")
        await self._commit([Evidence(alert, kind, sha256, f"evidence/{alert}", taken_ns)])
        return True

    async def _say(self, wrong: str) -> None:
        if self._said_full is not bool(wrong):
            self._said_full = bool(wrong)
            await self._report(Health("disk/evidence", "room", not wrong, wrong))

    async def _settle(self) -> None:
        """Is there room (again)? Store what is in memory alone, and say so."""
        spared = await self._open_alerts()
        try:
            await self._in_thread(self._store.settle, spared)
        except EvidenceError as error:
            await self._say(str(error))
        else:
            await self._say("")

    async def _forget(self) -> None:
        """Drop what was held for an alert that did not come, and first what a killed process left."""
        seconds = 0
        with contextlib.suppress(Unreachable):
            await self._in_thread(self._store.sweep, self._clock.now_ns() / NS - HELD_S)
        while True:
            await self._clock.sleep(1.0)
            seconds += 1
            if self._said_full is not False and seconds % AGAIN_S == 0:
                with contextlib.suppress(Unreachable):
                    await self._settle()
            now_ns = self._clock.now_ns()
            for capture, held in list(self._held.items()):
                if held.until_ns <= now_ns:
                    del self._held[capture]
                    self._counts["dropped"] += 1
                    if held.reel is not None:
                        self.rings[held.camera].end(held.reel)
                    await self._in_thread(self._store.drop, capture)

    async def _in_thread(self, work: Callable[..., T], *given: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *given))
        except RuntimeError:
            if self._over.is_set():
                raise Unreachable("the gateway ends; it is done after the next start") from None
            raise


def _nice() -> None:
    with contextlib.suppress(OSError):  # niceness is a courtesy: not every container allows it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
