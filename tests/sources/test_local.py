"""The local socket."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.clock import WallClock
from gateway.errors import GatewayError, RefusedError, StateError, Unreachable
from gateway.ports import Component, Judged, Latest, Picture
from gateway.sources.local import NAME, LocalSocket
from gateway.sources.local_client import ask, follow
from tests.sources.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from gateway.events import Command, Input


class Shown:
    """A View over lists that a test fills."""

    def __init__(self) -> None:
        self.open: list[dict[str, object]] = []
        self.past: list[dict[str, object]] = []
        self.commands: list[Command] = []

    def now_ns(self) -> int:
        """Unused here."""
        return 0

    def components(self) -> list[Component]:
        """One."""
        return [Component("source/here", ok=True, condition="connected", detail="", since_ns=7)]

    def status(self) -> dict[str, object]:
        """Something."""
        return {"gateway": "lg-017-02"}

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Unused here."""
        return []

    def latest(self) -> list[Latest]:
        """Unused here."""
        return []

    def judged(self) -> list[Judged]:
        """Unused here."""
        return []

    def picture(self, camera: str) -> Picture | None:
        """Unused here."""
        del camera

    async def open_alerts(self) -> list[dict[str, object]]:
        """The open ones."""
        return self.open

    async def past_alerts(self, limit: int) -> list[dict[str, object]]:
        """The closed ones."""
        return self.past[:limit]

    async def chart(self, subject: str, from_ns: int, to_ns: int, buckets: int) -> tuple[list[int], list[float]]:
        """Unused here."""
        del subject, from_ns, to_ns, buckets
        return [], []

    async def command(self, command: Command) -> dict[str, object]:
        """Answers; refuses a target `gone`."""
        if command.target == "gone":
            raise StateError("no alert gone")
        self.commands.append(command)
        return {"id": command.id, "result": "done"}


async def commit(batch: Sequence[Input]) -> None:
    """Nothing comes this way."""
    raise AssertionError(batch)


@asynccontextmanager
async def served(
    path: Path, view: Shown, record: Callable[[], Awaitable[list[Path]]] | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """The socket, until the block ends."""
    task = asyncio.get_running_loop().create_task(LocalSocket(path, view, WallClock(), record).run(commit))
    await until(lambda: path.exists() or task.done())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def raw(path: Path, sent: bytes) -> list[dict[str, object]]:
    """What comes back for these bytes, after which we hang up."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(sent)
    writer.write_eof()
    answers = [json.loads(line) async for line in reader]
    writer.close()
    await writer.wait_closed()
    return answers


async def test_it_answers_status_and_open_alerts_to_its_owner_alone(tmp_path: Path) -> None:
    view = Shown()
    view.open = [{"id": "flood-1", "seq": 3}]
    async with served(tmp_path / NAME, view):
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
        status = await ask(tmp_path / NAME, {"status": {}})
        assert status["status"] == {"gateway": "lg-017-02"}
        [component] = status["components"]  # type: ignore[misc]  a list
        assert component.items() >= {"name": "source/here", "ok": True, "condition": "connected", "since_ns": 7}.items()
        assert await ask(tmp_path / NAME, {"open": {}}) == {"open": view.open}
    assert not (tmp_path / NAME).exists()


async def test_a_command_gets_its_reply_and_who_is_the_user_at_the_other_end(tmp_path: Path) -> None:
    view = Shown()
    async with served(tmp_path / NAME, view):
        answer = await ask(tmp_path / NAME, {"command": {"target": "flood-1", "verb": "acknowledge"}})
        again = {"command": {"id": "c1", "target": "flood-1", "verb": "shelve", "who": "wang", "until_ns": 5}}
        assert await ask(tmp_path / NAME, again) == {"reply": {"id": "c1", "result": "done"}}
    first, second = view.commands
    assert answer["reply"] == {"id": first.id, "result": "done"}
    assert len(first.id) == 16
    assert first.who == pwd.getpwuid(os.getuid()).pw_name
    assert (second.who, second.until_ns, second.verb) == ("wang", 5, "shelve")


async def test_follow_gives_the_open_alerts_then_each_change(tmp_path: Path) -> None:
    view = Shown()
    view.open = [{"id": "flood-1", "seq": 3}]
    async with served(tmp_path / NAME, view):
        changes = follow(tmp_path / NAME)
        assert await anext(changes) == {"open": [{"id": "flood-1", "seq": 3}]}
        view.open = [{"id": "dust-2", "seq": 5}]
        view.past = [{"id": "flood-1", "seq": 4, "change": "closed"}]
        assert await anext(changes) == {"alert": {"id": "flood-1", "seq": 4, "change": "closed"}}
        assert await anext(changes) == {"alert": {"id": "dust-2", "seq": 5}}
        await changes.aclose()  # type: ignore[attr-defined]  it is a generator


async def test_a_wrong_request_is_told_and_the_next_one_answered(tmp_path: Path) -> None:
    view = Shown()
    lines = [
        b"hello",
        b"[]",
        b"{}",
        b'{"reboot":{}}',
        b'{"open":{},"status":{}}',
        b'{"command":{"target":"x","verb":"explode"}}',
        b'{"command":7}',
        b'{"command":{"target":"gone","verb":"acknowledge"}}',
        b"\xff",
        b"[" * 5000,
        b'{"open":{}}',
    ]
    async with served(tmp_path / NAME, view):
        answers = await raw(tmp_path / NAME, b"".join(line + b"\n" for line in lines))
        assert [list(answer) for answer in answers] == [["error"]] * 10 + [["open"]]
        assert answers[3]["error"] == "found reboot; expected one of status, open, command, follow, record: {}"
        assert answers[7]["error"] == "no alert gone"
        [too_long] = await raw(tmp_path / NAME, b"x" * 70_000)
        assert "more than 65536 bytes" in str(too_long["error"])
        with pytest.raises(RefusedError, match="found reboot"):
            await ask(tmp_path / NAME, {"reboot": {}})
        assert await ask(tmp_path / NAME, {"open": {}}) == {"open": []}


async def test_what_was_recorded_until_now_is_flushed_and_its_files_are_named(tmp_path: Path) -> None:
    flushed: list[Path] = []

    async def record() -> list[Path]:
        flushed.append(tmp_path / "recording/1.mcap")
        return flushed

    async with served(tmp_path / NAME, Shown(), record):
        answer = await ask(tmp_path / NAME, {"record": {"flush": {}}})
        assert answer == {"files": [str(tmp_path / "recording/1.mcap")]}
        with pytest.raises(RefusedError, match=r"found .*erase.*; expected .*flush"):
            await ask(tmp_path / NAME, {"record": {"erase": {}}})
        assert len(flushed) == 1
    async with served(tmp_path / NAME, Shown()):
        with pytest.raises(RefusedError, match="records nothing"):
            await ask(tmp_path / NAME, {"record": {"flush": {}}})


async def test_a_socket_left_behind_is_replaced_and_a_live_one_says_already_running(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with served(path, Shown()):
        await until(lambda: path.stat().st_mode & 0o777 == 0o600)  # the path is there before and after
        with pytest.raises(GatewayError, match="already running"):
            await LocalSocket(path, Shown(), WallClock()).run(commit)
        assert await ask(path, {"open": {}}) == {"open": []}


async def test_a_file_in_its_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text("mine")
    with pytest.raises(GatewayError, match="no socket"):
        await LocalSocket(path, Shown(), WallClock()).run(commit)
    assert path.read_text() == "mine"


async def test_a_path_longer_than_the_kernel_takes_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / NAME
    async with served(path, Shown()):
        assert await ask(path, {"open": {}}) == {"open": []}


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is it running"):
        await ask(tmp_path / NAME, {"open": {}})
    async with served(tmp_path / NAME, Shown()) as task:
        changes = follow(tmp_path / NAME)
        await anext(changes)
        task.cancel()
        with pytest.raises(Unreachable, match="hung up"):
            await anext(changes)
