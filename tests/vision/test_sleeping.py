"""Cameras that sleep: only key frames are decoded where nothing moves, and whoever comes wakes them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import av
import pytest

from gateway.config.model import Camera, Motion
from gateway.config.scalars import Duration
from gateway.vision.sleep import LONGEST_NS, Sleep, Step
from gateway.vision.stream import Skipped, Stream, pts_ns
from tests.vision.running import running
from tests.vision.scenes import HEIGHT, WIDTH, noisy, street
from tests.vision.test_motion import walker

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from gateway.config.manifest import Manifest
    from gateway.vision.annexb import Codec
    from tests.servers.rtsp import Serve
    from tests.vision.scenes import At, Picture

NS = 1_000_000_000
FPS = 10
GOP = 2 * FPS
STREET = street()
COMES_S, GOES_S = 20.0, 23.0
SLEEPY = Motion(every=Duration(3 * NS), sleep=Duration(5 * NS))


def quiet_street(at_s: float) -> Picture:
    """Somebody walks by between two times, well within a group of pictures."""
    return walker(STREET, 300 + 40 * (at_s - COMES_S), size=(16, 50)) if COMES_S <= at_s < GOES_S else STREET


def movie(path: Path, at: At, seconds: float, rng: np.random.Generator, codec: str = "libx264", **options: str) -> Path:
    """As a camera encodes it: a key frame every 2 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={"preset": "veryfast", "qp": "27", **options})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", GOP
        stream.codec_context.thread_count = 1
        for number in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(noisy(at(number / FPS), 2.0, rng), "gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    return path


class Asleep(Sleep):
    """Sleeps at the first chance, and wakes only when told."""

    def __init__(self) -> None:
        super().__init__(0)

    def rest(self) -> None:
        """Nothing moves."""
        self.saw(NS, moved=False)

    def rise(self) -> None:
        """A key frame showed something."""
        self.saw(0, moved=True)


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    """The sensor's noise."""
    import numpy  # noqa: ICN001, PLC0415 - only here

    return numpy.random.default_rng(11)


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory, rng: np.random.Generator) -> Path:
    """Half a minute of a street in which somebody walks by after 20 s."""
    return movie(tmp_path_factory.mktemp("movies") / "visited.mp4", quiet_street, 32, rng, bf="0")


async def test_a_quiet_camera_sleeps_and_wakes_at_once_when_somebody_comes(visited: Path, yolox: Manifest) -> None:
    """A quiet camera sleeps and wakes at once when somebody comes.

    Given a street that was quiet for 5 s, then most frames are no longer decoded, a look is had at least every 3 s and
    a key frame, all that time is covered, and within two frames of somebody coming it is looked at.
    """
    camera = Camera(detect=str(visited), rate=FPS, motion=SLEEPY)
    async with running({"gate": camera}, yolox, gated=True, every_nth=1, paced=False, start_ns=NS) as (vision, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
        counts = vision.camera_stats()["gate"]
    times = [(got.event_ns - NS) / NS for got in door.detections("gate")]
    assert counts["frames"] == 32 * FPS
    assert counts["asleep"] > 10 * FPS
    assert min(at_s for at_s in times if at_s >= COMES_S) <= COMES_S + 2 / FPS
    assert len([at_s for at_s in times if COMES_S <= at_s < GOES_S]) > 0.9 * (GOES_S - COMES_S) * FPS
    assert max(b - a for a, b in itertools.pairwise(times)) <= 3 + GOP / FPS
    assert [got.frame for got in door.detections("gate")] == [round(at_s * FPS) + 1 for at_s in times]
    looked = [got for got in door.looked("gate") if got.to_ns <= 31 * NS]
    assert {got.why for got in looked} == {"analysed", "still"}
    assert all(a.to_ns == b.from_ns for a, b in itertools.pairwise(looked))


async def test_what_packets_do_not_tell_the_next_key_frame_does(
    visited: Path, yolox: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given packets that tell nothing, then the delay is at most the distance of two key frames."""
    monkeypatch.setattr("gateway.vision.sleep._KNOWN", 10**9)
    camera = Camera(detect=str(visited), rate=FPS, motion=SLEEPY)
    async with running({"gate": camera}, yolox, gated=True, every_nth=1, paced=False, start_ns=NS) as (vision, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
        asleep = vision.camera_stats()["gate"]["asleep"]
    times = [(got.event_ns - NS) / NS for got in door.detections("gate")]
    assert asleep > 10 * FPS
    assert min(at_s for at_s in times if at_s > COMES_S) <= COMES_S + GOP / FPS
    assert len([at_s for at_s in times if COMES_S + GOP / FPS <= at_s < GOES_S]) >= 0.9 * (GOES_S - COMES_S - GOP / FPS)


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "2", "b-adapt": "0"}, {"codec": "libx265"}])
def test_after_waking_the_pictures_are_those_of_one_who_never_slept(
    options: dict[str, str], tmp_path: Path, rng: np.random.Generator
) -> None:
    """After waking the pictures are those of one who never slept.

    Given a stream, also with frames that are coded from later ones, that sleeps for a while and wakes in the middle of
    a group of pictures, then it shows each frame from there on as it is, and of the time before only key frames.
    """
    more = {"x265-params": "log-level=none:bframes=0"} if options.get("codec") else {}
    path = movie(tmp_path / "a.mp4", lambda at_s: walker(STREET, 40 + 20 * at_s), 12, rng, **options, **more)
    with Stream(str(path)) as stream:
        truth = {pts_ns(got): got.to_ndarray() for got in stream.pictures() if isinstance(got, av.VideoFrame)}
    sleep, skipped, seen = Asleep(), list[int](), dict[int | None, object]()
    with Stream(str(path), sleep=sleep) as stream:
        for got in stream.pictures():
            if isinstance(got, Skipped):
                skipped.append(got.at_ns)
            elif isinstance(got, av.VideoFrame):
                at_ns = pts_ns(got)
                assert at_ns not in seen
                seen[at_ns] = got.to_ndarray().tobytes()
            if len(skipped) < 50:
                sleep.rest()
            elif sleep.asleep:
                sleep.rise()
    assert len(skipped) == 50
    assert all(truth[at_ns].tobytes() == picture for at_ns, picture in seen.items())
    woke_ns = max(skipped)
    assert {at_ns for at_ns in truth if at_ns > woke_ns + 2 * NS // FPS} <= set(seen)
    assert len(truth) - len(seen) == pytest.approx(50, abs=3)


class Tape:
    """Keeps what a camera's packets are said to be."""

    def __init__(self) -> None:
        self.got: list[tuple[int, int, bool]] = []

    def wants(self, camera: str) -> bool:
        """All."""
        return bool(camera)

    def began(self, camera: str) -> None:
        """A connection."""

    def packet(self, camera: str, event_ns: int, codec: Codec, data: bytes, *, key: bool) -> None:
        """One picture."""
        del camera, codec
        self.got.append((event_ns, len(data), key))

    def unfit(self, camera: str, codec: str) -> None:
        """None of ours is."""
        raise AssertionError(camera, codec)


async def test_a_recording_is_the_same_asleep_or_awake(visited: Path, yolox: Manifest) -> None:
    """Given a camera that is recorded, then it has the same packets with the same times whether it sleeps or not."""
    tapes = []
    for motion in (SLEEPY, "off"):
        tape = Tape()
        camera = Camera(detect=str(visited), rate=FPS, motion=motion)  # type: ignore[arg-type]
        how = {"gated": True, "every_nth": 1, "paced": False, "start_ns": NS, "video": tape}
        async with running({"gate": camera}, yolox, **how) as (_, door):
            await door.until(lambda door=door: door.health("camera/gate", "ended") == [True, False])
        tapes.append(tape.got)
    assert len(tapes[0]) == 32 * FPS
    assert tapes[0] == tapes[1]


async def test_a_sleeper_that_falls_silent_is_told_within_3_s(
    rtsp: Serve, tmp_path: Path, rng: np.random.Generator, yolox: Manifest
) -> None:
    """Given a live camera that sleeps, when nothing comes any more, then that is told as soon as of one awake."""
    path = movie(tmp_path / "still.mp4", lambda _: STREET, 60, rng, bf="0")
    server = rtsp(path)
    camera = Camera(detect=server.url, motion=Motion(every=Duration(NS), sleep=Duration(NS)))
    async with running({"gate": camera}, yolox, gated=True) as (vision, door):
        await door.until(lambda: door.looked("gate") and vision.camera_stats()["gate"]["asleep"] > FPS)
        assert door.looked("gate")[-1].why in {"still", "analysed"}
        server.freeze()
        await door.until(lambda: door.health("camera/gate", "frozen") == [True, False])
        server.thaw()
        await door.until(lambda: door.health("camera/gate", "frozen") == [True, False, True])
    words = door.healths("camera/gate", "frozen")[1].detail.split()
    assert 2 <= float(words[3]) < 3


async def test_a_picture_that_repeats_is_told_of_a_sleeper(
    tmp_path: Path, rng: np.random.Generator, yolox: Manifest
) -> None:
    """Given a sleeper that sends one picture again and again, then it is told with its third key frame."""
    frozen = noisy(STREET, 2.0, rng)
    path = tmp_path / "repeats.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "qp": "22", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", GOP
        stream.codec_context.thread_count = 1
        for number in range(30 * FPS):
            picture = noisy(STREET, 2.0, rng) if number < 15 * FPS else frozen
            frame = av.VideoFrame.from_ndarray(picture, "gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    camera = Camera(detect=str(path), rate=FPS, motion=SLEEPY)
    async with running({"gate": camera}, yolox, gated=True, every_nth=1, paced=False, start_ns=NS) as (vision, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
        asleep = vision.camera_stats()["gate"]["asleep"]
    assert asleep > 5 * FPS
    blind_ns = next(got.from_ns for got in door.looked("gate") if got.why == "blind")
    assert 15 < (blind_ns - NS) / NS <= 15 + 3 * GOP / FPS


def packets(sleep: Sleep, seconds: float, *, gop_s: float = 2.0, from_s: float = 0.0) -> list[Step]:
    """Quiet packets of 10 a second."""
    steps = []
    for number in range(round(from_s * FPS), round((from_s + seconds) * FPS)):
        steps.append(sleep.packet(number * NS // FPS, 300, key=number % round(gop_s * FPS) == 0))
        if steps[-1] is not Step.SKIP:
            sleep.saw(number * NS // FPS, moved=False)
    return steps


def test_none_sleeps_whose_key_frames_are_far_apart() -> None:
    """Given a key frame every 5 s, then every packet is decoded; every 4 s, then it sleeps."""
    assert set(packets(Sleep(3 * NS), 60, gop_s=5)) == {Step.DECODE}
    assert Step.SKIP in packets(Sleep(3 * NS), 60, gop_s=LONGEST_NS / NS)


def test_one_whose_key_frames_stay_away_wakes() -> None:
    """Given a sleeper, when no key frame comes for 4 s, then it wakes, and does not sleep before they come again."""
    sleep = Sleep(3 * NS)
    packets(sleep, 20)
    assert sleep.asleep
    steps = [sleep.packet(number * NS // FPS, 300, key=False) for number in range(20 * FPS, 30 * FPS)]
    assert steps.index(Step.DECODE) <= LONGEST_NS / NS * FPS
    assert not sleep.asleep


def test_one_that_wakes_for_nothing_is_warier_until_it_was_for_something() -> None:
    """Given a sleeper that a large packet wakes for nothing, then it takes a larger one the next time."""
    sleep = Sleep(3 * NS)
    packets(sleep, 20)
    woken = list[int]()
    for number, size in enumerate((300, 1500, 1500, 2000), 20 * FPS):
        sleep.packet(number * NS // FPS, size, key=size == 300)
        if not sleep.asleep:
            woken.append(size)
            sleep.asleep = True
    assert woken == [1500, 2000]


def test_where_every_frame_is_a_key_frame_one_a_second_is_decoded() -> None:
    """Given MJPEG, then a sleeper decodes one picture a second."""
    steps = packets(Sleep(3 * NS), 30, gop_s=1 / FPS)[10 * FPS :]
    assert set(steps) == {Step.KEY, Step.SKIP}
    assert 18 <= steps.count(Step.KEY) <= 23
