"""A disk that cannot be written costs durability, never alerting: said in the status, in alerts and at /readyz."""

from __future__ import annotations

import errno
import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Centre, Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

BASE = "zhiwang/v1/_/broken"
CONFIG = """
gateway: broken
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{yellow: 5, red: 9}}}}}}
sinks: {{ops: {{mqtt: here}}}}
"""


def _file_for_a_folder(state: Path) -> Callable[[], None]:
    state.write_text("this is no folder\n")
    return lambda: None


def _immutable(state: Path) -> Callable[[], None]:
    """A folder in which nothing can be made, not even by root."""
    if shutil.which("chattr") is None:
        pytest.skip("chattr is not installed")
    state.mkdir()
    if subprocess.run(["chattr", "+i", str(state)], capture_output=True, check=False).returncode:
        state.rmdir()
        pytest.skip("this file system has no immutable folders, or we may not make them")
    return lambda: _run("chattr", "-i", str(state))


def _read_only(state: Path) -> Callable[[], None]:
    """A disk mounted read-only, with the store of an earlier run on it."""
    state.mkdir(exist_ok=True)
    made = ["mount", "-t", "tmpfs", "-o", "ro,size=1M", "tmpfs", str(state)]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("we may not mount a read-only file system here")
    return lambda: _run("umount", str(state))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


@pytest.fixture(params=[_file_for_a_folder, _immutable, _read_only], ids=["a file", "immutable", "read-only"])
def gateway(
    request: pytest.FixtureRequest, own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> Iterator[Gateway]:
    """A gateway whose state folder cannot be written."""
    made = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    mend = request.param(made.folder / "state")
    yield made
    made.kill()
    mend()


def _durable(gateway: Gateway) -> object:
    return json.loads(gateway.get("/readyz")[1])["durable"]


def test_without_a_disk_it_starts_in_memory_and_alerts(gateway: Gateway, own_mosquitto: Mosquitto) -> None:
    """Given a state folder that cannot be written, alerts go out and say durable: false; readings are acknowledged."""
    with Centre(own_mosquitto, BASE) as centre, Peer(own_mosquitto, "tanks") as tanks:
        gateway.start()
        tanks.say("tank/a", "9.5")
        raised = centre.change("full", "raised")
        assert raised["durable"] is False
        disk = centre.change("health", "raised")
        assert (disk["subject"], disk["severity"]) == ("disk/outbox{condition=durable}", "severe")
        status = centre.wait(lambda one: one.topic == f"{BASE}/status" and one.body["status"] == "online", "the status")
        assert status.body["durable"] is False
        assert gateway.get("/readyz")[0] == 200
        assert _durable(gateway) is False
        assert gateway.metric("zhiwang_outbox_durable") == 0
        tanks.say("tank/a", "1")
        assert centre.change("full", "cleared")["id"] == raised["id"]
        until(lambda: gateway.metric("zhiwang_source_unacknowledged") == 0, 10, "all to be acknowledged")
        assert "Traceback" not in gateway.log.read_text()
        assert gateway.stop(10) == 0


def test_a_disk_that_breaks_while_it_runs_is_left_for_memory(
    bent_sync: Path, tmp_path: Path, own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given an open alert, when fsync fails, then the same process goes on in memory, and the alert is still open."""
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    flag = tmp_path / "fail"
    prefix = ("env", f"LD_PRELOAD={bent_sync}", f"FAIL_SYNC={flag}")
    with Centre(own_mosquitto, BASE) as centre, Peer(own_mosquitto, "tanks") as tanks:
        gateway.start(prefix=prefix)
        pid = gateway.pid
        tanks.say("tank/a", "6")
        before = centre.change("full", "raised")
        assert "durable" not in before
        flag.touch()
        tanks.say("tank/b", "9.5")
        until(lambda: _in_memory(gateway), 30, "the gateway in memory")
        assert gateway.pid == pid
        raised = until(
            lambda: next((c.body for c in centre.changes("full") if c.body["subject"].endswith("=b}")), None), 20, "b"
        )
        assert raised["durable"] is False
        subjects = {alert["subject"]: alert for alert in gateway.open_alerts()}
        assert set(subjects) >= {"tank.level{name=a}", "tank.level{name=b}", "disk/outbox{condition=durable}"}
        assert subjects["tank.level{name=a}"]["id"] == before["id"]
        tanks.say("tank/a", "9.9")
        assert centre.change("full", "raised_level")["id"] == before["id"]
        tanks.say("tank/a", "1")
        assert centre.change("full", "cleared")["id"] == before["id"]
        assert gateway.stop(10) == 0
        flag.unlink()
        gateway.start(prefix=prefix)
        assert _durable(gateway) is True


def _in_memory(gateway: Gateway) -> bool:
    try:
        return _durable(gateway) is False
    except (OSError, KeyError):
        return False


COUNTED = """
gateway: broken
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 9000000}}}}}}
sinks: {{ops: {{mqtt: here}}, copy: {{file: "{copy}"}}}}
"""
FAULTS = {
    "writes": f"write {errno.EIO}",
    "remounted read-only": f"write {errno.EROFS}",
    "syncs": f"sync {errno.EIO}",
    "reads": f"read {errno.EIO}",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_what_was_acknowledged_is_stored_whatever_the_disk_fails_with(
    bent_disk: Path, tmp_path: Path, own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway], fault: str
) -> None:
    """Given a disk that fails amid 600 readings, then 600 are acknowledged, and 600 are in the sink.

    Those that wait on the failed disk come when it is sound again.
    """
    copy, bad = tmp_path / "copy", tmp_path / "bad"
    gateway = gateway_of(COUNTED.format(broker=own_mosquitto.url, copy=copy))
    bent = ("env", f"LD_PRELOAD={bent_disk}", f"BENT_AT={gateway.folder / 'state'}/outbox.", f"BENT_BY={bad}")
    with Centre(own_mosquitto, BASE) as centre, Peer(own_mosquitto, "tanks") as tanks:
        gateway.start(prefix=bent)
        tanks.say("tank/a", "much").wait_for_publish(10)
        _publish(tanks, range(200))
        until(lambda: len(_stored(copy)) == 200, 30, "the first 200")
        bad.write_text(fault)
        _publish(tanks, range(200, 400))
        if fault == FAULTS["reads"]:  # sinks that follow closely read nothing back: who asks for a letter makes it read
            subprocess.run([sys.executable, "-m", "gateway", "outbox", "retry", str(gateway.config)], check=True)
        until(lambda: _in_memory(gateway), 30, "the gateway in memory")
        assert centre.change("health", "raised")["subject"] == "disk/outbox{condition=durable}"
        _publish(tanks, range(400, 600))
        tanks.say("tank/a", "9000001").wait_for_publish(10)
        assert centre.change("full", "raised")["durable"] is False
        until(lambda: gateway.metric("zhiwang_source_unacknowledged") == 0, 30, "all to be acknowledged")
        until(lambda: _stored(copy) >= {*range(400, 600), 9_000_001}, 30, "what came after it failed")
        assert gateway.stop(10) == 0
        bad.unlink()
        gateway.start(prefix=bent)
        assert _durable(gateway) is True
        until(lambda: _stored(copy) == {*range(600), 9_000_001}, 30, "all of it")
        assert gateway.stop(10) == 0


def _publish(peer: Peer, numbers: range) -> None:
    """Each acknowledged by the broker."""
    for info in [peer.say(f"tank/{n % 7}", str(n)) for n in numbers]:
        info.wait_for_publish(10)


def _stored(copy: Path) -> set[int]:
    """The values that are in the file sink's files."""
    lines = "".join(path.read_text() for path in copy.parent.glob(f"{copy.name}*.lp"))
    return {int(found) for found in re.findall(r"^tank,.*? level=(\d+)(?:\.0)? ", lines, re.MULTILINE)}
