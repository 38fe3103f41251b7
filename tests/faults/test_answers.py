"""A database that answers with garbage, drop by drop, or anything at all: nothing is lost, nothing good set aside."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.clock import WallClock
from gateway.delivery import Delivery
from gateway.errors import Unreachable
from gateway.outbox import Outbox
from gateway.outbox.records import SeriesRow
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from tests.door.until import until
from tests.outbox.conftest import transaction, write
from tests.sinks.conftest import series_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.events import Health
    from gateway.sinks.influx import InfluxSink

ROWS = series_rows(b"m v=1 1\n")
GARBAGE = {
    "no HTTP": bytes(range(256)),
    "nothing": b"",
    "a torn head": b"HTTP/1.1 2",
    "no such status": b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n",
    "a body shorter than said": b"HTTP/1.1 400 Bad\r\nContent-Length: 500\r\n\r\npartial write",
    "a page in place of an answer": b"HTTP/1.1 400 Bad\r\nContent-Length: 18\r\n\r\n<html>\xff\xfe Bad</ht",
    "an endless header": b"HTTP/1.1 204 X\r\nX: " + b"a" * 200_000,
    "zeros that are no gzip": b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\0\0\0\0",
}


@asynccontextmanager
async def answering(answer: bytes, pause_s: float) -> AsyncIterator[str]:
    """A server that gives `answer` to each request, a byte every `pause_s` (0: at once), and then closes."""
    async with asyncio.TaskGroup() as tasks:
        running: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await reader.readuntil(b"m v=1 1\n")
                for part in [answer[n : n + 1] for n in range(len(answer))] if pause_s else [answer]:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
            writer.close()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            running.append((tasks.create_task(serve(reader, writer)), writer))

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task, writer in running:
                task.cancel()
                writer.transport.abort()
    await asyncio.sleep(0)  # an aborted transport closes its socket with the loop's next turn


def sink_to(url: str, kind: str) -> InfluxSink:
    """By either way of writing."""
    return build_v1("i", V1(v1=url, db="d"), Path()) if kind == "v1" else build_v2("i", V2(v2=url, bucket="b"), Path())


@pytest.mark.parametrize("kind", ["v1", "v2"])
@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_is_an_outage_and_gives_nothing_up(what: str, kind: str) -> None:
    """Whatever comes back that is no answer of a database: tried again."""
    async with answering(GARBAGE[what], 0) as url:
        sink = sink_to(url, kind)
        with pytest.raises(Unreachable):
            await sink.deliver(ROWS)
        await sink.aclose()


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_an_answer_that_comes_drop_by_drop_is_not_waited_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is in time, all of them are not; and the next delivery is none the worse."""
    monkeypatch.setattr("gateway.sinks.influx_http.TIMEOUT_S", 0.5)
    monkeypatch.setattr("gateway.sinks.influx.TIMEOUT_S", 0.5)
    async with answering(b"HTTP/1.1 204 X\r\nX: " + b"a" * 60 + b"\r\n\r\n", 0.1) as url:
        sink = sink_to(url, kind)
        for _ in range(2):
            async with asyncio.timeout(3):
                with pytest.raises(Unreachable, match=r"did not answer within"):
                    await sink.deliver(ROWS)
        await sink.aclose()


class Moody:
    """A database that takes lines with `v=`, and answers each request by the next of its `moods`; then it is well."""

    def __init__(self, moods: list[str]) -> None:
        self.moods = moods
        self.stored: set[bytes] = set()
        self.seen: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    def accept(self, tasks: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection."""
        self._tasks.append(tasks.create_task(self._serve(reader, writer)))

    def end(self) -> None:
        """Leave every connection."""
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                mood = self.moods.pop(0) if self.moods else "well"
                self.seen[mood] += 1
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                if mood == "cut within the request":
                    await reader.readexactly(length // 2)
                    return
                answer = await self._answer(mood, (await reader.readexactly(length)).splitlines())
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.transport.abort()

    async def _answer(self, mood: str, lines: list[bytes]) -> bytes | None:
        bad = [line for line in lines if b" v=" not in line]
        if mood in ANSWERS:
            return ANSWERS[mood]
        if mood == "too large" and len(lines) > 3:
            return _http(413, b"")
        if mood == "never":
            await asyncio.Event().wait()
        if mood == "slow":
            await asyncio.sleep(0.1)
        if mood == "refused whole" and bad:
            return _http(400, b'{"error":"partial write"}')
        self.stored |= set(lines) - set(bad)
        if mood == "stored, then cut":
            return None
        if not bad:
            return _http(204, b"")
        quoted = b"".join(b"\\nunable to parse '%b': missing fields" % line for line in bad[:2])  # not all of them
        return _http(400, b'{"error":"partial write:%b dropped=0"}' % quoted)


def _http(status: int, body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, more, len(body), body)


ANSWERS = {
    "500": _http(500, b"{}"),
    "503 with a date": _http(
        503, b"", b"Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n"
    ),
    "429": _http(429, b"", b"Retry-After: 0\r\n"),
    "404": _http(404, b'{"error":"database not found"}'),
    "401": _http(401, b'{"error":"authorization failed"}'),
    "403": _http(403, b""),
    "a proxy's page": _http(400, b"<html>Bad</html>"),
    **GARBAGE,
}
MOODS = [*ANSWERS, "cut within the request", "too large", "never", "slow", "refused whole", "stored, then cut", "well"]


@pytest.mark.parametrize("kind", ["v1", "v2"])
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.generate],  # a run takes seconds: shrinking would take minutes
)
@given(moods=st.permutations(MOODS * 2), poison=st.sets(st.integers(0, 799), max_size=9))
def test_whatever_a_server_answers_every_good_point_is_stored_and_every_bad_one_set_aside(
    kind: str, moods: list[str], poison: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given answers of every sort in any order, when they are over: the exact count of stored and dead lines."""
    monkeypatch.setattr("gateway.sinks.influx_http.TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.sinks.influx.TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.delivery.LAST_RETRY_S", 0.02)
    monkeypatch.setattr("gateway.delivery.LOGIN_RETRY_S", 0.02)
    asyncio.run(_through(kind, moods, poison))


async def _through(kind: str, moods: list[str], poison: set[int]) -> None:
    server = Moody(moods)
    lines = [b"m,n=%d %b=%d %d" % (n, b"v" if n not in poison else b"oops", n, n) for n in range(800)]
    rows = [SeriesRow(5, 8, b"\n".join(lines[n : n + 8]) + b"\n") for n in range(0, 800, 8)]
    said: list[Health] = []

    async def report(health: Health) -> None:
        said.append(health)

    with tempfile.TemporaryDirectory() as folder:
        clock = WallClock()
        outbox = Outbox.open(Path(folder), clock)
        await outbox.declare([("i", "series", "oldest")])
        async with asyncio.TaskGroup() as tasks:
            listening = await asyncio.start_server(lambda *ends: server.accept(tasks, *ends), "127.0.0.1", 0)
            sink = sink_to(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", kind)
            delivery = Delivery(outbox, sink, clock, report)
            delivering = tasks.create_task(delivery.run())
            while server.moods:  # one row at a time as long as anything may happen, so that much does
                await write(outbox, transaction(series=[rows.pop(0)] if rows else []))
                behind = server.seen.total()
                await until(lambda behind=behind: server.seen.total() > behind or not outbox.waiting("series", "i"))
                if not rows:
                    break
            server.moods.clear()
            await write(outbox, transaction(series=rows))
            await until(lambda: delivery.stats()["delivered_total"] == 100)
            delivering.cancel()
            await sink.aclose()
            server.end()
            listening.close()
        letters = [letter.letter for letter in await outbox.letters()]
        await outbox.close()
    bad = {lines[n] for n in poison}
    assert server.stored == set(lines) - bad
    assert {line for letter in letters for line in letter.body.splitlines()} == bad
    assert all(letter.reason for letter in letters)
    stats = delivery.stats()
    assert (stats["points_delivered_total"], stats["points_rejected_total"]) == (800 - len(bad), len(bad))
    assert stats["lag_rows"] == 0
    if server.seen["401"] or server.seen["403"]:
        assert any("answered 40" in health.detail for health in said)
