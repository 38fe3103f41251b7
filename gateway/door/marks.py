"""Redelivery marks: which messages of a persistent session were stepped, so that a DUP of one is not stepped twice.

A broker uses a packet id again only once it has seen its acknowledgement, so the newest mark of each id is all that can
still come back: at most 65,535 a session.
"""

from __future__ import annotations

import zlib
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.events import Message
    from gateway.outbox.records import MarksOf


class Marks:
    """The marks of all sources, and those that the open transaction has yet to store."""

    def __init__(self, stored: MarksOf) -> None:
        self._marks = {source: dict(zip(*_arrays(pair), strict=True)) for source, pair in stored.items()}
        self._fresh: dict[str, tuple[array[int], array[int]]] = {}
        self._lost: list[str] = []

    def seen(self, message: Message, crc: int) -> bool:
        """Whether a redelivered message was stepped before; `crc` is its `crc_of`."""
        return self._marks.get(message.source, {}).get(message.packet_id) == crc

    def add(self, message: Message, crc: int) -> None:
        """Mark a message that is about to be stepped."""
        source, packet_id = message.source, message.packet_id
        marks = self._marks.get(source)
        if marks is None:
            marks = self._marks[source] = {}
        marks[packet_id] = crc
        fresh = self._fresh.get(source)
        if fresh is None:
            fresh = self._fresh[source] = (array("H"), array("I"))
        fresh[0].append(packet_id)
        fresh[1].append(crc)

    def lose(self, source: str) -> None:
        """The broker has no session any more: packet ids start anew, and none of the old can come back."""
        self._marks.pop(source, None)
        self._fresh.pop(source, None)
        self._lost.append(source)

    def take_fresh(self) -> tuple[MarksOf, list[str]]:
        """What the transaction being sealed stores: new marks, and sources whose session was lost before them."""
        fresh = {source: (ids.tobytes(), crcs.tobytes()) for source, (ids, crcs) in self._fresh.items()}
        lost, self._fresh, self._lost = self._lost, {}, []
        return fresh, lost

    def all(self) -> MarksOf:
        """Every mark, for a snapshot."""
        return {
            source: (array("H", marks.keys()).tobytes(), array("I", marks.values()).tobytes())
            for source, marks in self._marks.items()
        }


def crc_of(message: Message) -> int:
    """CRC-32 of topic and body, by which a message is known again."""
    return zlib.crc32(message.body, zlib.crc32(message.topic.encode()))


def _arrays(pair: tuple[bytes, bytes]) -> tuple[array[int], array[int]]:
    return array("H", pair[0]), array("I", pair[1])
