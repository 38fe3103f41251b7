"""A database that answers with garbage, or drop by drop: left after its time, and everything is kept for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.errors import Unreachable
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from tests.sinks.conftest import series_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
