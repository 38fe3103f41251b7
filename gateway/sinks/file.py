"""Both streams into files: series as line protocol (`.lp`), alerts as a JSON object a line (`.jsonl`).

A block of line protocol begins with a comment that says what it is and how to check it, so that after a kill or a power
cut the sound blocks are kept, the rest is cut, and what is redelivered is written once:
# zhiwang epoch=b3f1 position=1234 bytes=5678 crc=9abcdef0
"""

from __future__ import annotations

import asyncio
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gateway.config.common import Struct
from gateway.config.scalars import Size
from gateway.errors import Unreachable
from gateway.ports import Rejected
from gateway.sinks.file_growing import GrowingFile, Mark
from gateway.sinks.history_alerts import ROW
from gateway.sinks.outward import fields, stamp

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.events import AlertRow, Stream
    from gateway.ports import Row
    from gateway.sinks.surroundings import Surroundings

T = TypeVar("T")
LEAST_BYTES = 10_000  # smaller files would be put away with nearly every delivery
_COMMENT = re.compile(rb"# zhiwang epoch=([^ \n]*) position=(\d+) bytes=(\d+) crc=([0-9a-f]{8})(?: backfill=1)?\n")


class File(Struct, frozen=True, kw_only=True):
    """Series to `<file>.lp` and alerts to `<file>.jsonl`; `rotate`: put away at this size; `keep`: how many stay."""

    file: str
    rotate: Size = Size(100_000_000)
    keep: int = 10

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong with the values themselves."""
        problems: list[tuple[str, str]] = []
        if not self.file.rpartition("/")[2].strip(". "):
            problems.append(("file", f"found {self.file!r}; it is a file's name without its ending, such as out/log"))
        if self.rotate < LEAST_BYTES:
            problems.append(("rotate", f"found {self.rotate}; it is at least {Size(LEAST_BYTES)}"))
        if self.keep < 1:
            problems.append(("keep", f"found {self.keep}; at least 1 file that is full stays"))
        return problems


class _Said(msgspec.Struct):
    """What a line of JSON must have to be one of ours."""

    epoch: str
    seq: int


class _Thread:
    """The thread that a file is written in, from the first delivery until the sink is closed."""

    def __init__(self, name: str, file: GrowingFile) -> None:
        self._file = file
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._closed = False

    async def run(self, work: Callable[[GrowingFile], T]) -> T:
        """Do some work there. Raises Unreachable once it is closed."""
        if self._closed:
            raise Unreachable("the sink is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, self._file)

    async def aclose(self) -> None:
        """Close the file once what is being written is."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._pool, self._file.close)
            self._pool.shutdown()


class FileSeries:
    """The series stream into `<file>.lp`, each row once: what InfluxDB and its relatives import as it is."""

    stream: Stream = "series"

    def __init__(self, name: str, kind: File, around: Surroundings) -> None:
        self.name = name
        self._history = around.history
        self._epoch = ""
        self._thread = _Thread(f"file-{name}-series", _growing(kind, around.base, ".lp", last_block))

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Append the rows that are not in the file yet. Raises Unreachable where it cannot be written."""
        epoch = await self._epoch_name()

        def append(file: GrowingFile) -> None:
            file.open()
            new = [row for row in rows if row.body and not _there(file.mark, epoch, row.position, row)]
            if new:
                known = file.mark.number if file.mark and file.mark.epoch == epoch else 0
                mark = Mark(epoch, max(known, *(row.position for row in new)))
                file.append(_block(new, mark), mark)

        await self._thread.run(append)
        return ()

    async def _epoch_name(self) -> str:
        """Positions count within an epoch. Where it cannot be had now, rows may be written twice, which is harmless."""
        if not self._epoch:
            try:
                self._epoch = await self._history.epoch()
            except Unreachable:
                return ""
        return self._epoch

    async def aclose(self) -> None:
        """Close the file, end the thread."""
        await self._thread.aclose()


class FileAlerts:
    """The alerts stream into `<file>.jsonl`, as the ops centre sees it; `prev`: the seq of the line before."""

    stream: Stream = "alerts"

    def __init__(self, name: str, kind: File, around: Surroundings) -> None:
        self.name = name
        self._around = around
        self._thread = _Thread(f"file-{name}-alerts", _growing(kind, around.base, ".jsonl", last_line))

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Append the changes that are not in the file yet, but for those of shadow rules."""
        good: list[tuple[Row, AlertRow]] = []
        rejected: list[Rejected] = []
        for row in rows:
            try:
                good.append((row, ROW.decode(row.body)))
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no alert row: {error}"))
        if good:
            await self._thread.run(lambda file: self._append(file, good))
        return rejected

    def _append(self, file: GrowingFile, rows: Sequence[tuple[Row, AlertRow]]) -> None:
        file.open()
        mark, lines = file.mark, list[bytes]()
        published = stamp(self._around.clock.now_ns(), self._around.zone)
        for row, alert in rows:
            epoch = msgspec.json.decode(alert.body, type=_Said).epoch
            if alert.shadow or _there(mark, epoch, alert.seq, row):
                continue
            prev = mark.number if mark and mark.epoch == epoch else None
            whole = fields(alert, prev=prev, published=published, durable=self._around.durable())
            lines.append(msgspec.json.encode(whole) + b"\n")
            mark = Mark(epoch, alert.seq)
        if mark and lines:
            file.append(b"".join(lines), mark)

    async def aclose(self) -> None:
        """Close the file, end the thread."""
        await self._thread.aclose()


def last_block(content: mmap.mmap) -> tuple[int, Mark] | None:
    """Where the last sound block of line protocol ends, and its mark.

    From block to block, never by a search: a text that a device sent may hold a comment like ours. Every block before
    the last was synced before the next was begun, so only the last can be torn.
    """
    whole, mark, at = 0, Mark("", 0), 0
    while found := _COMMENT.match(content, at):
        end = found.end() + int(found[3])
        if end > len(content):
            break
        if end == len(content) and zlib.crc32(content[found.end() : end]) != int(found[4], 16):
            break
        whole = at = end
        mark = Mark(found[1].decode("utf-8", "replace"), int(found[2]))
    return (whole, mark) if whole or _COMMENT.match(content) else None


def last_line(content: mmap.mmap) -> tuple[int, Mark] | None:
    """Where the last whole line that is an alert ends, and its mark."""
    end = content.rfind(b"\n") + 1
    while end:
        begin = content.rfind(b"\n", 0, end - 1) + 1
        try:
            said = msgspec.json.decode(content[begin:end], type=_Said)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            end = begin
        else:
            return end, Mark(said.epoch, said.seq)
    return None


def _there(mark: Mark | None, epoch: str, number: int, row: Row) -> bool:
    """Whether a row is in the file.

    What people ask for again (negative positions) is written again, and so is what comes after newer rows.
    """
    again = row.position < 0 or row.backfill
    return bool(mark and epoch and mark.epoch == epoch and number <= mark.number and not again)


def _block(rows: Sequence[Row], mark: Mark) -> bytes:
    body = b"".join(row.body if row.body.endswith(b"\n") else row.body + b"\n" for row in rows)
    late = " backfill=1" if any(row.backfill for row in rows) else ""
    said = f"epoch={mark.epoch} position={mark.number} bytes={len(body)} crc={zlib.crc32(body):08x}{late}"
    return f"# zhiwang {said}\n".encode() + body


def _growing(kind: File, base: Path, ending: str, scan: Callable[[mmap.mmap], tuple[int, Mark] | None]) -> GrowingFile:
    return GrowingFile(base / f"{kind.file}{ending}", int(kind.rotate), kind.keep, scan)
