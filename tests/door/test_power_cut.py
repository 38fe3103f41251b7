"""What a power cut leaves: a disk that forgets what nobody waited for, at a random moment."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.outbox.schema import FILE
from tests.conftest import ROOT

if TYPE_CHECKING:
    from tests.door.conftest import Open

CUT = 99  # the exit status of the library's power cut


@pytest.fixture(scope="module")
def power_cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library to preload that ends a process as a power cut does (power_cut.c), or the test is skipped."""
    compiler, library = shutil.which("cc"), tmp_path_factory.mktemp("cut") / "power_cut.so"
    if compiler is None:
        pytest.skip("no C compiler here to make a power cut with (apt install gcc)")
    source = Path(__file__).with_name("power_cut.c")
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True
    )
    return library


def cycle(library: Path, folder: Path, mode: str, seed: int) -> list[str]:
    """One life of a process that commits until the power is cut; returns what it was told is durable."""
    chance = random.Random(seed)
    # Now and then within the first calls, in which the file is made; else somewhere among many commits.
    after = chance.randrange(1, 60) if seed % 4 == 0 else chance.randrange(100, 4000)
    cut = {"CUT_IN": str(folder / FILE), "CUT_AFTER": str(after), "CUT_SEED": str(seed), "LD_PRELOAD": str(library)}
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.door.child", mode, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | cut,
    )
    out, _ = child.communicate()
    assert child.returncode == CUT, f"the library did not cut the power (seed {seed}): {out[-500:]}"
    return [line.split()[1] for line in out.splitlines(keepends=True) if line.startswith("ok ") and line[-1] == "\n"]


async def _missing(opened: Open, folder: Path, acknowledged: list[str]) -> set[str]:
    """What was said to be durable and is not there; checks that outputs and state are one moment."""
    async with opened(folder=folder) as at:
        assert at.outbox.durable
        bodies = [line.split(b"=")[1].decode() for line in (await at.series()).splitlines() if b"body=" in line]
        missing = set(acknowledged) - set(bodies)
        if not missing:
            assert at.outbox.notices[1].ok, at.outbox.notices[1].detail
            assert len(bodies) == len(set(bodies)), "nothing was stepped twice"
            assert (at.core.count, at.core.length) == (len(bodies), sum(map(len, bodies)))
        return missing


async def _cut(opened: Open, library: Path, folder: Path, seeds: range) -> None:
    acknowledged: list[str] = []
    for seed in seeds:
        acknowledged += cycle(library, folder, "commit", seed)
        assert not await _missing(opened, folder, acknowledged), f"lost after the cut of seed {seed}"
    assert len(acknowledged) > 100


async def test_nothing_whose_commit_returned_is_lost_by_a_power_cut(
    opened: Open, power_cut: Path, tmp_path: Path
) -> None:
    """Given cuts at random moments, each followed by a start, then all that was acknowledged is there, and sound."""
    await _cut(opened, power_cut, tmp_path, range(4))


async def test_without_syncs_the_power_cut_is_noticed(opened: Open, power_cut: Path, tmp_path: Path) -> None:
    """Given `synchronous = OFF` on purpose, when the power is cut, then what was acknowledged is missing."""
    acknowledged = cycle(power_cut, tmp_path, "reckless", 2)
    assert len(acknowledged) > 10
    assert await _missing(opened, tmp_path, acknowledged)


@pytest.mark.soak
async def test_nothing_is_lost_by_200_power_cuts(opened: Open, power_cut: Path, tmp_path: Path) -> None:
    """The same two hundred times, in stores of twenty lives each."""
    for store in range(10):
        await _cut(opened, power_cut, tmp_path / str(store), range(store * 20, store * 20 + 20))
