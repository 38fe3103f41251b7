"""What mosquitto_sub wrote: `-F '%U %t %p'`, `-F '%I %t %p'`, `-v` behind `ts`, `-F %j` and `-F %J`; also our JSONL.

Lines of text are `<time> <topic> <payload>`: a time is seconds since 1970 with a fraction (`%U`), ISO 8601 with or
without a `T` (`%I`, `ts '%F %T'`), or `Aug 14 02:14:00` (`ts` by itself: the year is that of the file's last change).
A topic may hold spaces: the first beginning of the rest that a sensor reads is it, else what stands before the first
space. Payloads of more than one line, or of bytes that are no text, are told apart only in hexadecimal (`%x`).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import msgspec

from gateway.codecs.times import one_ns
from gateway.events import Message
from gateway.exchange.given import Findings, Given, shown
from gateway.exchange.order import WINDOW_NS, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from gateway.exchange.topics import Topics

Payload = Literal["text", "hex"]
NS = 1_000_000_000
_UNIX = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?")
_TS = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d")
_ISO_DATE = re.compile(r"\d{4}[-/]\d\d[-/]\d\d")
_DOUBLE_OFFSET = re.compile(r"Z([+-]\d{4})$")  # mosquitto_sub ≤ 2.0 writes 2026-08-14T02:14:00.000000Z+0800
_TOPIC_WORDS = 6  # spaces in a topic are rare, and a payload may have thousands
LINE = "a line is <time> <topic> <payload>, from mosquitto_sub -F '%U %t %p'"
BROKEN = "a line begins with a time; payloads of several lines are kept whole by -F '%U %t %x' and --payload hex"
JSON = 'a line of -F %j has "tst", "topic" and "payload"'
HEX = "--payload hex: the payload is an even number of hexadecimal digits, from -F '%U %t %x'"
STANDARD_INPUT = "-"


class Line(msgspec.Struct):
    """A line of `-F %j` or `-F %J`, or of our own `export --format jsonl`."""

    topic: str = ""
    kind: str | None = None
    tst: str | float | None = None
    time: str | float | None = None
    qos: int = 0
    retain: int | bool = 0
    payload: msgspec.Raw = msgspec.Raw(b'""')
    payload_base64: str | None = None
    source: str | None = None
    event_time: str | None = None


class MosquittoLog:
    """Fulfils given.Importer for one file; `-` is standard input, `.gz` is read as it is.

    zone: of times that state none; payload: how payloads are written; window_ns: how far lines may be out of order.
    """

    def __init__(
        self,
        path: Path,
        topics: Topics,
        findings: Findings,
        *,
        zone: tzinfo = UTC,
        payload: Payload = "text",
        window_ns: int = WINDOW_NS,
    ) -> None:
        self.name = str(path)
        self._path = path
        self._topics = topics
        self._findings = findings
        self._zone = zone
        self._hex = payload == "hex"
        self._window_ns = window_ns
        self._standard = self.name == STANDARD_INPUT
        self._size = 0 if self._standard else path.stat().st_size
        self._read = 0
        self._newest: datetime | None = None
        self._decode = msgspec.json.Decoder(Line).decode

    def done(self) -> float:
        """The share that was read."""
        return min(1.0, self._read / self._size) if self._size else 0.0

    def inputs(self) -> Generator[Given]:
        """The messages, in time order."""
        with self._opened() as file:
            lines = cast("Iterable[bytes]", file)
            yield from in_order(self._messages(lines, self._teller(file)), self._place, self._findings, self._window_ns)

    def _opened(self) -> BinaryIO:
        if self._standard:
            return open(sys.stdin.fileno(), "rb", closefd=False)
        return self._path.open("rb")

    def _teller(self, file: BinaryIO) -> Callable[[], int]:
        return file.tell if file.seekable() else (lambda: 0)

    def _place(self, line: int) -> str:
        return f"{self.name}:{line}"

    def _messages(self, file: Iterable[bytes], tell: Callable[[], int]) -> Iterator[tuple[Given, int]]:
        zipped = self.name.endswith(".gz")
        lines = gzip.GzipFile(fileobj=cast("BinaryIO", file)) if zipped else file
        for number, line in enumerate(lines, 1):
            if number % 1000 == 0:
                self._read = tell()
            body = line.rstrip(b"\r\n") if not self._hex else line.strip()
            if not body:
                continue
            found = self._json(body, number) if body.startswith(b"{") else self._text(body, number)
            if found is not None:
                yield found, number
        self._read = self._size

    # ── lines of text ──

    def _text(self, body: bytes, number: int) -> Given | None:
        at_ns, rest = self._time(body)
        if at_ns is None:
            self._findings.bad(self._place(number), shown(body), BROKEN)
            return None
        topic, payload = self._split(rest)
        if not topic:
            self._findings.bad(self._place(number), shown(body), LINE)
            return None
        if self._hex:
            try:
                payload = binascii.unhexlify(payload)
            except binascii.Error:
                self._findings.bad(self._place(number), shown(payload), HEX)
                return None
        return self._message(at_ns, topic, payload)

    def _time(self, body: bytes) -> tuple[int | None, bytes]:
        """(when, what stands behind); None where the line does not begin with a time."""
        first, _, rest = body.partition(b" ")
        word = first.decode("ascii", "replace")
        unix = _UNIX.fullmatch(word)
        if unix:
            if len(unix[1]) <= 11:
                return int(unix[1]) * NS + int((unix[2] or "").ljust(9, "0")), rest
            return one_ns(int(unix[1]), self._zone), rest
        try:
            if _ISO_DATE.fullmatch(word):  # the time of day is the next word
                second, _, rest = rest.partition(b" ")
                return one_ns(f"{word}T{second.decode('ascii', 'replace')}", self._zone), rest
            if _TS.fullmatch(head := body[:15].decode("ascii", "replace")):
                return self._of_the_year(head), body[16:]
            return one_ns(_DOUBLE_OFFSET.sub(r"\1", word), self._zone), rest
        except ValueError:
            return None, body

    def _of_the_year(self, head: str) -> int:
        """A time without a year: in the year that ends with the file's last change."""
        if self._newest is None:
            changed = datetime.fromtimestamp(0 if self._standard else self._path.stat().st_mtime, self._zone)
            self._newest = changed + timedelta(days=1)
            self._findings.note(f"{self.name}: the times have no year; {changed.year} by the file's last change")
        newest = self._newest
        at = datetime.strptime(f"{newest.year} {head}", "%Y %b %d %H:%M:%S").replace(tzinfo=self._zone)
        if at > newest:
            at = at.replace(year=newest.year - 1)
        return one_ns(at.isoformat(), self._zone)

    def _split(self, rest: bytes) -> tuple[str, bytes]:
        """(topic, payload)."""
        first, _, payload = rest.partition(b" ")
        topic = first.decode("utf-8", "replace")
        if not payload or self._topics.heard(topic).sensors or payload[:1] in b'{["-0123456789':
            return topic, payload
        longer, left = topic, payload
        for _ in range(_TOPIC_WORDS):
            word, space, left = left.partition(b" ")
            longer += " " + word.decode("utf-8", "replace")
            if space and self._topics.heard(longer).sensors:
                return longer, left
            if not space:
                break
        return topic, payload

    # ── lines of JSON ──

    def _json(self, body: bytes, number: int) -> Given | None:
        try:
            line = self._decode(body)
            if line.kind is not None:  # of our own: what is no message is made anew
                return None
            when = line.tst if line.tst is not None else line.time
            if when is None:
                raise ValueError(LINE)  # noqa: TRY301 - told like every other wrong line
            if isinstance(when, str):
                when = _DOUBLE_OFFSET.sub(r"\1", when)
            at_ns = one_ns(when, self._zone)
            payload = _payload(line)
            if not line.topic:
                raise ValueError(LINE)  # noqa: TRY301 - as above
            event_ns = None if line.event_time is None else one_ns(line.event_time, self._zone)
        except (msgspec.DecodeError, ValueError):
            self._findings.bad(self._place(number), shown(body), JSON)
            return None
        return self._message(at_ns, line.topic, payload, line, event_ns)

    def _message(
        self, at_ns: int, topic: str, payload: bytes, line: Line | None = None, event_ns: int | None = None
    ) -> Given:
        heard = self._topics.heard(topic)
        counts = self._findings.counts
        if not heard.sensors:
            counts["unrouted"] += 1
            if counts["unrouted"] == 1:
                self._findings.note(f"no sensor reads {shown(topic)} or others: kept, and counted by the core")
        counts["messages"] += 1
        if line is None:
            return Given(at_ns, Message(heard.source, topic, payload, qos=0))
        source = line.source if line.source in self._topics.sources else heard.source
        whole = Message(source or heard.source, topic, payload, line.qos, bool(line.retain), event_ns=event_ns)
        return Given(at_ns, whole)


def _payload(line: Line) -> bytes:
    """The payload's bytes: of a text its own (`%j`), of any other JSON value as it stands in the line (`%J`)."""
    if line.payload_base64 is not None:
        return base64.b64decode(line.payload_base64, validate=True)
    raw = bytes(line.payload)
    if raw[:1] == b'"':
        return msgspec.json.decode(raw, type=str).encode()
    return b"" if raw == b"null" else raw
