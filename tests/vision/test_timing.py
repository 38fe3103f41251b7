"""When frames were taken."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.vision.timing import NS, FileTime, LiveTime

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


@given(st.lists(st.one_of(st.none(), st.integers(0, 10 * NS)), min_size=1, max_size=40), st.integers(1, 3))
def test_whatever_a_file_says_its_times_go_forward(stamps: list[int | None], loops: int) -> None:
    """Missing, repeated and backward PTS."""
    times = FileTime(START)
    seen: list[int] = []
    for _ in range(loops):
        seen += [times.event_ns(stamp) for stamp in stamps]
        times.again()
    assert all(a < b for a, b in pairwise(seen))
