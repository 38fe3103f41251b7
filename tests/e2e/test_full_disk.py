"""A disk that somebody else fills: alerts go on and stay durable, it is said, and its end too."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Centre, Peer
from tests.outbox.mounted import fill, mounted
from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.gateway import Gateway
    from tests.servers.mosquitto import Mosquitto

BASE = "zhiwang/v1/_/full"
CONFIG = """
gateway: full
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{yellow: 5, red: 9}}}}}}
sinks: {{ops: {{mqtt: here}}}}
outbox: {{ballast: 16 MB}}
"""


@pytest.fixture
def gateway(own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]) -> Iterator[Gateway]:
    """A gateway whose state folder is a disk of 48 MB."""
    made = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    with mounted(made.folder / "state", "-t", "tmpfs", "-o", "size=48M", "tmpfs"):
        yield made
        made.kill()


def test_a_disk_that_others_fill_costs_no_alert_and_no_durability(gateway: Gateway, own_mosquitto: Mosquitto) -> None:
    """Given a running gateway, when its disk is filled, alerts go out; freed, the ballast is back and it is said."""
    state = gateway.folder / "state"
    with Centre(own_mosquitto, BASE) as centre, Peer(own_mosquitto, "tanks") as tanks:
        gateway.start()
        ballast = state / "outbox.ballast"
        assert ballast.stat().st_size == 16_000_000
        other = fill(state)
        disk = os.statvfs(state)
        assert disk.f_bavail == 0
        for n in range(50):
            tanks.say(f"tank/{n}", "9.5")
        raised = centre.change("full", "raised")
        assert "durable" not in raised
        told = centre.change("health", "raised")
        assert told["subject"] == "disk/outbox{condition=room}"
        until(lambda: len({c.body["subject"] for c in centre.changes("full")}) == 50, 30, "fifty alerts")
        assert not ballast.exists()
        assert gateway.metric("zhiwang_outbox_durable") == 1
        other.unlink()
        assert centre.change("health", "cleared")["id"] == told["id"]
        assert ballast.stat().st_size == 16_000_000
        assert gateway.metric("zhiwang_outbox_dropped_rows_total") == 0
        assert gateway.stop(10) == 0


def test_a_spent_quota_is_a_full_disk_and_no_broken_one(
    bent_disk: Path, tmp_path: Path, own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given a quota that is spent but for the ballast, alerts go out and stay durable; given more, it is said too."""
    gateway, spent = gateway_of(CONFIG.format(broker=own_mosquitto.url)), tmp_path / "spent"
    state = gateway.folder / "state"
    ballast = state / "outbox.ballast"
    bent = (f"LD_PRELOAD={bent_disk}", f"BENT_AT={state}/outbox.", f"BENT_BY={spent}")
    with Centre(own_mosquitto, BASE) as centre, Peer(own_mosquitto, "tanks") as tanks:
        gateway.start(prefix=("env", *bent))
        pid = gateway.pid
        spent.write_text(f"write {errno.EDQUOT} {ballast}")
        for n in range(50):
            tanks.say(f"tank/{n}", "9.5")
        told = centre.change("health", "raised")
        assert told["subject"] == "disk/outbox{condition=room}"
        until(lambda: len({c.body["subject"] for c in centre.changes("full")}) == 50, 30, "fifty alerts")
        assert not any("durable" in c.body for c in centre.changes("full"))
        assert gateway.pid == pid
        assert gateway.metric("zhiwang_outbox_durable") == 1
        assert not ballast.exists()
        spent.unlink()
        assert centre.change("health", "cleared")["id"] == told["id"]
        assert ballast.stat().st_size == 16_000_000
        assert gateway.metric("zhiwang_outbox_dropped_rows_total") == 0
        assert gateway.stop(10) == 0
