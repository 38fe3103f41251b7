"""One camera's thread: open, hand over frames, say what is wrong, try again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.errors import CameraError, LoginRefused
from gateway.vision.board import Board, Captured, Closed
from gateway.vision.gate import Gate, Turn
from gateway.vision.luma import Taken
from gateway.vision.sight import Sight
from gateway.vision.sleep import Sleep
from gateway.vision.stream import Corrupt, Silence, Skipped, Stream, is_file, pts_ns, resolve, shown, with_login
from gateway.vision.tiles import Aim
from gateway.vision.timing import NS, FileTime, FrameRate, LiveTime, SenderClock

if TYPE_CHECKING:
    from pathlib import Path

    import av

    from gateway.config.model import Camera
    from gateway.ports import Clock
    from gateway.vision.tap import CameraTap

LOG = logging.getLogger(__name__)
_RETRY_S = (1.0, 30.0)  # full jitter below a cap that doubles from the first to the second
_LOGIN_TRIES = 2  # cameras lock accounts after about five
_LOGIN_WAIT_S = 30 * 60.0
_LOOK_S = 5.0  # while a login is refused: how often to see whether the secret changed
_GIVE_UP_S = (
    10.0  # of silence, and five times what is blind: a stutter of the network is over sooner than a new connection
)
_FIRST_S = 10.0  # packets may come for so long before there is a picture: until the next frame that is coded by itself
_CORRUPT_TELL = 3  # bad frames within a window before it is a condition and not a glitch
_CORRUPT_WINDOW_NS = 60 * NS


class CameraThread:
    """What the thread `camera-<name>` runs.

    every_nth: of a file, hand over each nth frame by PTS. paced: a file plays at its own speed, else as fast as it is
    taken. start_ns: the event time of a file's first frame; default: when it is first opened. tap: for its packets.
    gated: whether its `motion:` counts; otherwise each frame may be looked at.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        board: Board,
        base: Path,
        clock: Clock,
        *,
        every_nth: int | None = None,
        paced: bool = True,
        start_ns: int | None = None,
        tap: CameraTap | None = None,
        gated: bool = True,
    ) -> None:
        self.name = name
        self._camera = camera
        self._board = board
        self._base = base
        self._clock = clock
        self._nth = every_nth or 1
        self._paced = paced
        self._start_ns = start_ns
        self._tap = tap
        self._is_file = is_file(camera.detect)
        wanted = frozenset[str]() if camera.health == "off" else camera.health.wanted()
        self._sight = Sight(wanted)
        self._rate = FrameRate(camera.rate) if "frame_rate" in wanted and not self._is_file else None
        self._sender = SenderClock() if "clock_adrift" in wanted else None
        motion = camera.motion if gated else "off"
        self._gate = None if motion == "off" else Gate(name, board, motion.every, camera.rate, Aim.of(camera))
        sleeps = motion != "off" and motion.sleep > 0
        self._sleep = Sleep(motion.sleep) if motion != "off" and sleeps else None
        self._live_time = LiveTime()
        self._file_time: FileTime | None = None
        self._began_ns = (0, 0)  # a file's start: event time, monotonic time
        self._number = 0
        self._refused = 0
        self._bad_ns: list[int] = []
        self._seen_ns = clock.monotonic_ns()
        self._logged_ns: int | None = None

    def run(self) -> None:
        """Until the board closes, or a file that is not looped has ended."""
        cap_s = _RETRY_S[0]
        try:
            while True:
                before = self._number
                try:
                    self._play()
                except LoginRefused as error:
                    self._refused += 1
                    if self._refused >= _LOGIN_TRIES:
                        self._tell("login", ok=False, detail=str(error))
                        self._wait_for_login()
                        continue
                except CameraError as error:
                    self._tell("connected", ok=False, detail=str(error))
                else:
                    return
                cap_s = _RETRY_S[0] if self._number > before else min(cap_s * 2, _RETRY_S[1])
                self._board.count(self.name, "retries")
                self._board.pause(self._clock.uniform(0.0, cap_s))
        except Closed:
            return

    def _play(self) -> None:
        """One connection, or a file with all its loops. Returns when a file has ended for good."""
        while True:
            before = self._number
            with self._open() as stream:
                self._tell("login", ok=True)  # known good: an earlier process may have said otherwise; so below
                self._refused = 0
                self._read(stream)
            if not self._is_file:
                raise CameraError(f"{shown(self._camera.detect)}: the stream ended")
            if self._number == before:
                raise CameraError(f"{shown(self._camera.detect)}: no frame in it could be decoded")
            if not self._bad_ns:
                self._tell("corrupt", ok=True)
            if not self._camera.loop:
                self._board.end(self.name)
                self._tell("ended", ok=False, detail=f"the file has ended after {self._number} frames")
                return
            if self._file_time:
                self._file_time.again()

    def _open(self) -> Stream:
        camera = self._camera
        address = resolve(camera.detect, self._base)
        if camera.login and not self._is_file:
            address = with_login(address, camera.login.user, self._password())
        hardware = camera.decode == "auto"
        return Stream(address, transport=camera.transport, tap=self._tap, sleep=self._sleep, hardware=hardware)

    def _password(self) -> str:
        assert self._camera.login is not None  # noqa: S101 - asked for only where there is one
        try:
            return self._camera.login.password.read(self._base)
        except (OSError, KeyError, UnicodeDecodeError) as error:
            raise CameraError(f"the password cannot be read ({error}); put it where `login.password` says") from None

    def _read(self, stream: Stream) -> None:
        self._live_time.again()
        self._sight.again()
        if self._gate:
            self._gate.again()
        if self._rate:
            self._rate.again(stream.rate_promised)
        last_ns = self._clock.monotonic_ns()
        at = 0
        for got in stream.pictures():
            if isinstance(got, Silence):
                self._board.pause(0)
                self._wait_for_picture(stream, last_ns, first=at == 0 and got.packet)
                continue
            if isinstance(got, Corrupt):
                self._count_corrupt(got.reason)
                self._board.pause(0)
                continue
            last_ns = self._clock.monotonic_ns()
            if isinstance(got, Skipped):
                self._pass_over(got)
            else:
                self._hand_over(got, stream.told_ns(got), wanted=at % self._nth == 0)
            at += 1

    def _wait_for_picture(self, stream: Stream, last_ns: int, *, first: bool) -> None:
        """Say that nothing comes when it is time to; give the connection up when that has lasted."""
        waited_ns = self._clock.monotonic_ns() - last_ns
        if self._is_file or waited_ns <= (round(_FIRST_S * NS) if first else self._camera.silent):
            return
        detail = f"no frame for {waited_ns / NS:.1f} s although connected"
        self._tell("frozen", ok=False, detail=detail)
        if self._rate:
            self._rate.again()
        if waited_ns > max(round(_GIVE_UP_S * NS), 5 * self._camera.silent):
            raise CameraError(f"{stream.shown}: {detail}")

    def _hand_over(self, frame: av.VideoFrame, told_ns: int | None, *, wanted: bool) -> None:
        event_ns = self._event_ns(pts_ns(frame), told_ns)
        if self._tap:
            self._tap.timed(frame, event_ns)
        self._came(event_ns)
        taken = Taken(frame)
        blind = self._judge(frame, event_ns, told_ns, taken)
        if not wanted and not blind and not (self._sleep and self._sleep.asleep):
            self._board.pause(0)
            return
        turn = self._turn(event_ns, taken, blind=blind)
        if turn is Turn.LOOK:
            self._board.offer(Captured(self.name, self._number, event_ns, frame, blind))
        else:
            self._board.keep(self.name, event_ns, still=turn is Turn.STILL)

    def _pass_over(self, skipped: Skipped) -> None:
        """A packet of a sleeper came that tells of no motion."""
        event_ns = self._event_ns(skipped.at_ns, skipped.told_ns)
        self._came(event_ns)
        if self._rate and (ok := self._rate.frame(event_ns)) is not None:
            self._tell("frame_rate", ok=ok, detail="" if ok else self._rate.words())
        self._board.count(self.name, "asleep")
        self._board.keep(self.name, event_ns, still=True)

    def _came(self, event_ns: int) -> None:
        """A picture came, decoded or not."""
        self._number += 1
        if self._is_file and self._paced:
            self._wait_until(event_ns)
        for condition in ("connected", "frozen", "ended"):
            self._tell(condition, ok=True)
        if self._clock.monotonic_ns() - (self._bad_ns[-1] if self._bad_ns else self._seen_ns) > _CORRUPT_WINDOW_NS:
            self._bad_ns.clear()
            self._tell("corrupt", ok=True)

    def _turn(self, event_ns: int, taken: Taken, *, blind: bool) -> Turn:
        gate, sleep = self._gate, self._sleep
        if gate is None:
            return Turn.LOOK
        if blind:
            gate.again()
            turn = Turn.LOOK
        else:
            woke = sleep is not None and sleep.woke()
            asleep = sleep is not None and sleep.asleep
            turn = gate.judge(self._number, event_ns, taken, at_once=asleep or woke, force=woke)
        if sleep and turn is not Turn.NOT_YET:
            sleep.saw(gate.quiet_ns(event_ns), moved=blind or gate.moved)
        return turn

    def _judge(self, frame: av.VideoFrame, event_ns: int, told_ns: int | None, taken: Taken) -> bool:
        """Say what the frame shows of the camera's health; whether nothing in it can be relied on."""
        if self._rate and (ok := self._rate.frame(event_ns)) is not None:
            self._tell("frame_rate", ok=ok, detail="" if ok else self._rate.words())
        if self._sender and (ok := self._sender.told(told_ns, self._clock.now_ns())) is not None:
            self._tell("clock_adrift", ok=ok, detail="" if ok else self._sender.words())
        verdict = self._sight.look(frame, event_ns, taken)
        for condition, ok, detail in verdict.changes:
            self._tell(condition, ok=ok, detail=detail)
        return verdict.blind

    def _event_ns(self, at_ns: int | None, told_ns: int | None) -> int:
        if not self._is_file:
            return self._live_time.event_ns(at_ns, self._clock.now_ns(), told_ns)
        if self._file_time is None:
            start_ns = self._clock.now_ns() if self._start_ns is None else self._start_ns
            self._began_ns = (start_ns, self._clock.monotonic_ns())
            self._file_time = FileTime(start_ns)
        return self._file_time.event_ns(at_ns)

    def _wait_until(self, event_ns: int) -> None:
        start_ns, began_ns = self._began_ns
        while (ahead_ns := (event_ns - start_ns) - (self._clock.monotonic_ns() - began_ns)) > 0:
            self._board.pause(min(ahead_ns / NS, 0.1))  # in short steps: a test moves its clock by hand

    def _wait_for_login(self) -> None:
        """Half an hour, or until the secret is another one."""
        refused = self._secret()
        until_ns = self._clock.monotonic_ns() + round(_LOGIN_WAIT_S * NS)
        while self._clock.monotonic_ns() < until_ns and self._secret() == refused:
            self._board.pause(_LOOK_S)
        if self._secret() != refused:
            self._refused = 0

    def _secret(self) -> str | None:
        try:
            return self._password() if self._camera.login else None
        except CameraError:
            return None

    def _count_corrupt(self, reason: str) -> None:
        total = self._board.count(self.name, "corrupt")
        now_ns = self._clock.monotonic_ns()
        recent = [at for at in self._bad_ns if now_ns - at < _CORRUPT_WINDOW_NS]
        self._bad_ns = [*recent[1 - _CORRUPT_TELL :], now_ns]
        detail = f"{total} corrupt frames so far, the last: {reason}"
        if self._logged_ns is None or now_ns - self._logged_ns > _CORRUPT_WINDOW_NS:
            self._logged_ns = now_ns
            LOG.warning("camera %s: %s", self.name, detail)
        if len(self._bad_ns) >= _CORRUPT_TELL:
            self._tell("corrupt", ok=False, detail=detail)

    def _tell(self, condition: str, *, ok: bool, detail: str = "") -> None:
        changed = self._board.tell(f"camera/{self.name}", condition, ok, detail)
        if changed and not ok:
            LOG.warning("camera %s: %s", self.name, detail)
