"""Vision at work in a test: a door that keeps what it was given, and threads that must be gone afterwards."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.clock import WallClock
from gateway.events import Detections, Health, Input, Looked
from gateway.vision.vision import Vision

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from gateway.config.manifest import Manifest
    from gateway.config.model import Camera


class Door:
    """Keeps every input in order."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self._came = asyncio.Event()

    async def commit(self, batch: Sequence[Input]) -> None:
        """Durable at once."""
        self.inputs.extend(batch)
        self._came.set()

    def detections(self, camera: str) -> list[Detections]:
        """Of one camera."""
        return [got for got in self.inputs if isinstance(got, Detections) and got.camera == camera]

    def looked(self, camera: str) -> list[Looked]:
        """Of one camera."""
        return [got for got in self.inputs if isinstance(got, Looked) and got.camera == camera]

    def health(self, component: str, condition: str) -> list[bool]:
        """How a condition went."""
        return [got.ok for got in self.healths(component, condition)]

    def healths(self, component: str, condition: str) -> list[Health]:
        """What was said of a condition."""
        told = [got for got in self.inputs if isinstance(got, Health)]
        return [got for got in told if (got.component, got.condition) == (component, condition)]

    async def until(self, holds: Callable[[], object], timeout_s: float = 20) -> None:
        """Wait for a condition on what came."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                await self._came.wait()
                self._came.clear()


async def eventually(holds: Callable[[], object], timeout_s: float = 20) -> None:
    """Wait for a condition that nothing announces."""
    async with asyncio.timeout(timeout_s):
        while not holds():  # noqa: ASYNC110 - counts have no event
            await asyncio.sleep(0.02)


def our_threads() -> list[str]:
    """Names of vision's threads that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("camera-", "engine-"))]


@asynccontextmanager
async def running(
    cameras: Mapping[str, Camera],
    manifests: Manifest | Mapping[str, Manifest],
    base: Path = Path(),
    **options: object,
) -> AsyncIterator[tuple[Vision, Door]]:
    """Vision runs inside the block; after it no thread of it is left. It looks at what stands still, too."""
    by_camera = manifests if isinstance(manifests, dict) else dict.fromkeys(cameras, manifests)
    how = {"gated": False, **options}
    vision = Vision(cameras, by_camera, base, WallClock(), 1, **how)  # type: ignore[arg-type]
    door = Door()
    task = asyncio.get_running_loop().create_task(vision.run(door.commit))
    try:
        yield vision, door
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task
        assert not our_threads()
