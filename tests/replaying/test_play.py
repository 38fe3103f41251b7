"""A recording played again: the same bytes as live, whatever was killed on the way; other configurations; its pace."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.app.recording import FOLDER
from gateway.cli import main
from gateway.clock import WallClock
from gateway.errors import GatewayError
from gateway.recording.reader import Recording
from gateway.replaying.outcome import Files, Memory
from gateway.replaying.play import play
from tests.conftest import ROOT
from tests.e2e.played import CONFIG, PAUSE, T0, S, script
from tests.e2e.played import play as run_live
from tests.e2e.test_replayed import Came, _came, _folder, _next_input, _play
from tests.outbox.mounted import mounted
from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.events import Stepped
    from gateway.replaying.play import Played


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway that ran through the script, recording."""
    folder = _folder(tmp_path_factory.mktemp("live") / "play", [])
    asyncio.run(run_live(folder, script([])))
    return folder


@pytest.fixture(scope="module")
def came(live: Path) -> Came:
    """What that came to."""
    return _came(live)


def _replayed(folder: Path) -> tuple[Played, Came]:
    memory = Memory()
    played = play(Recording.open([folder / "state" / FOLDER]), memory)
    rows = [msgspec.msgpack.encode(row) for row in played.alerts]
    requests = [msgspec.msgpack.encode(row) for row in memory.requests]
    return played, Came(b"".join(memory.series), rows, requests, b"")


def test_a_replay_gives_the_bytes_that_came_live(live: Path, came: Came) -> None:
    """Given what a gateway recorded, when it is played, then all three streams and the state are the same bytes."""
    played, again = _replayed(live)
    assert again._replace(state=came.state) == came
    assert played.state_sha == hashlib.sha256(came.state).hexdigest()
    assert not played.holes
    assert played.summary.alerts == sum(row.change == "raised" for row in came.rows())


@pytest.mark.parametrize("seed", [4, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 12))])
def test_a_recording_across_kills_comes_to_the_same_state(tmp_path: Path, seed: int) -> None:
    """Given a gateway killed at random inputs and started again, when its recording is played, then it ends as it did.

    Twice what was admitted had been flushed, with inputs that were not durable and come again; once a kill took it:
    that is a hole, which is said, and behind it the alerts are those that came.
    """
    folder, chance = _folder(tmp_path / "killed", []), random.Random(seed)
    count, begin = sum(len(step.inputs) for step in script([])), 0
    for pause_s, kill_at in zip(("6", "0", "6"), sorted(chance.sample(range(5, count), 3)), strict=True):
        if kill_at >= begin:
            assert _play(folder, begin, kill_at, **{PAUSE: pause_s}) == -9
            begin = _next_input(folder)
    assert _play(folder, begin) == 0
    came, (played, again) = _came(folder), _replayed(folder)
    assert played.state_sha == hashlib.sha256(came.state).hexdigest()
    assert len(played.holes) == 1
    assert set(again.alerts) <= set(came.alerts)
    assert came.alerts[-1] == again.alerts[-1]
    assert set(again.series.splitlines()) <= set(came.series.splitlines())


def test_another_configuration_takes_the_place_of_the_recorded_one(live: Path, came: Came, tmp_path: Path) -> None:
    """Given a limit that nothing reaches and a rule less, when it is played, then only their alerts are other ones."""
    (tmp_path / "what-if.yaml").write_text(CONFIG.replace("red: 3.8}", "red: 9}").replace("  surge: ", "  surge2: "))
    shutil.copy(live / "model.onnx", tmp_path)
    memory = Memory()
    played = play(Recording.open([live / "state" / FOLDER]), memory, config=tmp_path / "what-if.yaml")
    names = {row.rule for row in played.alerts}
    assert "surge2" in names
    assert "surge" not in names
    assert not any(row.rule == "flood" and '"extreme"' in row.body.decode() for row in played.alerts)
    others = [row.body for row in came.rows() if row.rule == "dust"]
    assert _bare(row.body for row in played.alerts if row.rule == "dust") == _bare(others)


def _bare(bodies: Iterable[bytes]) -> list[dict[str, object]]:
    """Without what follows from the configuration's sha and from how many alerts there are."""
    left_out = {"config_sha", "seq"}
    read = [msgspec.json.decode(body, type=dict[str, object]) for body in bodies]
    return [{key: value for key, value in one.items() if key not in left_out} for one in read]


def test_an_overlay_changes_a_setting_of_what_was_recorded(live: Path) -> None:
    """Given a dotted path and a value, when it is played, then that setting holds."""
    played = play(Recording.open([live / "state" / FOLDER]), Memory(), overlay={"rules.dust.mode": "'off'"})
    assert "dust" not in {row.rule for row in played.alerts}


def test_a_span_tells_what_came_in_it(live: Path, came: Came) -> None:
    """Given a span in the middle, then what came there is told with its state from before, and nothing else is."""
    from_ns, to_ns = T0 + 100 * S, T0 + 200 * S
    memory = Memory()
    played = play(Recording.open([live / "state" / FOLDER]), memory, from_ns=from_ns, to_ns=to_ns)
    bodies = [row.body for row in came.rows()]
    told = [row.body for row in played.alerts]
    assert 0 < len(told) < len(bodies)
    first = bodies.index(told[0])
    assert bodies[first : first + len(told)] == told
    assert (from_ns, to_ns) <= (played.begun_ns, played.ended_ns + S)
    assert played.ended_ns <= to_ns


def test_files_have_their_names_when_they_are_whole(live: Path, came: Came, tmp_path: Path) -> None:
    """Given a folder to write to, then there are the three streams, alerts marked as a test's."""
    played = play(Recording.open([live / "state" / FOLDER]), Files.below(tmp_path / "out"))
    assert (tmp_path / "out/series.lp").read_bytes() == came.series
    lines = (tmp_path / "out/alerts.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["status"] for line in lines] == ["test"] * len(played.alerts)
    assert len((tmp_path / "out/requests.jsonl").read_bytes().splitlines()) == len(came.requests)
    assert not list((tmp_path / "out").glob("*.part"))


def test_the_recordings_own_pace_is_kept(live: Path) -> None:
    """Given a speed, when 20 s are played 40 times as fast, then it takes half a second."""
    clock, span = WallClock(), (T0 + 100 * S, T0 + 120 * S)
    began_ns = clock.monotonic_ns()
    play(Recording.open([live / "state" / FOLDER]), Memory(), from_ns=span[0], to_ns=span[1], speed=40)
    assert clock.monotonic_ns() - began_ns >= (span[1] - span[0]) / 40 * 0.9


def test_a_replay_opens_no_connection(live: Path, tmp_path: Path) -> None:
    """Given a configuration with brokers, cameras and sinks, when it is played, then no socket is made but the loop's.

    The kernel is the witness: every call that has to do with a network, of every thread, is in strace's file.
    """
    sinks = 'sinks: {out: {mqtt: here}, store: {v1: "http://127.0.0.1:1", db: x}}\n'
    text = (live / "gateway.yaml").read_text() + sinks
    (tmp_path / "sinks.yaml").write_text(text)
    shutil.copy(live / "model.onnx", tmp_path)
    command = [sys.executable, "-m", "gateway", "replay", str(live / "state" / FOLDER), "--config", "sinks.yaml"]
    witness = ["strace", "-f", "-qq", "-o", str(tmp_path / "calls"), "-e", "trace=%network"]
    run = [*witness, *command, "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(run, cwd=tmp_path, env=environment, check=False, timeout=120).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "AF_UNIX" not in call and "socket" in call] == []
    assert not any("connect(" in call or "bind(" in call for call in calls)
    assert (tmp_path / "out/alerts.jsonl").stat().st_size


def test_several_gateways_have_a_core_each(live: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given recordings of two gateways, when they are played, then each writes to a folder of its own."""
    other = _folder(tmp_path / "other", [])
    text = (other / "gateway.yaml").read_text().replace("gateway: played", "gateway: second")
    (other / "gateway.yaml").write_text(text)
    asyncio.run(run_live(other, script([], seconds=60)))
    folders = [str(folder / "state" / FOLDER) for folder in (live, other)]
    assert main(["replay", *folders, "--out", str(tmp_path / "out")]) == 0
    assert "second" in capsys.readouterr().out
    for gateway in ("played", "second"):
        lines = (tmp_path / "out" / gateway / "alerts.jsonl").read_bytes().splitlines()
        assert {msgspec.json.decode(line)["gateway"] for line in lines} == {gateway}
    assert main(["replay", *folders, "--expect", str(tmp_path / "any.jsonl")]) == 2
    assert "one at a time" in capsys.readouterr().err


def test_an_interrupted_replay_leaves_what_came_until_then(live: Path, tmp_path: Path) -> None:
    """Given a replay at its own pace, when it gets SIGINT, then its files are whole, and it says so: 130."""
    command = [sys.executable, "-m", "gateway", "replay", str(live / "state" / FOLDER), "--out", "out", "--speed", "50"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        threads = Path(f"/proc/{process.pid}/task")
        until(lambda: len(list(threads.iterdir())) >= 3)  # the loop's own, the reader and the core: it plays
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said
    assert not list((tmp_path / "out").glob("*.part"))
    assert (tmp_path / "out/alerts.jsonl").exists()


@pytest.mark.parametrize("room", ["64k", "4k"])
def test_a_disk_without_room_for_the_outputs_is_said(live: Path, tmp_path: Path, room: str) -> None:
    """Given a folder on a small disk, when what comes out does not fit, then it is said, and no file looks whole."""
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", f"size={room}", "tmpfs"):
        out = tmp_path / "small/out"
        with pytest.raises(GatewayError, match=r"cannot be (written|made)"):
            play(Recording.open([live / "state" / FOLDER]), _Unbuffered.below(out))
        assert not (out / "series.lp").exists()


class _Unbuffered(Files):
    """Files whose every write goes to the disk at once."""

    def take(self, stepped: Sequence[Stepped]) -> None:
        """In order."""
        super().take(stepped)
        for file, path in self._files.values():
            try:
                file.flush()
            except OSError as error:
                raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error
