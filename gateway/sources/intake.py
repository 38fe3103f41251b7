"""Messages on their way from a link to the door: bounded by bytes, batched, counted until acknowledged."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.events import Health, Message

OVERHEAD = 300  # bytes that a message's objects take beside its topic and body


class Batch:
    """Inputs handed to the door together, once `before` was called.

    acks: a number for each message that wants an acknowledgement, in order. since_s: when its first input came.
    """

    __slots__ = ("acks", "before", "done", "inputs", "messages", "since_s", "size")

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self.before = before
        self.inputs: list[Message | Health] = []
        self.acks: list[int] = []
        self.messages = 0
        self.size = 0
        self.since_s = 0.0
        self.done = False


class Intake:
    """What has arrived and is not acknowledged yet.

    The link puts, from a thread of its own or not; the event loop takes batches and releases them when they are
    committed. `arrived` is called by the link with the first input of each batch, `more` with others that are put
    later. Above `most` bytes it stops reading, below half of it goes on.
    """

    def __init__(self, most: int, arrived: Callable[[], None], more: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._arrived, self._more = arrived, more
        self._next = Batch()
        self._earlier: list[Batch] = []
        self._most = most
        self._paused = False
        self.size = 0
        self.messages = 0
        self.total = 0
        self.total_size = 0
        self.pauses = 0

    def put(self, messages: Sequence[Message], acks: Sequence[int]) -> None:
        """Messages in order, from the link."""
        payload = sum([len(message.body) for message in messages])
        size = payload + sum([len(message.topic) for message in messages]) + OVERHEAD * len(messages)
        with self._lock:
            batch = self._next
            first = not batch.inputs
            batch.inputs += messages
            batch.acks += acks
            batch.messages += len(messages)
            batch.size += size
            self.size += size
            self.messages += len(messages)
        self.total += len(messages)
        self.total_size += payload
        if first:
            self._arrived()
        elif self._more is not None:
            self._more()

    def say(self, health: Health) -> None:
        """What the source says of itself, in its place among the messages."""
        with self._lock:
            first = not self._next.inputs
            self._next.inputs.append(health)
        if first:
            self._arrived()

    def cut(self, before: Callable[[], None]) -> None:
        """What comes from here on is a batch of its own, and `before` stands before it. Something has to come."""
        with self._lock:
            self._earlier.append(self._next)
            self._next = Batch(before)

    def take(self) -> list[Batch]:
        """All that came since the last time."""
        with self._lock:
            batches = [batch for batch in (*self._earlier, self._next) if batch.inputs]
            self._earlier, self._next = [], Batch()
        return batches

    def release(self, batch: Batch) -> None:
        """The batch is durable."""
        with self._lock:
            self.size -= batch.size
            self.messages -= batch.messages

    @property
    def waiting(self) -> bool:
        """Whether something came that was not taken yet."""
        return bool(self._next.inputs)

    def room(self) -> int:
        """Bytes that may still come before it is full."""
        return max(1, self._most - self.size)

    def full(self) -> bool:
        """Whether to stop reading for now; asked by the link alone."""
        if self._paused:
            self._paused = self.size > self._most // 2
        elif self.size > self._most:
            self._paused = True
            self.pauses += 1
        return self._paused
