"""The local socket, `<state>/zhiwang.sock` (0600): what `watch`, `outbox` and `record` ask of the running gateway.

JSON lines, one object with one key a line, answered in order:

    {"status": {}}   → {"status": {…}, "components": [{"name", "ok", "condition", "detail", "since_ns"}, …]}
    {"open": {}}     → {"open": [alert, …]}
    {"command": {"target": "flood-…", "verb": "acknowledge", "note": "…"}}   → {"reply": {…}}
    {"follow": {}}   → {"open": [alert, …]}, then {"alert": {…}} with each change, until one side hangs up
    {"record": {"flush": {}}}   → {"files": [path, …]}: what was admitted until now stands in them, oldest first
    anything else    → {"error": "what was found and what is allowed"}

Alerts are the JSON objects of DESIGN.md. `follow` looks twice a second and tells each alert's newest change; whoever
needs every single one follows the broker's topics. The asking side is in local_client.py.
"""

from __future__ import annotations

import asyncio
import errno
import os
import pwd
import socket
import stat
import struct
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import AlreadyRunning, GatewayError
from gateway.events import Command, Verb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from gateway.ports import Clock, Commit, View

NAME = "zhiwang.sock"
Object = dict[str, object]
_LONGEST = 65_536  # bytes of one request
_CLIENTS = 32  # at a time; the next waits
_LOOK_S = 0.5
_PAST = 50  # closed alerts looked at for changes
_LONGEST_ADDRESS = 107  # bytes that the kernel takes
_ALLOWED = "one of status, open, command, follow, record: {}"
_RECORD = {"flush": {}}


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command as it is asked: id and who are made where they are left out."""

    target: str
    verb: Verb
    id: str | None = None
    who: str | None = None
    note: str = ""
    if_seq: int | None = None
    until_ns: int | None = None


class LocalSocket:
    """Fulfils ports.Source: commands reach the door through the View, which also finds their reply.

    record: has all that was admitted until now written, and gives the recording's files; None: nothing is recorded.
    `run` raises AlreadyRunning where another process serves `path`, GatewayError where it cannot be made.
    """

    name = "local"

    def __init__(
        self,
        path: Path,
        view: View,
        clock: Clock,
        record: Callable[[], Awaitable[Sequence[Path]]] | None = None,
    ) -> None:
        self._path = path
        self._view = view
        self._clock = clock
        self._record = record

    async def run(self, commit: Commit) -> None:
        """Serve until cancelled, then remove the socket."""
        del commit
        loop = asyncio.get_running_loop()
        places = asyncio.Semaphore(_CLIENTS)
        with _listening(self._path) as listener:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await places.acquire()
                    connection, _ = await loop.sock_accept(listener)
                    tasks.create_task(self._client(connection, places), name="local-client")

    async def _client(self, connection: socket.socket, places: asyncio.Semaphore) -> None:
        who = _peer(connection)
        try:
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_LONGEST)
            try:
                with suppress(ConnectionError):  # it hung up
                    await self._serve(reader, writer, who)
            finally:
                writer.transport.abort()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        finally:
            places.release()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, who: str) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # longer than _LONGEST; where the next begins is not known
                await _send(writer, {"error": f"found a request of more than {_LONGEST} bytes"})
                return
            if not line.endswith(b"\n"):
                return
            try:
                request: Object = msgspec.json.decode(line, type=dict[str, object])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                await _send(writer, {"error": f"found no JSON object ({error}); expected {_ALLOWED}"})
                continue
            if list(request) == ["follow"]:
                await self._follow(reader, writer)
                return
            answer: Object
            try:
                answer = await self._answer(request, who)
            except GatewayError as error:
                answer = {"error": str(error)}
            await _send(writer, answer)

    async def _answer(self, request: Object, who: str) -> Object:
        match list(request):
            case ["status"]:
                return {"status": self._view.status(), "components": self._view.components()}
            case ["open"]:
                return {"open": await self._view.open_alerts()}
            case ["command"]:
                return await self._command(request["command"], who)
            case ["record"]:
                return await self._recorded(request["record"])
            case found:
                return {"error": f"found {', '.join(found[:5])[:200] or 'nothing'}; expected {_ALLOWED}"}

    async def _recorded(self, asked: object) -> Object:
        if asked != _RECORD:
            return {"error": f"record: found {str(asked)[:200]}; expected {_RECORD}"}
        if self._record is None:
            return {"error": "this gateway records nothing (recording: off)"}
        return {"files": [str(path) for path in await self._record()]}

    async def _command(self, asked: object, who: str) -> Object:
        try:
            given = msgspec.convert(asked, _Asked)
        except msgspec.ValidationError as error:
            return {"error": f"command: {error}"}
        command = Command(
            id=given.id or self._clock.token_hex(8),
            target=given.target,
            verb=given.verb,
            who=given.who or who,
            note=given.note,
            if_seq=given.if_seq,
            until_ns=given.until_ns,
        )
        return {"reply": await self._view.command(command)}

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = await self._view.open_alerts()
        told = max((_seq(alert) for alert in [*opened, *await self._view.past_alerts(_PAST)]), default=0)
        await _send(writer, {"open": opened})
        while not reader.at_eof():
            await self._clock.sleep(_LOOK_S)
            alerts = [*await self._view.open_alerts(), *await self._view.past_alerts(_PAST)]
            newer = {_seq(alert): alert for alert in alerts if _seq(alert) > told}
            for seq in sorted(newer):
                await _send(writer, {"alert": newer[seq]})
                told = seq


async def _send(writer: asyncio.StreamWriter, answer: Object) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()


def _seq(alert: Object) -> int:
    seq = alert.get("seq")
    return seq if isinstance(seq, int) else 0


def _peer(connection: socket.socket) -> str:
    """The user at the other end, as the kernel knows it."""
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


@contextmanager
def address_of(path: Path) -> Generator[str]:
    """What to bind or connect to: the path, or the same by its folder's number where it is too long for the kernel."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextmanager
def _listening(path: Path) -> Generator[socket.socket]:
    """A listening socket at `path`, for its owner alone; one that was left behind is replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GatewayError(f"cannot make the local socket {path}: {error.strerror}") from error
    with address_of(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            _bind(listener, address, path)
        except OSError as error:
            raise GatewayError(f"cannot make the local socket {path}: {error.strerror}") from error
        made = Path(address).stat().st_ino
        Path(address).chmod(0o600)  # before listening: until then every connection is refused
        listener.listen(_CLIENTS)
        listener.setblocking(False)
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if Path(address).stat().st_ino == made:
                    Path(address).unlink()


def _bind(listener: socket.socket, address: str, path: Path) -> None:
    try:
        listener.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    else:
        return
    if not stat.S_ISSOCK(Path(address).lstat().st_mode):
        raise GatewayError(f"found a file at {path} that is no socket; move it away")
    _refuse_second(address, path)
    Path(address).unlink()  # its process is gone
    listener.bind(address)


def refuse_second(path: Path) -> None:
    """Raise AlreadyRunning where a gateway answers at this socket."""
    with suppress(OSError), address_of(path) as address:
        _refuse_second(address, path)


def _refuse_second(address: str, path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return
    raise AlreadyRunning(f"already running: another zhiwang serves {path}; stop it, or use another `state:`")
