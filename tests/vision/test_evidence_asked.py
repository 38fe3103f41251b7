"""The owner of what is asked of cameras: what it leaves, what it drops, and what it does not let others wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import av
import msgspec
import numpy as np

from gateway.clock import WallClock
from gateway.config.box import EvidenceConfig
from gateway.config.model import Camera
from gateway.core.evidence import Wanted
from gateway.errors import Unreachable
from gateway.events import Evidence, RequestRow
from gateway.ports import Row
from gateway.vision.board import Captured, Last
from gateway.vision.evidence import Evidencer
from gateway.vision.evidence_store import Store
from gateway.vision.heads import Found
from tests.vision.running import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.config.manifest import Manifest
    from gateway.events import Health, Input

S = 1_000_000_000


class Around:
    """A maker of two cameras, the inputs it gave, and whether the door is shut."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.clock, self.inputs, self.shut = WallClock(), list[Evidence](), False
        cameras = {name: Camera(detect="x.mp4") for name in ("gate", "dark")}
        self.store = Store(folder, 10_000_000)
        self.maker = Evidencer(
            cameras,
            dict.fromkeys(cameras, manifest),
            EvidenceConfig(clip="off"),
            self.store,
            ZoneInfo("UTC"),
            self.clock,
            self.commit,
            self.report,
            self.open_alerts,
        )

    async def commit(self, batch: Sequence[Input]) -> None:
        """The door."""
        if self.shut:
            raise Unreachable("the gateway ends")
        self.inputs += [one for one in batch if isinstance(one, Evidence)]

    async def report(self, health: Health) -> None:
        """Nobody listens."""

    async def open_alerts(self) -> set[str]:
        """None is."""
        return set()

    def seen(self, number: int, width: int = 64) -> None:
        """The camera `gate` shows a look."""
        frame = av.VideoFrame.from_ndarray(np.full((width, width, 3), 90, np.uint8), "rgb24")
        found = Found(np.array([[8, 8, 24, 56]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int16))
        self.maker.look(Last(Captured("gate", number, self.clock.now_ns(), frame), found))

    def row(self, alert: str, capture: str = "c", camera: str = "gate", ends_s: float = 60) -> Row:
        """A request; with no alert it is held for a second."""
        now = self.clock.now_ns()
        wanted = Wanted(capture, camera, "seen", camera, alert, 0, now, now + S)
        body = msgspec.json.encode(wanted)
        row = RequestRow(capture, "evidence", f"camera/{camera}", now + round(ends_s * S), body)
        return Row(1, now, "", 1, msgspec.msgpack.encode(row))


def manifest_of(path: Path) -> Manifest:
    """That of a model whose first label is a person."""
    from gateway.vision.detector import manifest_of as read  # noqa: PLC0415 - loads onnxruntime
    from tests.vision.conftest import red_yolox  # noqa: PLC0415 - as above

    return read(red_yolox(path / "model.onnx", classes=80))


async def test_what_has_expired_and_what_is_no_evidence_is_left(tmp_path: Path) -> None:
    around = Around(tmp_path, manifest_of(tmp_path))
    around.seen(1)
    reply = RequestRow("r", "reply", "mqtt", around.clock.now_ns() + 60 * S, b"{}")
    rows = [around.row("seen-1", ends_s=-1), Row(2, 0, "", 1, msgspec.msgpack.encode(reply)), Row(3, 0, "", 1, b"\xff")]

    rejected = await around.maker.deliver(rows)

    assert [one.row.position for one in rejected] == [3]
    assert around.inputs == []
    await around.maker.aclose()


async def test_what_no_alert_followed_is_dropped_and_what_one_did_is_the_picture_of_then(tmp_path: Path) -> None:
    around = Around(tmp_path, manifest_of(tmp_path))
    around.seen(1)
    await around.maker.deliver([around.row("", "kept"), around.row("", "dropped")])
    then_ns = around.clock.now_ns()
    running = asyncio.ensure_future(around.maker.run())
    around.seen(2)

    await around.maker.deliver([around.row("seen-1", "kept")])
    await eventually(lambda: around.maker.stats()["dropped"] == 1)

    [made] = around.inputs
    assert made.taken_ns <= then_ns
    assert around.store.read("seen-1", made.sha256)
    assert list((tmp_path / "evidence/held").iterdir()) == []
    running.cancel()
    await around.maker.aclose()


async def test_a_camera_that_shows_nothing_is_waited_for_once_and_by_nobody_else(tmp_path: Path) -> None:
    around = Around(tmp_path, manifest_of(tmp_path))
    around.seen(1)
    rows = [around.row(f"dark-{n}", f"d{n}", "dark") for n in range(20)]
    waiting = asyncio.ensure_future(around.maker.deliver([*rows, around.row("seen-1")]))

    await eventually(lambda: around.inputs, 4)
    assert not waiting.done()
    await asyncio.wait_for(waiting, 20)  # 20 × 5 s, if each waited

    assert [one.alert for one in around.inputs] == ["seen-1"]
    assert around.maker.stats()["missed"] == 20
    await around.maker.aclose()


async def test_what_the_door_did_not_take_is_asked_for_again(tmp_path: Path) -> None:
    around = Around(tmp_path, manifest_of(tmp_path))
    around.seen(1)
    around.shut = True
    row, failed = around.row("seen-1"), False
    try:
        await around.maker.deliver([row])
    except Unreachable:
        failed = True
    around.shut = False
    await around.maker.deliver([row])

    assert failed
    assert [one.alert for one in around.inputs] == ["seen-1"]
    await around.maker.aclose()


async def test_what_was_held_by_a_process_that_was_killed_goes_with_the_alert(tmp_path: Path) -> None:
    killed = Around(tmp_path, manifest_of(tmp_path))
    killed.seen(1)
    await killed.maker.deliver([killed.row("", "seen-0-17")])
    [held] = (tmp_path / "evidence/held").iterdir()
    jpeg = held.read_bytes()
    around = Around(tmp_path, manifest_of(tmp_path))  # whose camera has not shown anything yet

    await around.maker.deliver([around.row("seen-1", "seen-0-17")])

    [made] = around.inputs
    assert around.store.read("seen-1", made.sha256) == jpeg
    assert not held.exists()
    await killed.maker.aclose()
    await around.maker.aclose()


async def test_a_frame_of_one_pixel_costs_nothing_else(tmp_path: Path) -> None:
    around = Around(tmp_path, manifest_of(tmp_path))
    around.seen(1, width=1)

    await around.maker.deliver([around.row("seen-1")])

    assert len(around.inputs) + around.maker.stats()["missed"] == 1
    await around.maker.aclose()
