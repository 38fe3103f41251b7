"""Decoding in hardware: what there is is tried, and where it does not work the CPU decodes, and that is said."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import av
import pytest
from av.codec.hwaccel import hwdevices_available

from gateway.config.model import Camera
from gateway.vision import hardware
from gateway.vision.stream import Stream
from tests.vision.running import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.config.manifest import Manifest


@pytest.fixture
def kind() -> str:
    """One that PyAV was built for, whether or not there is such a device."""
    kinds = hwdevices_available()
    if not kinds:
        pytest.skip("PyAV was built without any")
    return kinds[0]


def test_without_a_device_the_cpu_decodes() -> None:
    """Given no device of any kind, then nothing is tried."""

    def never(kind: str) -> None:
        raise AssertionError(kind)

    assert hardware.choose(there=lambda _: False, works=never) is None


def test_a_device_that_does_not_work_is_said_and_the_next_one_tried(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a device that is there and fails, then the log names it and why, and the CPU decodes."""
    caplog.set_level(logging.INFO)

    def fails(kind: str) -> None:
        raise NotImplementedError(f"no {kind} today")

    assert hardware.choose({kind: "/dev/card"}, there=lambda _: True, works=fails) is None
    assert f"cameras are not decoded by {kind} although /dev/card is there: no {kind} today" in caplog.text
    assert "cameras are decoded by the CPU" in caplog.text


def test_the_first_that_works_is_taken(kind: str) -> None:
    """Given one that works, then it is the one."""
    assert hardware.choose({kind: "/dev/card"}, there=lambda _: True, works=lambda _: None) == kind


def test_what_claims_to_be_there_is_really_tried(kind: str) -> None:
    """Given every device said to be there on a machine that has none, then trying them finds that out."""
    if any(hardware.choose({one: device}) for one, device in hardware.DEVICES.items()):
        pytest.skip("this machine has one")
    assert hardware.choose({kind: "/dev/card"}, there=lambda _: True) is None


def test_a_stream_that_may_use_hardware_gives_the_same_pictures_without_any(video: Callable[..., Path]) -> None:
    """Given `decode: auto` and no device that works, then the pictures are those of `software`."""
    pictures = []
    for may in (True, False):
        with Stream(str(video()), hardware=may) as stream:
            pictures.append([got.to_ndarray().tobytes() for got in stream.pictures() if isinstance(got, av.VideoFrame)])
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize("decode", ["auto", "software"])
async def test_a_camera_is_analysed_with_either_setting(
    decode: str, video: Callable[..., Path], yolox: Manifest
) -> None:
    """Given either, then the block is found."""
    camera = Camera(detect=str(video()), decode=decode)  # type: ignore[arg-type]
    async with running({"gate": camera}, yolox, every_nth=1, paced=False) as (_, door):
        await door.until(lambda: door.detections("gate"))
    assert len(door.detections("gate")[0].score) == 6
