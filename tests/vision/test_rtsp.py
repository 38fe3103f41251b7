"""A real RTSP camera: its good day, a wrong password, a freeze, a reboot."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from gateway.clock import WallClock
from gateway.config.common import Secret
from gateway.config.model import Camera, Login
from gateway.config.scalars import Duration
from gateway.errors import CameraError, LoginRefused
from gateway.vision.stream import Stream, shown, with_login
from gateway.vision.vision import Vision
from tests.vision.running import Door, eventually, our_threads, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.manifest import Manifest
    from tests.servers.rtsp import Serve

NS = 1_000_000_000


async def test_an_rtsp_camera_is_analysed_now(rtsp: Serve, video: Callable[..., Path], yolox: Manifest) -> None:
    """Given a camera, then its detections come with times of now, always forward, and its time is analysed."""
    server = rtsp(video(frames=300))
    async with running({"gate": Camera(detect=server.url)}, yolox) as (_, door):
        await door.until(lambda: len(door.detections("gate")) > 6)
        now_ns = WallClock().now_ns()
    times = [got.event_ns for got in door.detections("gate")]
    assert all(a < b for a, b in itertools.pairwise(times))
    assert abs(now_ns - times[-1]) < 2 * NS
    assert door.looked("gate")[-1].why == "analysed"
    assert door.health("camera/gate", "connected") == [True]
    assert len(door.detections("gate")[0].score) == 6


async def test_a_refused_password_is_tried_twice_and_a_new_one_at_once(
    rtsp: Serve,
    video: Callable[..., Path],
    yolox: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refused password is tried twice and a new one at once.

    Given a wrong password, then the camera hears from us twice and not again; when the secret's file changes, it is
    analysed; and no log, error or Health shows either password.
    """
    monkeypatch.setattr("gateway.vision.camera._LOOK_S", 0.05)
    caplog.set_level(logging.DEBUG)
    server = rtsp(video(frames=300), user="zhiwang", password="r1ght/word")
    secret = tmp_path / "password"
    secret.write_text("wr0ng@word\n")
    camera = Camera(detect=server.url, login=Login(user="zhiwang", password=Secret(file="password")))
    neighbour = Camera(detect=str(video()), loop=True)
    async with running({"gate": camera, "next": neighbour}, yolox, tmp_path) as (_, door):
        await door.until(lambda: door.health("camera/gate", "login") == [False])
        seen = len(door.detections("next"))
        await door.until(lambda: len(door.detections("next")) > seen + 10)  # two seconds in which we keep still
        assert server.connections == 2
        secret.write_text("r1ght/word\n")
        await door.until(lambda: door.detections("gate"))
    assert door.health("camera/gate", "login") == [False, True]
    assert "401" in door.healths("camera/gate", "login")[0].detail
    said = caplog.text + repr(door.inputs)
    assert "r1ght" not in said
    assert "wr0ng" not in said


async def test_a_camera_that_freezes_is_told_within_3_s_and_comes_back(
    rtsp: Serve, video: Callable[..., Path], yolox: Manifest
) -> None:
    """A camera that freezes is told within 3 s and comes back.

    Given a connected camera that sends nothing any more, then that is told within 3 s and its time is blind; when it
    goes on, it is analysed again, on the connection that it had.
    """
    server = rtsp(video(frames=600))
    async with running({"gate": Camera(detect=server.url)}, yolox) as (_, door):
        await door.until(lambda: len(door.detections("gate")) > 3)
        server.freeze()
        await door.until(lambda: door.health("camera/gate", "frozen") == [True, False])
        await door.until(lambda: door.looked("gate")[-1].why == "blind")
        server.thaw()
        before = len(door.detections("gate"))
        await door.until(lambda: len(door.detections("gate")) > before + 3)
    words = door.healths("camera/gate", "frozen")[1].detail.split()
    assert words[:3] + words[4:] == ["no", "frame", "for", "s", "although", "connected"]
    assert 2 <= float(words[3]) < 3
    assert door.health("camera/gate", "frozen") == [True, False, True]
    assert door.health("camera/gate", "connected") == [True]
    assert server.connections == 1


async def test_a_connection_that_stays_silent_is_given_up(
    rtsp: Serve, video: Callable[..., Path], yolox: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a camera that stays silent, when five times what is blind have passed, then it is dialled anew."""
    monkeypatch.setattr("gateway.vision.camera._GIVE_UP_S", 0.0)
    server = rtsp(video(frames=600))
    camera = Camera(detect=server.url, silent=Duration.parse("0.3 s"))
    async with running({"gate": camera}, yolox) as (_, door):
        await door.until(lambda: len(door.detections("gate")) > 3)
        server.freeze()
        await door.until(lambda: door.health("camera/gate", "connected") == [True, False])
        server.thaw()
        before = len(door.detections("gate"))
        await door.until(lambda: len(door.detections("gate")) > before + 3)
    assert door.health("camera/gate", "frozen") == [True, False, True]
    assert server.connections >= 2


async def test_a_camera_that_reboots_is_found_again(rtsp: Serve, video: Callable[..., Path], yolox: Manifest) -> None:
    """Given a camera that goes away and comes back at its address, then it is told gone, then analysed."""
    server = rtsp(video(frames=300))
    async with running({"gate": Camera(detect=server.url)}, yolox) as (_, door):
        await door.until(lambda: len(door.detections("gate")) > 3)
        server.stop()
        await door.until(lambda: door.health("camera/gate", "connected") == [True, False])
        before = len(door.detections("gate"))
        server.start()
        await door.until(lambda: len(door.detections("gate")) > before + 3)
    assert door.health("camera/gate", "connected") == [True, False, True]


async def test_a_camera_that_answers_nothing_does_not_hold_up_the_end(yolox: Manifest) -> None:
    """A camera that answers nothing does not hold up the end.

    Given one that accepts a connection and is silent, when we are cancelled while libav waits for it, then run() ends
    within 3 s, and the thread by itself when libav's own time is up.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/camera"
        vision = Vision({"gate": Camera(detect=url)}, {"gate": yolox}, Path(), WallClock(), 1)
        loop = asyncio.get_running_loop()
        task = loop.create_task(vision.run(Door().commit))
        connection, _ = await asyncio.to_thread(silent.accept)
        with connection:
            began_s = loop.time()
            task.cancel()
            await asyncio.wait([task])
            assert loop.time() - began_s < 3
            await eventually(lambda: not our_threads())


def test_the_senders_own_time_is_read_from_its_reports(rtsp: Serve, video: Callable[..., Path]) -> None:
    """Given RTCP sender reports, then each frame has the sender's time for it, which here is about now."""
    server = rtsp(video(frames=300))
    clock = WallClock()
    with Stream(server.url) as stream:
        for got in stream.pictures():
            if isinstance(got, av.VideoFrame) and (told_ns := stream.told_ns(got)) is not None:
                break
    assert abs(told_ns - clock.now_ns()) < 5 * NS


def test_no_error_shows_a_login(rtsp: Serve, video: Callable[..., Path]) -> None:
    """Given a login in the address, then neither a refusal nor a dead port repeats it."""
    server = rtsp(video(frames=300), user="zhiwang", password="secret")
    with pytest.raises(LoginRefused) as refused:
        Stream(with_login(server.url, "zhiwang", "hunter2"))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(CameraError) as dead:
            Stream(f"rtsp://zhiwang:hunter2@127.0.0.1:{sock.getsockname()[1]}/x?password=hunter2")
    for caught in (refused, dead):
        assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
        assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("detect", "seen"),
    [
        ("rtsp://u:p@10.0.0.1:554/live?user=u&password=p", "rtsp://10.0.0.1:554/live"),
        ("rtsp://10.0.0.1/live", "rtsp://10.0.0.1/live"),
        ("videos/a.mp4", "videos/a.mp4"),
    ],
)
def test_an_address_is_shown_without_its_login(detect: str, seen: str) -> None:
    """Some cameras keep the password in the query."""
    assert shown(detect) == seen


def test_a_login_survives_its_odd_characters() -> None:
    """Quoted, and in the place of one that was in the address."""
    assert with_login("rtsp://a:b@h:1/x", "user", "p@ss/w:d") == "rtsp://user:p%40ss%2Fw%3Ad@h:1/x"
