"""Cameras and engines as one Source.

camera-<name> threads ─▶ Board (a seat of one fresh frame each) ─▶ engine-<n> threads ─▶ Board ─▶ commit
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from gateway.config.box import VisionConfig
from gateway.vision.board import Board
from gateway.vision.camera import CameraThread
from gateway.vision.engine_choice import EngineChoice
from gateway.vision.inference import EngineThread
from gateway.vision.picture import make_picture
from gateway.vision.stream import is_file
from gateway.vision.tap import CameraTap
from gateway.vision.threads import Worker, wait_ended
from gateway.vision.tiles import Aim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gateway.config.manifest import Manifest
    from gateway.config.model import Camera
    from gateway.events import Input
    from gateway.ports import Clock, Commit, Picture
    from gateway.vision.board import Last
    from gateway.vision.tap import TakesVideo

_MOST_COMMITS = 64  # in the door at once; beyond it detections wait on the board, and then frames in their seats
_END_S = 2.0
_WEIGHTS = {"low": 0.5, "normal": 1.0, "high": 2.0}


class Vision:
    """Source of ports.py: hands Detections, Looked and Health of all cameras to the door.

    `manifests` by camera; `base`: the folder of the configuration; `engines`: how many threads infer. With `every_nth`
    (headless, replay) each nth frame of a file by PTS is analysed, none is skipped, and the same file gives the same
    detections. `start_ns`: the event time of a file's first frame. `paced=False`: files play as fast as they are taken.
    `vision`: which engine runs the models. `video` is given the packets of the cameras that it wants, as they came:
    nothing in them is blurred. `gated`: whether the cameras' `motion:` decides what is looked at; default: but for
    `every_nth`. `looks` is told of each frame that an engine has looked at, in its thread.
    """

    name = "vision"

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        manifests: Mapping[str, Manifest],
        base: Path,
        clock: Clock,
        engines: int,
        every_nth: int | None = None,
        start_ns: int | None = None,
        *,
        paced: bool = True,
        vision: VisionConfig | None = None,
        video: TakesVideo | None = None,
        gated: bool | None = None,
        looks: Callable[[Last], object] = lambda _: None,
    ) -> None:
        self._cameras = cameras
        self._manifests = manifests
        self._base = base
        self._clock = clock
        self._engines = engines
        self._every_nth = every_nth
        self._start_ns = start_ns
        self._paced = paced
        self._vision = vision or VisionConfig()
        self._video = video
        self._looks = looks
        self._gated = not every_nth if gated is None else gated
        self._ready = asyncio.Event()
        self._board = self._new_board(lambda: None)
        self._pictures: dict[str, Picture] = {}

    async def run(self, commit: Commit) -> None:
        """Until cancelled, or until the door or a thread fails: that error is raised as it was.

        All threads have ended then, but for one that waits inside libav to open a camera: it ends by that call's own
        time limit.
        """
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        self._ready.clear()
        board = self._board = self._new_board(partial(loop.call_soon_threadsafe, self._ready.set))
        workers = [Worker(name, work, loop, failed) for name, work in self._work(board)]
        try:
            for worker in workers:
                worker.thread.start()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._settle_time(board))
                group.create_task(_raise(failed))
                await self._hand_over(board, commit, group)
        except ExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            board.close()
            await wait_ended(workers, _END_S)

    def stats(self) -> dict[str, float]:
        """Counts since the start, over all cameras: frames, analysed, skipped, corrupt, boxes, retries."""
        totals: dict[str, float] = {}
        for counts in self.camera_stats().values():
            for what, count in counts.items():
                totals[what] = totals.get(what, 0.0) + count
        return totals

    def camera_stats(self) -> dict[str, dict[str, float]]:
        """The same counts of each camera."""
        return {camera: {**seat.counts} for camera, seat in self._board.seats.items()}

    def picture(self, camera: str) -> Picture | None:
        """The camera's last analysed picture, or None before the first."""
        seat = self._board.seats.get(camera)
        last = seat.last if seat else None
        if last is None:
            return None
        made = self._pictures.get(camera)
        if made is None or made.event_ns != last.captured.event_ns:
            masks = self._cameras[camera].masks.values()
            made = self._pictures[camera] = make_picture(last, self._manifests[camera], masks)
        return made

    def _new_board(self, wake: Callable[[], object]) -> Board:
        rates = {name: camera.rate for name, camera in self._cameras.items()}
        start_ns = self._clock.now_ns() if self._start_ns is None else self._start_ns
        patient = [name for name, camera in self._cameras.items() if self._every_nth and is_file(camera.detect)]
        weights = {name: _WEIGHTS[camera.priority] for name, camera in self._cameras.items()}
        return Board(rates, start_ns, self._clock, wake, patient=patient, weights=weights, looks=self._looks)

    def _work(self, board: Board) -> list[tuple[str, Callable[[], None]]]:
        work: list[tuple[str, Callable[[], None]]] = []
        for name, camera in self._cameras.items():
            thread = CameraThread(
                name,
                camera,
                board,
                self._base,
                self._clock,
                every_nth=self._every_nth if is_file(camera.detect) else None,
                paced=self._paced,
                start_ns=self._start_ns,
                tap=CameraTap(name, self._video) if self._video and self._video.wants(name) else None,
                gated=self._gated,
            )
            work.append((f"camera-{name}", thread.run))
        choice = EngineChoice(self._vision, board.tell)
        aims = {name: Aim.of(camera) for name, camera in self._cameras.items()}
        for number in range(self._engines if self._cameras else 0):
            engine = EngineThread(number, board, self._manifests, self._clock, choice, aims)
            work.append((f"engine-{number}", engine.run))
        return work

    async def _hand_over(self, board: Board, commit: Commit, group: asyncio.TaskGroup) -> None:
        commits = asyncio.Semaphore(_MOST_COMMITS)
        while True:
            await self._ready.wait()
            await commits.acquire()
            self._ready.clear()
            batch, frames = board.collect()

            async def hand_over(batch: list[Input] = batch, frames: int = frames) -> None:
                try:
                    if batch:
                        await commit(batch)
                finally:
                    board.release(frames)
                    commits.release()

            # Not awaited here: a commit may linger, and the next frames' detections must be admitted meanwhile.
            group.create_task(hand_over())

    async def _settle_time(self, board: Board) -> None:
        """Every second: the time that nothing looked at."""
        while True:
            await self._clock.sleep(1.0)
            board.passed()


def _first(failures: ExceptionGroup[Exception]) -> Exception:
    """The one that came first: whoever runs a source waits for errors by their own kinds."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, ExceptionGroup) else failure


async def _raise(failed: asyncio.Future[None]) -> None:
    await failed
