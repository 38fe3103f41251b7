"""Video around alerts: the seconds before one, from a key frame on, and those after; within bounds, nothing twice."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.clock import ReplayClock
from gateway.config.box import Recording
from gateway.config.model import Camera, Rule, RuleCommon
from gateway.config.scalars import Duration
from gateway.core.rules.count import Count
from gateway.events import AlertRow
from gateway.recording import video
from gateway.recording.video import VideoTap, decode
from tests.recording.films import NS, START

if TYPE_CHECKING:
    import pytest

    from gateway.recording.beside import Beside

FPS = 10
GOP = 20  # a key frame every 2 s


class Street:
    """A camera whose packets are numbered, a rule that looks through it, and what was recorded of it."""

    def __init__(self, wanted: str = "alerts", around_s: int = 10) -> None:
        self.clock = ReplayClock(START)
        self.kept: list[int] = []
        self.log_ns: list[int] = []
        self.full = False
        cameras = {"gate": Camera(detect="rtsp://gate"), "river": Camera(detect="rtsp://river")}
        kind = Count(count="person", in_="gate.zebra", levels={"yellow": 1})
        settings = Recording(video=wanted, around=Duration(around_s * NS))  # type: ignore[arg-type]
        rules = {"crowd": Rule("crowd", RuleCommon(), "count", kind)}
        self.tap = VideoTap(cameras, rules, settings, self.clock, self._beside)
        self.tap.began("gate")
        self._next = 0

    def _beside(self, channel: Beside, log_ns: int, data: bytes) -> bool:
        if not self.full:
            assert channel.topic == "/camera/gate/video"
            self.kept.append(int.from_bytes(decode(data).data[:4]))
            self.log_ns.append(log_ns)
        return not self.full

    def pass_s(self, seconds: float, *, size: int = 100) -> None:
        """So long the camera sends."""
        for _ in range(round(seconds * FPS)):
            number, self._next = self._next, self._next + 1
            at = self.clock.now_ns()
            self.tap.packet("gate", at, "h264", number.to_bytes(4) + bytes(size), key=number % GOP == 0)
            self.clock.advance(1 / FPS)

    def alert(self, change: str = "raised", rule: str = "crowd", camera: str | None = None) -> None:
        """A change of an alert becomes durable."""
        body = msgspec.json.encode({"camera": camera, "rule": rule})
        row = AlertRow(1, "a", rule, "s", "city", ("minor",), change, "active", True, False, START, body)
        self.tap.alerts([row])


def test_the_seconds_before_and_after_are_recorded_from_a_key_frame_on() -> None:
    """Given a minute of nothing, then an alert, then what is recorded begins with the last key frame that is at least
    10 s old and ends 10 s after; nothing is recorded before the alert.
    """  # noqa: D205 - one thought
    street = Street()
    street.pass_s(61)
    assert not street.kept
    street.alert()
    assert street.kept == list(range(500, 610))  # 500: the key frame 11 s ago
    street.pass_s(30)
    assert street.kept == list(range(500, 710))
    assert street.log_ns == [START + number * NS // FPS for number in street.kept]  # when they came, not when written


def test_alerts_close_together_record_nothing_twice_and_leave_no_hole() -> None:
    """Given a second alert within the first's time, and a third soon after, then one film without hole."""
    street = Street()
    street.pass_s(20)
    street.alert()
    street.pass_s(5)
    street.alert("raised_level")
    street.pass_s(14)
    street.alert("returned")
    street.pass_s(20)
    assert street.kept == list(range(80, 490))


def test_what_ends_or_belongs_elsewhere_records_nothing() -> None:
    """Given changes that raise nothing, and alerts of other rules and cameras, then nothing; one whose body names the
    camera records it.
    """  # noqa: D205 - one thought
    street = Street()
    street.pass_s(12)
    for change in ("cleared", "updated", "acknowledged", "closed", "lowered_level"):
        street.alert(change)
    street.alert(rule="flood")
    street.alert(rule="flood", camera="river")
    assert not street.kept
    street.alert(rule="health", camera="gate")
    assert street.kept == list(range(120))


def test_a_connection_that_begins_anew_does_not_go_on_from_the_one_before() -> None:
    """Given a reconnection, then packets before the next key frame are left out, for an alert and for always."""
    for wanted in ("alerts", "always"):
        street = Street(wanted)
        street.pass_s(5)
        street.tap.began("gate")
        street.pass_s(5)
        street.alert()
        assert street.kept == [*range(50), *range(60, 100)]


def test_the_ring_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Given 4 MB a second, then the ring holds 8 MB from a key frame on; given a group larger than the ring, nothing
    before the next key frame, and the log says once what to ask of the camera.
    """  # noqa: D205 - one thought
    street = Street()
    street.pass_s(15, size=200_000)
    street.alert()
    street.pass_s(1)
    assert street.kept == list(range(120, 160))  # 6 MB and on; the group before it has another 4
    street = Street()
    with caplog.at_level(logging.WARNING):
        street.pass_s(9.5, size=video.RING_BYTES // 10)
    street.alert()
    assert not street.kept
    [said] = [record.getMessage() for record in caplog.records]
    assert "camera gate" in said
    assert "key frame every 2 s" in said


def test_after_a_packet_without_room_the_film_goes_on_at_a_key_frame() -> None:
    """Given a recorder without room for a while, then what is missing ends with a key frame, and is counted."""
    street = Street("always")
    street.pass_s(3)
    street.full = True
    street.pass_s(0.2)
    street.full = False
    street.pass_s(2)
    assert street.kept == [*range(30), *range(40, 52)]
    assert street.tap.stats()["dropped"] == 1
    assert street.tap.stats()["packets"] == len(street.kept)


def test_what_an_alert_is_owed_waits_for_room() -> None:
    """Given a recorder without room when an alert is raised, and a camera that is gone for an hour, then what was
    before the alert is recorded with the first packet that comes when there is room.
    """  # noqa: D205 - one thought
    street = Street()
    street.pass_s(12)
    street.full = True
    street.alert()
    street.clock.advance(3600)
    street.full = False
    street.pass_s(1)
    assert street.kept == list(range(121))


def test_a_ring_is_handed_over_bit_by_bit() -> None:
    """Given a ring of 7 MB, then 4 MB are recorded at once and the rest while packets come, in order."""
    street = Street()
    street.pass_s(7, size=100_000)
    street.alert()
    assert street.kept == list(range(40))
    street.pass_s(0.3)
    assert street.kept == list(range(70))
    street.pass_s(0.2)
    assert street.kept == list(range(75))
