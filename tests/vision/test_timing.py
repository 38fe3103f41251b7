"""When frames were taken."""

from __future__ import annotations

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vision.timing import NS, FileTime, FrameRate, LiveTime, SenderClock

START = 1_700_000_000 * NS


@given(st.lists(st.floats(0, 0.5), min_size=2, max_size=60))
def test_jitter_falls_out_of_live_times(delays: list[float]) -> None:
    """Jitter falls out of live times.

    Given frames every 100 ms that arrive in order after any delay, then times never go back and never run ahead of
    arrival, and each is the frame's own time plus the smallest delay so far, as soon as order allows.
    """
    sent = [START + i * NS // 10 for i in range(len(delays))]
    arrivals = list(accumulate((at + round(delay * NS) for at, delay in zip(sent, delays, strict=True)), max))
    live = LiveTime()
    times = [live.event_ns(at - START, arrival) for at, arrival in zip(sent, arrivals, strict=True)]
    assert all(a < b for a, b in pairwise(times))
    assert all(time <= arrival + i for i, (time, arrival) in enumerate(zip(times, arrivals, strict=True)))
    smallest = list(accumulate((arrival - at for at, arrival in zip(sent, arrivals, strict=True)), min))
    for i in range(1, len(times)):
        assert times[i] == max(times[i - 1] + 1, sent[i] + smallest[i])


def test_a_drifting_camera_clock_does_not_carry_times_away() -> None:
    """Given a camera whose clock loses 1,000 ppm for an hour, then event time stays within 0.2 s of arrival."""
    live = LiveTime()
    for second in range(3600):
        arrival = START + second * NS
        event = live.event_ns(second * NS - second * NS // 1000, arrival)
        assert arrival - event < NS // 5


def test_a_new_connection_starts_a_new_count() -> None:
    """Given a PTS that starts at 0 again after a reconnect 5 s later, then times follow arrival, not the old count."""
    live = LiveTime()
    for i in range(50):
        live.event_ns(i * NS // 10, START + i * NS // 10)
    live.again()
    assert live.event_ns(0, START + 10 * NS) == START + 10 * NS


@pytest.mark.parametrize("step_s", [-3600, -9, -5, -1, 5, 9, 3600])
def test_a_count_that_jumps_in_a_connection_moves_no_time(step_s: int) -> None:
    """Given a PTS that jumps back or ahead mid-stream, then times follow arrival as before, from the first frame on."""
    live = LiveTime()
    for i in range(100):
        arrival = START + i * NS // 10
        jumped = step_s * NS if i >= 50 else 0
        assert live.event_ns(10_000 * NS + i * NS // 10 + jumped, arrival) == arrival


def test_a_clock_that_is_set_back_lets_no_time_stand_still() -> None:
    """Given a sender's clock that is set back by 5 s, then times go on at half their pace until they are its own."""
    live = LiveTime()
    for i in range(50):
        live.event_ns(i * NS // 10, START + i * NS // 10, START + i * NS // 10)
    told = [START - 5 * NS + i * NS // 10 for i in range(50, 250)]
    times = [live.event_ns(i * NS // 10, START + i * NS // 10, told[i - 50]) for i in range(50, 250)]
    assert {b - a for a, b in pairwise(times[:80])} == {NS // 20}
    assert times[100:] == told[100:]


def test_the_senders_report_is_believed_within_bounds() -> None:
    """Given a sender that tells the time, then that is it; one that was never set (1970) is not believed."""
    live = LiveTime()
    assert live.event_ns(0, START, START - 2 * NS) == START - 2 * NS
    assert live.event_ns(NS, START + NS, 3 * NS) == START + NS
    assert LiveTime().event_ns(0, START, START + 3600 * NS) == START


def test_a_stream_without_pts_has_its_arrival() -> None:
    """Nothing else is known; even so never backwards."""
    live = LiveTime()
    assert live.event_ns(None, START) == START
    assert live.event_ns(None, START - NS) == START + 1


def test_a_files_loops_join_without_a_step_back() -> None:
    """Given a file at 10 fps whose PTS begin at 7 s, played twice, then its times are even over the seam."""
    times = FileTime(START)
    seen = [times.event_ns(7 * NS + i * NS // 10) for i in range(5)]
    times.again()
    seen += [times.event_ns(7 * NS + i * NS // 10) for i in range(5)]
    assert seen == [START + i * NS // 10 for i in range(10)]


def test_a_frame_that_leaps_ahead_is_not_the_step_of_those_after_it() -> None:
    """Given a file at 10 fps of which one frame says it is 5 s later, then those after it follow it 0.1 s apart."""
    times = FileTime(0)
    seen = [times.event_ns(i * NS // 10 + (5 * NS if i == 5 else 0)) for i in range(20)]
    assert {b - a for a, b in pairwise(seen)} == {NS // 10, NS // 10 + 5 * NS}
    assert seen[-1] == 19 * NS // 10 + 5 * NS


@given(st.lists(st.one_of(st.none(), st.integers(0, 10 * NS)), min_size=1, max_size=40), st.integers(1, 3))
def test_whatever_a_file_says_its_times_go_forward(stamps: list[int | None], loops: int) -> None:
    """Missing, repeated and backward PTS."""
    times = FileTime(START)
    seen: list[int] = []
    for _ in range(loops):
        seen += [times.event_ns(stamp) for stamp in stamps]
        times.again()
    assert all(a < b for a, b in pairwise(seen))


# ── how many come ──


def rates(wanted: float, promised: float | None, *spans: tuple[float, float]) -> list[tuple[float, bool]]:
    """When (s) a rate was said to be right or wrong, over spans of (seconds, frames a second)."""
    rate, at_s = FrameRate(wanted), 0.0
    rate.again(promised)
    told = []
    for seconds, per_s in spans:
        for _ in range(round(seconds * per_s)):
            at_s += 1 / per_s
            if (ok := rate.frame(round(at_s * NS))) is not None and (not told or told[-1][1] is not ok):
                told.append((round(at_s), ok))
    return told


def test_a_camera_that_sends_too_few_frames_is_told_after_half_a_minute() -> None:
    """Given five looks a second wanted and three frames coming, then that is told; and when it is right again."""
    assert rates(5, 25, (30, 25), (60, 3), (60, 25)) == [(20, True), (60, False), (110, True)]


def test_half_of_the_promise_is_a_night_and_a_third_is_not() -> None:
    """Given a stream that promises 25, then 12.5 are right, as cameras see longer at night, and 8 are not."""
    assert rates(5, 25, (120, 12.5)) == [(20, True)]
    assert rates(5, 25, (60, 8)) == [(30, False)]
    assert rates(5, None, (60, 8)) == [(20, True)]


def test_a_stutter_is_no_rate() -> None:
    """Given two windows of too few frames, or a silence that is told by itself, then nothing is said."""
    assert rates(5, 25, (30, 25), (20, 2), (30, 25)) == [(20, True)]
    rate = FrameRate(5)
    for at_s in range(0, 600, 40):  # each time a few frames, then silence
        rate.again()
        assert [rate.frame((at_s * 10 + number) * NS // 10) for number in range(20)] == [None] * 20


@given(st.lists(st.integers(0, 20 * NS), max_size=200))
def test_any_times_have_a_rate(steps: list[int]) -> None:
    """Given frames at any distance, even none, then it never fails, and has words for what it says."""
    rate, at_ns = FrameRate(5), 0
    for step in steps:
        at_ns += step
        if rate.frame(at_ns) is not None:
            assert "looks/s are wanted" in rate.words()


def clock(*spans: tuple[int, float | None]) -> tuple[list[tuple[int, bool]], str]:
    """When (s) a sender's clock was said to be right or wrong, over spans of (seconds, s it is ahead)."""
    sender, at_s, told = SenderClock(), 1_700_000_000, []
    for seconds, ahead_s in spans:
        for _ in range(seconds):
            at_s += 1
            if (ok := sender.told(None if ahead_s is None else round((at_s + ahead_s) * NS), at_s * NS)) is not None:
                told.append((at_s - 1_700_000_000, ok))
    return told, sender.words()


def test_a_senders_clock_that_is_wrong_is_told_when_it_stays_so() -> None:
    """Given a minute behind, then that is told by its amount, and when somebody set it; a second of it is nothing."""
    told, _ = clock((60, 0.2), (3, -60.0), (60, 0.2), (60, -60.0), (60, 0.0))
    assert [ok for _, ok in told] == [True, False, True]
    assert told[1][0] == 123 + 31
    assert clock((60, -61.0))[1] == "its clock is 61 s behind ours; frames are timed by their arrival"


def test_a_sender_that_states_no_time_of_day_is_not_wrong() -> None:
    """Given reports that count from the camera's start, or none at all, then nothing is said."""
    assert clock((100, -1_690_000_000.0))[0] == []
    assert clock((100, None))[0] == []
