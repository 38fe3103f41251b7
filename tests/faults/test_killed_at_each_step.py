"""kill -9 at every step of a message's way, in a loop: each value is stored once, each alert told once, in order.

stream ─▶ broker ─▶ receive ─▶ step ─▶ write, sync ─▶ PUBACK
                                            └─▶ deliver ─▶ answer ─▶ cursor
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Centre
from tests.faults.streams import Stream, flips, held_for
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: stepwise
brokers: {{here: {{url: "{broker}"}}, city: {{url: "{city}"}}}}
sensors:
  {name}: {{mqtt: here, topic: "{name}/{{device}}", json: {{time: t, value: v, alarm: a}}, every: 10 min}}
rules: {{on: {{threshold: {name}.alarm, levels: {{red: 0.5}}}}}}
outbox: {{linger: 100 ms}}
sinks:
  influx: {{v1: "{influx}", db: {name}, from: oldest}}
  ops: {{mqtt: city, from: oldest}}
"""
STEPS = ("receive", "stepped", "writing", "syncing", "committed", "puback", "delivering", "answered")
MOST = 12  # of how often a step is met before the kill: from the first moment of a start to a second or two of its work
SEED = 4


@pytest.fixture
def killed_at(tmp_path: Path) -> Path:
    """The library to preload (killed_at.c), or the test is skipped."""
    compiler, library = shutil.which("cc"), tmp_path / "killed_at.so"
    if compiler is None:
        pytest.skip("no C compiler here to kill with (apt install gcc)")
    source = Path(__file__).with_name("killed_at.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(25, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])], ids=["8 kills", "200 kills"]
)
def test_kill_9_at_every_step_loses_nothing_and_repeats_nothing(
    own_mosquitto: Mosquitto,
    sound: Mosquitto,
    influx: Influx,
    gateway_of: Callable[[str], Gateway],
    killed_at: Path,
    tmp_path: Path,
    rounds: int,
) -> None:
    """Given a stream, when it dies at each step again and again, all is stored once, told once, acknowledged."""
    name, chance, note = f"step{rounds}", random.Random(SEED), tmp_path / "killed"
    gateway = gateway_of(
        CONFIG.format(name=influx.database(name), broker=own_mosquitto.url, city=sound.url, influx=influx.url)
    )
    ports = (f"BROKER_PORT={own_mosquitto.port}", f"SINK_PORT={influx.port}")
    files = (f"OUTBOX={gateway.folder / 'state' / 'outbox.sqlite'}", f"KILLED={note}")
    _subscribed(gateway)
    with Centre(sound, "zhiwang/v1/_/stepwise") as centre, Stream(own_mosquitto.port, name, rate=100.0) as stream:
        for _ in range(rounds):
            for step in chance.sample(STEPS, len(STEPS)):
                at = f"KILL_AT={step} {chance.randint(1, MOST)}"
                gateway.start(ready=False, prefix=("env", f"LD_PRELOAD={killed_at}", at, *ports, *files))
                assert gateway.ended(60) == -9, f"{at}: {gateway.log.read_text()[-2000:]}"
        published = stream.finish()
        gateway.start()
        until(lambda: len(_values(influx, name)) >= published, 60, f"{published} values")
        turns = flips(published)
        until(lambda: len(_seqs(centre)) >= sum(turns.values()), 30, "every change")
    assert Counter(note.read_text().split()) == dict.fromkeys(STEPS, rounds)
    assert _values(influx, name) == list(map(float, range(published)))
    assert _seqs(centre) == list(range(1, sum(turns.values()) + 1)), "no change is missing, none was made twice"
    for device, turned in turns.items():
        assert _turns(centre, device) == ["raised", *["cleared", "returned"] * (turned // 2)][:turned]
    until(lambda: not gateway.metric("zhiwang_source_unacknowledged"), what="everything to be acknowledged")
    assert gateway.metric("zhiwang_sink_rejected_total") == gateway.metric("zhiwang_outbox_dead_bytes") == 0
    assert gateway.stop() == 0
    assert held_for(own_mosquitto.port, "stepwise") == 0, "not acknowledged"


def _subscribed(gateway: Gateway) -> None:
    """Let the broker know the session before the first value is published."""
    gateway.start()
    until(lambda: gateway.metric("zhiwang_source_connected"), what="the broker")
    assert gateway.stop() == 0


def _values(influx: Influx, name: str) -> list[float]:
    rows = influx.query(f"SELECT value FROM {name}", name)  # noqa: S608 - a name of ours
    return sorted(row["value"] for row in rows)  # type: ignore[type-var, misc]  # numbers all


def _heard(centre: Centre) -> dict[int, tuple[str, str]]:
    """(subject, change) by `seq`: one that was sent twice is the same one."""
    heard: dict[int, tuple[str, str]] = {}
    for one in centre.changes("on"):
        told = (one.body["subject"], one.body["change"])
        assert heard.setdefault(one.body["seq"], told) == told, "the same number for two changes"
    return heard


def _seqs(centre: Centre) -> list[int]:
    return sorted(_heard(centre))


def _turns(centre: Centre, device: str) -> list[str]:
    heard = _heard(centre)
    return [heard[seq][1] for seq in sorted(heard) if f"device={device}}}" in heard[seq][0]]
