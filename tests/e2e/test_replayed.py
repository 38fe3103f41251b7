"""The same inputs give the same bytes: played twice, on another CPU's features, killed anywhere and gone on with."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

from gateway.events import AlertRow
from gateway.outbox import restart
from gateway.outbox.records import unseal
from tests.conftest import ROOT
from tests.e2e.played import CONFIG, play, script
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from pathlib import Path

OLDER_CPU = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}
KINDS = {"flood", "dry", "odd", "surge", "dust", "peak", "usual", "damp", "crowd", "stuck", "silent", "health"}
KINDS |= {"kiosk", "gone", "waits", "many", "over"}


class Came(NamedTuple):
    """What a script came to: the streams' bytes, one after another, and the core's state at the end."""

    series: bytes
    alerts: list[bytes]
    requests: list[bytes]
    state: bytes

    def rows(self) -> list[AlertRow]:
        """The alerts."""
        return [msgspec.msgpack.decode(row, type=AlertRow) for row in self.alerts]


def _folder(at: Path, commands: list[str]) -> Path:
    at.mkdir()
    (at / "gateway.yaml").write_text(f"{CONFIG}state: state\n", encoding="utf-8")
    (at / "commands").write_text(json.dumps(commands))
    red_yolox(at / "model.onnx", classes=80)
    return at


def _play(folder: Path, begin: int = 0, kill_at: int = -1, restarts: list[int] | None = None, **more: str) -> int:
    """As a process of its own; gives its exit code."""
    words = [str(folder), str(begin), str(kill_at), ",".join(map(str, restarts or []))]
    command = [sys.executable, "-m", "tests.e2e.played", *words]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **more}, check=False, timeout=60).returncode


def _came(folder: Path) -> Came:
    """From what was delivered, each row once by its position, and the snapshot that a stop leaves."""
    rows: dict[str, dict[int, bytes]] = {"series": {}, "alerts": {}, "requests": {}}
    for line in (folder / "rows").read_text().splitlines():
        stream, position, body = json.loads(line)
        assert rows[stream].setdefault(position, bytes.fromhex(body)) == bytes.fromhex(body)
    with closing(sqlite3.connect(folder / "state/outbox.sqlite")) as db:
        (sealed,) = db.execute("SELECT state FROM snapshot ORDER BY id DESC LIMIT 1").fetchone()
    state = unseal(sealed)
    assert state is not None
    in_order = {stream: [bodies[position] for position in sorted(bodies)] for stream, bodies in rows.items()}
    return Came(b"".join(in_order["series"]), in_order["alerts"], in_order["requests"], state)


@pytest.fixture(scope="module")
def acted_on(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The ids of the alerts that the script raises before anyone commands: they are derived, so commands may know."""
    folder = _folder(tmp_path_factory.mktemp("first") / "play", [])
    asyncio.run(play(folder, script([])))
    rows = _came(folder).rows()
    assert {row.rule for row in rows} >= KINDS
    return sorted({row.id for row in rows})


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, acted_on: list[str]) -> Came:
    """The script, played in this process."""
    folder = _folder(tmp_path_factory.mktemp("once") / "play", acted_on)
    asyncio.run(play(folder, script(acted_on)))
    return _came(folder)


def test_everything_happens_in_the_script(once: Came) -> None:
    """Every change that an alert can have but those of a day's age is in it, or the tests below prove little."""
    assert {row.change for row in once.rows()} >= {
        *("raised", "raised_level", "lowered_level", "updated", "unknown", "known", "cleared", "returned"),
        *("acknowledged", "shelved", "unshelved", "labelled"),
    }
    assert once.requests
    assert once.series.count(b"\n") > 800


@pytest.mark.parametrize("environment", [{}, OLDER_CPU], ids=["again", "older cpu"])
def test_the_same_inputs_give_the_same_streams_and_state(
    tmp_path: Path, acted_on: list[str], once: Came, environment: dict[str, str]
) -> None:
    """Given another process, perhaps without newer CPU features, when it plays the script, then nothing differs."""
    if environment:
        probe = "from numpy._core._multiarray_umath import __cpu_features__ as f; print(f['X86_V3'])"
        run = [
            subprocess.check_output([sys.executable, "-c", probe], text=True, env={**os.environ, **e})
            for e in ({}, environment)
        ]
        if run[0].strip() != "True":
            pytest.skip("this CPU has not the features that would be switched off")
        assert run[1].strip() == "False"
    folder = _folder(tmp_path / "again", acted_on)
    assert _play(folder, **environment) == 0
    assert _came(folder) == once


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (2, 3))])
def test_killed_at_random_inputs_and_gone_on_with_it_comes_to_the_same(
    tmp_path: Path, acted_on: list[str], seed: int
) -> None:
    """Given processes that die at random inputs, when new ones go on from the file alone, nothing shows it.

    The run to compare with is not killed: it is given what a restart commits at the same places.
    """
    chance, count = random.Random(seed), sum(len(step.inputs) for step in script(acted_on))
    killed = _folder(tmp_path / "killed", acted_on)
    restarts: list[int] = []
    for kill_at in sorted(chance.sample(range(5, count), 4)):
        if restarts and kill_at < restarts[-1]:
            continue
        assert _play(killed, restarts[-1] if restarts else 0, kill_at) == -9
        restarts.append(_next_input(killed))
        assert restarts[-1] <= kill_at
    assert _play(killed, restarts[-1]) == 0
    whole = _folder(tmp_path / "whole", acted_on)
    assert _play(whole, restarts=restarts) == 0
    assert _came(killed) == _came(whole)


def _next_input(folder: Path) -> int:
    """The script's first input that the file does not have: what a broker would deliver again."""
    with closing(sqlite3.connect(folder / "state/outbox.sqlite")) as db:
        next_n = restart.read(db).resumed.next_n
    admitted = [tuple(map(int, line.split())) for line in (folder / "admitted").read_text().splitlines()]
    return max((number for n, number in admitted if n < next_n), default=-1) + 1
