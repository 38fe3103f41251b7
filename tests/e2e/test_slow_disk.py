"""A disk that takes its time: nobody is disconnected, memory is bounded, and no PUBACK runs ahead of its fdatasync."""

from __future__ import annotations

import re
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Centre, Peer
from tests.servers.gateway import Gateway, until
from tests.servers.mosquitto import broker_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: slow
brokers: {{here: {{url: "{broker}", keepalive: 5 s, receive_maximum: 60000}}}}
sensors: {{meter: {{mqtt: here, topic: "meter/{{device}}", json: {{value: v}}}}}}
rules: {{high: {{threshold: meter.value, levels: {{red: 1000000}}}}}}
"""
RATE = 2000  # messages a second
GROWTH_BYTES = 40_000_000  # of resident memory; keeping 2,000 messages a second would soon be more
PUBACK = 4


@pytest.fixture
def wide_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that sends on without waiting for acknowledgements: what waits, waits in the gateway."""
    with broker_in(tmp_path / "wide", "max_inflight_messages 0") as broker:
        yield broker


def _publish(peer: Peer, seconds: int) -> int:
    """RATE messages a second; gives how many they were."""
    pause, begin, sent, last = threading.Event(), time.monotonic(), 0, None
    while sent < seconds * RATE:
        due = min(int((time.monotonic() - begin) * RATE), seconds * RATE)
        for i in range(sent, due):
            last = peer.say(f"meter/{i % 50:02}", b'{"v": %d}' % i)
        sent = due
        pause.wait(0.01)
    assert last is not None
    last.wait_for_publish(30)
    return sent


def _resident_bytes(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [12, pytest.param(60, marks=pytest.mark.soak)], ids=["short", "full"])
def test_an_fsync_of_two_seconds_costs_no_connection_and_no_memory(
    wide_broker: Mosquitto, bent_sync: Path, tmp_path: Path, gateway_of: Callable[[str], Gateway], seconds: int
) -> None:
    """2,000 messages a second with keep-alive 5 s: one connection throughout, and everything is taken in the end."""
    gateway = gateway_of(CONFIG.format(broker=wide_broker.url))
    flag = tmp_path / "slow"
    gateway.start(prefix=("env", f"LD_PRELOAD={bent_sync}", f"SLOW_SYNC={flag}"))
    with Peer(wide_broker, "meters") as meters:
        count = _publish(meters, 2)
        until(lambda: gateway.metric("zhiwang_core_messages_total") == count, 30, "the first two seconds")
        flag.touch()
        before = _resident_bytes(gateway.pid)
        transactions = gateway.metric("zhiwang_door_transactions_total")
        count += _publish(meters, seconds)
        waiting = gateway.metric("zhiwang_source_unacknowledged")
        grown = _resident_bytes(gateway.pid) - before
        slow = gateway.metric("zhiwang_door_transactions_total") - transactions
        flag.unlink()
        until(lambda: gateway.metric("zhiwang_core_messages_total") == count, 60, f"all {count} messages")
    assert waiting > RATE / 2, "messages waited for the disk"
    assert 2 <= slow <= seconds / 2 + 2, "each transaction took its two seconds"
    assert grown < GROWTH_BYTES
    assert gateway.metric("zhiwang_source_reconnects_total") == 0
    assert gateway.metric("zhiwang_source_stale_acknowledgements_total") == 0
    log = wide_broker.log.read_text()
    assert len(re.findall(r"New client connected from \S+ as slow ", log)) == 1
    assert not re.findall(r"Client slow (?!disconnected\.$)", log)


LATE = """
gateway: late
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 9}}}}}}
sinks: {{ops: {{mqtt: here}}}}
"""
SYNC_S = 10


def test_an_fsync_of_ten_seconds_delays_acknowledgements_and_nothing_else(
    own_mosquitto: Mosquitto, bent_disk: Path, tmp_path: Path, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given a sync that takes 10 s, when 101 messages come, then none is acknowledged before it ends, and all after.

    Meanwhile the page's server answers at once, and the alert that comes of them is as durable as ever.
    """
    gateway, slow = gateway_of(LATE.format(broker=own_mosquitto.url)), tmp_path / "slow"
    bent = (f"LD_PRELOAD={bent_disk}", f"BENT_AT={gateway.folder / 'state'}/outbox.", f"BENT_BY={slow}")
    with Centre(own_mosquitto, "zhiwang/v1/_/late") as centre, Peer(own_mosquitto, "tanks") as tanks:
        gateway.start(prefix=("env", *bent))
        slow.write_text(f"slow {SYNC_S}")
        began = time.monotonic()
        for n in range(101):
            tanks.say(f"tank/{n}", "5" if n < 100 else "9.5")
        until(lambda: gateway.metric("zhiwang_source_unacknowledged") == 101, 20, "all 101 to come")
        answered: list[float] = []
        while (at := time.monotonic()) - began < SYNC_S - 1:
            assert gateway.metric("zhiwang_source_unacknowledged") == 101, "the sync has not ended"
            answered.append(time.monotonic() - at)
        assert statistics.median(answered) < SYNC_S / 20, "the event loop does not wait for the disk"
        slow.unlink()
        raised = centre.change("full", "raised", 2 * SYNC_S + 10)
        assert time.monotonic() - began > SYNC_S
        assert "durable" not in raised
        until(lambda: gateway.metric("zhiwang_source_unacknowledged") == 0, 30, "all to be acknowledged")
        assert gateway.metric("zhiwang_door_messages_total") == 101
        assert gateway.metric("zhiwang_source_reconnects_total") == 0
        assert gateway.metric("zhiwang_outbox_durable") == 1
        assert gateway.stop() == 0


def test_no_puback_is_sent_before_its_batch_is_on_the_disk(
    own_mosquitto: Mosquitto, tmp_path: Path, gateway_of: Callable[[str], Gateway]
) -> None:
    """The k-th PUBACK is the k-th message's: its value was written to the journal, and that was synced, before it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt install strace)")
    trace = tmp_path / "trace"
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    watched = "trace=fdatasync,fsync,sendto,send,write,pwrite64"
    strace = ("strace", "-D", "-f", "-yy", "-xx", "-s", "70000", "-e", watched, "-o", str(trace))
    gateway.start(prefix=strace)
    with Peer(own_mosquitto, "meters") as meters:
        for burst in range(8):
            for i in range(40):
                meters.say("meter/01", b'{"v": %d}' % (700_000 + burst * 40 + i))
            until(lambda burst=burst: gateway.metric("zhiwang_core_messages_total") == (burst + 1) * 40, 20, "a burst")
    until(lambda: gateway.metric("zhiwang_source_unacknowledged") == 0, 20, "the acknowledgements")
    assert gateway.stop() == 0
    if not trace.exists() or "fdatasync" not in trace.read_text():
        pytest.skip("strace may not trace here")
    durable, acknowledged = _followed(trace.read_text().splitlines(), own_mosquitto.port)
    assert len(acknowledged) == 320
    checked = [(value, at) for value, at in acknowledged.items() if value in durable]
    assert len(checked) > 250, "nearly every value stands whole on a page of the journal"
    assert [value for value, at in checked if durable[value] > at] == []


def _followed(lines: list[str], port: int) -> tuple[dict[int, int], dict[int, int]]:
    """(value → line of the trace by which it was synced, value → line at which its PUBACK was about to be sent)."""
    unsynced: set[int] = set()
    syncing: dict[str, set[int]] = {}
    durable: dict[int, int] = {}
    acknowledged: dict[int, int] = {}
    stream = bytearray()
    for at, line in enumerate(lines):
        thread, call = line.split(maxsplit=1)
        journal = "outbox.sqlite-wal" in _plain(call)
        if call.startswith("pwrite64(") and journal:
            unsynced |= {int(found) for found in re.findall(rb"value=(7\d{5})\.0 ", _bytes(call))}
        elif call.startswith(("fdatasync(", "fsync(")) and journal:
            syncing[thread], unsynced = unsynced, set()
            if "unfinished" not in call:
                durable = dict.fromkeys(syncing.pop(thread), at) | durable  # the first time counts
        elif call.startswith(("<... fdatasync resumed", "<... fsync resumed")) and thread in syncing:
            durable = dict.fromkeys(syncing.pop(thread), at) | durable
        elif call.startswith(("sendto(", "send(", "write(")) and f"->127.0.0.1:{port}]" in call:
            stream += _bytes(call)
            while (packet := _packet(stream)) is not None:
                if packet >> 4 == PUBACK:
                    acknowledged[700_000 + len(acknowledged)] = at
    return durable, acknowledged


def _bytes(call: str) -> bytes:
    """The call's buffer, which strace -xx prints as hex."""
    found = re.search(r'"((?:\\x[0-9a-f]{2})*)"', call)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def _plain(call: str) -> str:
    """The call's file, which strace -xx prints as hex too."""
    found = re.search(r"<((?:\\x[0-9a-f]{2})+)>", call)
    return bytes.fromhex(found[1].replace("\\x", "")).decode() if found else call.split(">", maxsplit=1)[0]


def _packet(stream: bytearray) -> int | None:
    """Take an MQTT packet off the front and give its first byte; None while none is whole."""
    length, shift = 0, 0
    for place in range(1, min(len(stream), 5)):
        length |= (stream[place] & 127) << shift
        shift += 7
        if stream[place] < 128:
            end = place + 1 + length
            if len(stream) < end:
                return None
            first = stream[0]
            del stream[:end]
            return first
    return None
