"""What survives: kill -9, a lost power as far as strace shows it, a disk that fails."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.errors import DiskBroken, DiskFull
from tests.conftest import ROOT
from tests.door.echo import messages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.door.conftest import Open


def _child(mode: str, folder: Path, *before: str) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-m", "tests.door.child", mode, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_nothing_that_was_acknowledged_is_lost_by_kill_9(opened: Open, tmp_path: Path) -> None:
    """Given processes killed at random moments, when the store opens again, then every receipt was true.

    And the state is exactly that of the outputs: outputs and state are one moment.
    """
    acknowledged: list[str] = []
    chance = random.Random(3)
    for _ in range(8):
        child = _child("commit", tmp_path)
        assert child.stdout is not None
        lines = chance.randrange(1, 800)
        for line in child.stdout:
            lines -= 1
            if lines == 0:
                child.kill()
            if line.startswith("ok ") and line.endswith("\n"):
                acknowledged.append(line.split()[1])
        child.stdout.close()
        child.wait()
    async with opened() as at:
        bodies = [line.split(b"=")[1].decode() for line in (await at.series()).splitlines() if b"body=" in line]
        assert set(acknowledged) <= set(bodies)
        assert len(bodies) == len(set(bodies)), "nothing was stepped twice"
        assert at.core.count == len(bodies)
        assert at.core.length == sum(map(len, bodies))
        per_source = {(body[:2], body.split("-")[1]): 0 for body in bodies}
        for body in bodies:
            source, pid, number = body.split("-")
            assert int(number) == per_source[source, pid], "each source's messages are in order, without a hole"
            per_source[source, pid] += 1


@pytest.mark.parametrize(("mode", "sound"), [("few", True), ("off", False)])
def test_a_receipt_follows_its_fdatasync(tmp_path: Path, mode: str, *, sound: bool) -> None:
    """Given strace on a process, when a commit returns, the journal was synced since it began; `off` is noticed."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    child = _child(mode, tmp_path, "strace", "-f", "-y", "-e", "trace=fdatasync,fsync,write", "-o", str(trace))
    _, _ = child.communicate()
    if child.returncode != 0 or not trace.exists():
        pytest.skip("strace may not trace here")
    synced, waiting, commits, true_receipts = False, False, 0, 0
    for line in trace.read_text().splitlines():
        if '"go ' in line:
            synced, waiting, commits = False, True, commits + 1
        elif re.search(r"fdatasync(\(.*outbox\.sqlite-wal>\)| resumed.*\)) += 0", line):
            synced = True
        elif '"ok ' in line and waiting:
            waiting = False
            true_receipts += synced
    assert commits > 5
    assert (true_receipts == commits) is sound


async def test_a_disk_that_fails_acknowledges_nothing_and_alerting_goes_on_in_memory(tmp_path: Path) -> None:
    """Given a disk that fails while running, then commits raise; in memory the state and waiting alerts are there."""
    child = _child("starve", tmp_path)
    out, _ = child.communicate()
    lines = out.splitlines()
    stored = lines.count("ok")
    assert stored > 0
    assert lines[stored].startswith("broken writing the outbox failed")
    assert lines[stored + 1] == "still broken"
    assert lines[stored + 2] == f"memory False {stored + 1}"
    assert lines[stored + 3] == "alerts ['flood-1/1', 'flood-1/2']"


async def test_a_full_disk_says_that_it_is_full(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a file that may not grow, when the room is used, then DiskFull is raised, by commits and by the task."""
    monkeypatch.setattr("gateway.outbox.disk.TRIES", 2)
    async with opened() as at:
        await at.outbox._disk.ask(lambda db: db.execute("PRAGMA max_page_count = 60").fetchall(), write=False)
        with pytest.raises(DiskFull, match="free some room"):
            await at.door.commit(messages(*["x" * 10_000] * 100))
        with pytest.raises(DiskFull):
            await at.door.commit(messages("a"))
        with pytest.raises(ExceptionGroup) as raised:
            await at.door.run()
        assert isinstance(raised.value.exceptions[0], DiskFull)
        with pytest.raises(DiskFull):
            await at.outbox.changed("series", at.outbox.last("series"), at.outbox.asks)
        assert issubclass(DiskFull, Exception)
        assert not issubclass(DiskFull, DiskBroken)


async def test_a_message_that_kills_the_process_is_set_aside_at_the_fourth_start(opened: Open, tmp_path: Path) -> None:
    """Given a message over which the process dies, when its source sends it again and again, then the rest goes on."""
    ends: list[int] = []
    for _ in range(4):
        child = _child("poison", tmp_path)
        child.communicate()
        ends.append(child.returncode)
    assert ends == [-9, -9, -9, 0]
    async with opened() as at:
        [letter] = await at.outbox.letters()
        assert (letter.letter.body, letter.source) == (b"kill", "here")
        assert "died over it three times" in letter.letter.reason
        bodies = {line for line in (await at.series()).splitlines() if b"body=" in line}
        assert bodies == {b"t body=a", b"t body=b"}
        await at.door.commit(messages("kill"))
        assert at.core.count > 0, "the same content again is stepped: only a row of deaths is held against it"
