"""(g) An outage of the database: what is kept through it, what memory it takes, how fast it is drained afterwards.

    python benchmarks/outage.py [READINGS]      18000000: an hour of 5,000 readings/s, some minutes

influxd 1.6 is stopped; READINGS come over MQTT, five to a message, as fast as the broker and the gateway take them, and
are acknowledged; influxd is started. Memory: the most that the gateway's process has from the outage to the end of the
drain, beside the most that it had in a stream of WARM_UP messages at the same speed while all was well. While the
gateway is stopped (SIGSTOP), curl writes the outbox's own blobs, joined to bodies of BODY bytes, over one connection to
another database of the same server. Then the gateway drains, from its first delivery to its last; then curl once more,
into a third database: the faster of its two times is the server's limit. `drain:` is set high: its default leaves the
server half free. At the end every value is counted in the server.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from parts.air import FIELDS, SENSOR
from parts.corner import begin_ms
from stage import Influx, Mosquitto, Row, folder, gateway, main, memory_mb, numbers, publish, running, server, until

if TYPE_CHECKING:
    from stage import Gateway

(READINGS,) = numbers(__doc__, 2_000_000)
MESSAGES = READINGS // len(FIELDS)
WARM_UP = 100_000
BODY = 1_000_000
GROWTH_MB, SHARE = 30, 0.7
CONFIG = """
gateway: bench
brokers: {here: {url: "BROKER"}}
sensors:
  air: {SENSOR, every: 10 s, max_late: 9 d}
sinks: {store: {v1: "INFLUX", db: bench, drain: 1 GB/s}}
""".replace("SENSOR", SENSOR)


def _settled(one: Gateway, messages: int, *, delivered: bool) -> None:
    """Wait until as many messages are acknowledged, and delivered."""

    def all_of_it() -> bool:
        taken = one.metric("zhiwang_source_messages_total") >= messages
        if not taken or one.metric("zhiwang_source_unacknowledged"):
            return False
        return not delivered or one.metric("zhiwang_sink_lag_rows") == 0

    until(lambda: all_of_it() or time.sleep(0.2), 900, f"{messages} messages")


def _bodies(one: Gateway, at: Path) -> list[Path]:
    """The series that wait in the outbox, as files of about BODY bytes; read where the gateway left them."""
    at.mkdir()
    files: list[Path] = []
    uri = f"{(one.folder / 'state' / 'outbox.sqlite').absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        held, size = list[bytes](), 0
        where = "position > (SELECT min(position) FROM cursors WHERE stream = 'series' AND sink = 'store')"
        for (body,) in connection.execute(f"SELECT body FROM series WHERE {where} ORDER BY position"):  # noqa: S608 - ours
            held.append(bytes(body).rstrip(b"\n") + b"\n")
            size += len(held[-1])
            if size >= BODY:
                files.append(_file(at, len(files), held))
                held, size = [], 0
    if held:
        files.append(_file(at, len(files), held))
    return files


def _file(at: Path, number: int, held: list[bytes]) -> Path:
    path = at / f"{number:06}"
    path.write_bytes(b"".join(held))
    return path


def _curl(influx: Influx, db: str, files: list[Path]) -> float:
    """Seconds that curl takes for all of them on one connection."""
    influx.database(db)
    url = f"{influx.url}/write?db={db}&precision=ns"
    script = "".join(
        f'next\nurl = "{url}"\ndata-binary = "@{path}"\nheader = "Expect:"\nfail\nsilent\nshow-error\n'
        for path in files
    )
    config = files[0].parent.parent / f"curl-{db}"
    config.write_text(script.removeprefix("next\n"), encoding="utf-8")
    began = time.monotonic()
    subprocess.run(["curl", "-K", str(config)], check=True)
    return time.monotonic() - began


def _drained(one: Gateway) -> float:
    """Seconds from its first delivery to its last, as if the first had been in that time."""
    waiting = one.metric("zhiwang_sink_lag_rows")
    until(lambda: one.metric("zhiwang_sink_lag_rows") < waiting, 120, "the first delivery")
    began, left = time.monotonic(), one.metric("zhiwang_sink_lag_rows")
    until(lambda: one.metric("zhiwang_sink_lag_rows") == 0 or time.sleep(0.1), 900, "the last delivery")
    return (time.monotonic() - began) * waiting / left


def _stored(influx: Influx, db: str) -> int:
    counts = ", ".join(f"count({field}) AS {field}" for field in FIELDS)
    rows = influx.query(f'SELECT {counts} FROM "air"', db)  # noqa: S608 - our own names
    return sum(int(rows[0][field]) for field in FIELDS) if rows else 0  # type: ignore[call-overload] - numbers


def _outage(one: Gateway, broker: Mosquitto, influx: Influx) -> tuple[float, float, float]:
    """What resident memory was before, the most during, and how long the stream took."""
    begin, highest = begin_ms(), Path(f"/proc/{one.pid}/clear_refs")
    assert publish(broker.port, WARM_UP, corner=(0, begin)).wait(300) == 0
    _settled(one, WARM_UP, delivered=True)
    before = memory_mb(one.pid, "VmHWM")
    highest.write_text("5", encoding="utf-8")  # VmHWM starts anew from what there is
    influx.stop()
    began = time.monotonic()
    assert publish(broker.port, MESSAGES, corner=(WARM_UP, begin)).wait(3600) == 0
    _settled(one, WARM_UP + MESSAGES, delivered=False)
    return before, memory_mb(one.pid, "VmHWM"), time.monotonic() - began


def _measure(at: Path, stack: ExitStack) -> list[Row]:
    broker, influx = server(Mosquitto, at / "broker"), server(Influx, at / "influx")
    stack.enter_context(running(broker, influx))
    influx.database("bench")
    text = CONFIG.replace("BROKER", broker.url).replace("INFLUX", influx.url)
    one = stack.enter_context(gateway(at / "gateway", text))
    before, most, took = _outage(one, broker, influx)
    os.kill(one.pid, signal.SIGSTOP)
    files = _bodies(one, at / "bodies")
    size = sum(path.stat().st_size for path in files)
    influx.start()
    first = _curl(influx, "floor1", files)
    os.kill(one.pid, signal.SIGCONT)
    drained = _drained(one)
    after = memory_mb(one.pid, "VmHWM")
    second = _curl(influx, "floor2", files)
    found, wanted = _stored(influx, "bench"), (WARM_UP + MESSAGES) * len(FIELDS)
    assert _stored(influx, "floor1") == MESSAGES * len(FIELDS), "curl wrote something else"
    limit = min(first, second)  # what the server can do, without what it does behind the one or the other
    grown = max(most, after) - before
    speed = MESSAGES * len(FIELDS) / drained
    words = f"{speed:,.0f} readings/s, {size / drained / 1e6:.1f} MB/s; curl {first:.1f} and {second:.1f} s"
    dropped = one.metric("zhiwang_outbox_dropped_points_total") + one.metric("zhiwang_door_dead_total")
    return [
        Row("readings lost", f"{wanted - found:,}", f"0 of {wanted:,}; {dropped:.0f} dropped", found == wanted),
        Row(
            "memory grown",
            f"{grown:.0f} MB",
            f"less than {GROWTH_MB} MB; {before:.0f} MB at most before, {most:.0f} in the outage, {after:.0f} draining",
            grown < GROWTH_MB,
        ),
        Row("drain rate ÷ curl's", f"{limit / drained:.2f}", f"at least {SHARE}; {words}", limit / drained >= SHARE),
        Row("taken in the outage", f"{READINGS / took:,.0f} readings/s", f"{size / 1e6:.0f} MB of line protocol kept"),
    ]


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main(f"(g) an outage of {READINGS:,} readings", measure)
