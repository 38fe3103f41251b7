"""The exchange between cameras and engines, without either."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from gateway.clock import ReplayClock
from gateway.events import Detections, Health, Looked
from gateway.vision.board import Board, Captured, Closed
from gateway.vision.heads import Found
from gateway.vision.timing import NS

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int16))
START = 1_700_000_000 * NS


@pytest.fixture
def clock() -> ReplayClock:
    """A clock that the test moves."""
    return ReplayClock(START)


@pytest.fixture
def board(clock: ReplayClock) -> Iterator[Board]:
    """Cameras a, b and c, five looks a second each; f waits for its engine."""
    board = Board(dict.fromkeys("abcf", 5.0), START, clock, lambda: None, patient=["f"])
    yield board
    board.close()


def frame(camera: str, number: int, at_s: float) -> Captured:
    """A frame of a camera."""
    return Captured(camera, number, START + round(at_s * NS), av.VideoFrame(16, 16, "yuv420p"))


def test_the_newest_frame_is_taken_and_the_older_ones_are_counted(board: Board) -> None:
    """Given three frames that were all due, when an engine comes, then it gets the third and two were skipped."""
    for number in range(3):
        board.offer(frame("a", number, number * 0.2))
    assert board.take().number == 2
    assert board.seats["a"].counts == {
        "frames": 3, "skipped": 2, "analysed": 0, "corrupt": 0, "boxes": 0, "retries": 0, "asleep": 0,
    }  # fmt: skip


def test_the_camera_that_waited_longest_comes_first(board: Board) -> None:
    """Given three cameras with a fresh frame each and one engine, then they take turns, however fast one of them is."""
    turns = []
    for round_ in range(4):
        for camera in "abc":
            board.offer(frame(camera, 2 * round_, round_ * 0.4))
        board.offer(frame("a", 2 * round_ + 1, round_ * 0.4 + 0.2))
        for _ in range(3):
            captured = board.take()
            turns.append(captured.camera)
            board.done(captured, NOTHING)
    assert "".join(turns) == "abc" * 4


def test_the_rate_is_kept_and_what_is_not_due_is_not_skipped(board: Board) -> None:
    """Given 25 frames a second for 4 s and an engine that is always free, then 5 looks a second are taken, evenly."""
    taken = []
    for i in range(100):
        board.offer(frame("a", i, i * 0.04))
        if board.seats["a"].is_due(START + round(i * 0.04 * NS)):
            captured = board.take()
            taken.append(captured.event_ns)
            board.done(captured, NOTHING)
    assert len(taken) == pytest.approx(20, abs=1)
    assert set(np.diff(taken)) <= {160_000_000, 200_000_000, 240_000_000}
    assert board.seats["a"].counts["skipped"] == 0


def test_one_frame_of_a_camera_is_in_flight(board: Board) -> None:
    """Given a camera whose frame is with an engine, when its next is there, then a second engine takes the other's."""
    board.offer(frame("a", 0, 0))
    first = board.take()
    board.offer(frame("a", 1, 0.2))
    board.offer(frame("b", 0, 0))
    assert board.take().camera == "b"
    board.done(first, NOTHING)
    assert board.take()[:2] == ("a", 1)


def test_when_the_door_is_slow_no_more_is_taken_than_there_is_room(board: Board) -> None:
    """Given an event loop that never releases, then the engine waits; released, it goes on."""
    room = 80  # 4 s of 4 cameras at 5 a second
    for i in range(room):
        board.offer(frame("a", i, i * 0.2))
        board.done(board.take(), NOTHING)
    board.offer(frame("a", room, room * 0.2))
    taken: list[Captured] = []
    engine = threading.Thread(target=lambda: taken.append(board.take()))
    engine.start()
    engine.join(0.05)
    assert engine.is_alive()
    _, handed = board.collect()
    assert handed == room
    board.release(handed)
    engine.join(5)
    assert taken[0].number == room


def test_a_model_failure_gives_the_room_back(board: Board) -> None:
    """Given a model that fails on every frame, then frames are still taken for ever."""
    for i in range(300):
        board.offer(frame("a", i, i * 0.2))
        board.done(board.take(), None)
    assert not any(isinstance(got, Detections) for got in board.collect()[0])


def test_a_patient_camera_waits_until_its_frame_was_taken(board: Board) -> None:
    """Given a file that must not skip, then all its frames are taken, in order, at whatever rate."""
    camera = threading.Thread(target=lambda: [board.offer(frame("f", i, i * 0.01)) for i in range(50)])
    camera.start()
    numbers = []
    for _ in range(50):
        captured = board.take()
        numbers.append(captured.number)
        board.done(captured, NOTHING)
    camera.join(5)
    assert numbers == list(range(50))


def test_the_time_up_to_a_look_is_told_before_what_it_found(board: Board) -> None:
    """Given two looks, then the time between them comes before the second's Detections: rules count in looked time."""
    for i in range(2):
        board.offer(frame("a", i, i * 0.2))
        board.done(board.take(), NOTHING)
    batch, handed = board.collect()
    assert handed == 2
    assert [type(got) for got in batch] == [Detections, Looked, Detections]
    assert batch[1] == Looked("a", START, START + NS // 5, "analysed")


def test_health_is_told_on_changes_only(board: Board) -> None:
    """Given the same condition told ten times, then once; when it changes, once more."""
    for ok in [True] * 10 + [False] * 10 + [True]:
        board.tell("camera/a", "connected", ok=ok, detail="" if ok else "gone")
    assert board.collect()[0] == [
        Health("camera/a", "connected", True),
        Health("camera/a", "connected", False, "gone"),
        Health("camera/a", "connected", True),
    ]


def test_time_without_frames_is_blind_as_it_passes(board: Board, clock: ReplayClock) -> None:
    """Given a look and then nothing, when seconds pass, then each camera's time is settled without gap."""
    board.offer(frame("a", 0, 0))
    board.done(board.take(), NOTHING)
    for _ in range(5):
        clock.advance(1)
        board.passed()
    looked = [got for got in board.collect()[0] if isinstance(got, Looked) and got.camera == "a"]
    assert [got.why for got in looked] == ["analysed", "blind", "blind", "blind", "blind"]
    assert (looked[0].from_ns, looked[-1].to_ns) == (START, START + 5 * NS)


def test_closing_ends_everyone_who_waits(board: Board) -> None:
    """Given an engine without a frame, a patient camera without an engine, a pause: each gets Closed."""
    board.offer(frame("f", 0, 0))
    ended: list[str] = []

    def wait(name: str, call: object) -> None:
        with pytest.raises(Closed):
            call()  # type: ignore[operator]
        ended.append(name)

    board.seats["f"].in_flight = True
    calls = {
        "take": board.take,
        "offer": lambda: board.offer(frame("f", 1, 1)),
        "pause": lambda: board.pause(1000),
    }
    threads = [threading.Thread(target=wait, args=item) for item in calls.items()]
    for thread in threads:
        thread.start()
    board.close()
    for thread in threads:
        thread.join(5)
    assert sorted(ended) == ["offer", "pause", "take"]


def looks(board: Board, cameras: str, a_second: int, seconds: int = 60) -> dict[str, int]:
    """How often each camera is looked at by one engine that manages so many a second, of 10 frames a second each."""
    counts = dict.fromkeys(cameras, 0)
    for step in range(10 * seconds):
        for camera in cameras:
            board.offer(frame(camera, step, step / 10))
        for _ in range((step + 1) * a_second // 10 - step * a_second // 10):
            captured = board.take()
            counts[captured.camera] += 1
            board.done(captured, NOTHING)
            board.release(board.collect()[1])
    return counts


def test_when_the_box_cannot_keep_up_all_keep_the_same_share_of_their_rates(clock: ReplayClock) -> None:
    """Given cameras that want 10, 5 and 5 looks a second and an engine for 10, then they get 5, 2.5 and 2.5."""
    board = Board({"a": 10.0, "b": 5.0, "c": 5.0}, START, clock, lambda: None)
    got = looks(board, "abc", 10)
    assert got == pytest.approx({"a": 300, "b": 150, "c": 150}, abs=3)


def test_priorities_count_when_the_box_cannot_keep_up(clock: ReplayClock) -> None:
    """Given high, normal and low ones and an engine for less than half, then they keep shares of 2 to 1 to a half."""
    board = Board(dict.fromkeys("abc", 10.0), START, clock, lambda: None, weights={"a": 2.0, "b": 1.0, "c": 0.5})
    got = looks(board, "abc", 14)
    assert got == pytest.approx({"a": 480, "b": 240, "c": 120}, abs=3)


def test_what_a_high_camera_does_not_want_the_others_get(clock: ReplayClock) -> None:
    """Given a high one that wants 2 looks a second beside a low and a normal one, then it has them and no more."""
    board = Board({"a": 2.0, "b": 10.0, "c": 10.0}, START, clock, lambda: None, weights={"a": 2.0, "c": 0.5})
    got = looks(board, "abc", 14)
    assert got == pytest.approx({"a": 120, "b": 480, "c": 240}, abs=5)


def test_a_camera_that_was_quiet_has_saved_nothing_up(clock: ReplayClock) -> None:
    """Given one that comes after a minute without it, then it gets its share from there on and not what it missed."""
    board = Board(dict.fromkeys("ab", 10.0), START, clock, lambda: None)
    looks(board, "a", 5)
    for step in range(100):
        for camera in "ab":
            board.offer(frame(camera, 600 + step, 60 + step / 10))
        if step % 2:
            captured = board.take()
            board.done(captured, NOTHING)
    counts = {camera: board.seats[camera].counts["analysed"] for camera in "ab"}
    assert counts == pytest.approx({"a": 300 + 25, "b": 25}, abs=1)


def test_a_batch_is_what_waits_and_leaves_the_others_theirs(board: Board) -> None:
    """Given three frames that wait and no engine idle, then one engine gets them; those of its model, so many."""
    for camera in "abc":
        board.offer(frame(camera, 0, 0))
    first = board.take()
    assert first.camera == "a"
    assert [captured.camera for captured in board.more("bc", 1)] == ["b"]
    assert board.more("a", 5) == []
    assert [captured.camera for captured in board.more("abc", 5)] == ["c"]
    assert board.more("abc", 5) == []
    assert board.more("abc", 0) == []


def test_a_batch_takes_nothing_from_an_engine_that_waits(board: Board) -> None:
    """Given an engine that waits, when two frames come at once, then it has one, whoever gathers a batch meanwhile."""
    taken: list[Captured] = []
    engine = threading.Thread(target=lambda: taken.append(board.take()))
    engine.start()
    while not board._idle:  # nothing else tells that it waits
        threading.Event().wait(0.005)
    with board._changed:  # both come before anyone wakes
        board.offer(frame("a", 0, 0))
        board.offer(frame("b", 0, 0))
        gathered = board.more("abc", 5)
    engine.join(5)
    assert [captured.camera for captured in (*gathered, *taken)] == ["a", "b"]
