"""Where transactions go: the outbox, or nowhere in a replay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway.outbox import Checkpoint, Resumed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.errors import OutboxError
    from gateway.events import Message
    from gateway.outbox import Transaction


class Store(Protocol):
    """The outbox as the door sees it.

    `write` calls back when a transaction is durable, from any thread. `full`: no room for more alerts.
    """

    epoch: str
    resumed: Resumed
    durable: bool
    path: Path

    @property
    def full(self) -> bool: ...
    @property
    def asks(self) -> int: ...
    def write(self, transaction: Transaction, done: Callable[[OutboxError | None], None]) -> None: ...
    async def to_step_again(self) -> list[tuple[int, Message]]: ...
    async def forget(self, ids: Sequence[int]) -> None: ...
    async def asked_again(self, asks: int) -> None: ...


class Nowhere:
    """Keeps nothing: what is replayed can be replayed again. Fulfils Store."""

    durable = False
    full = False
    asks = 0

    def __init__(self, folder: Path, checkpoint: Checkpoint, next_n: int) -> None:
        """`next_n`: the number of the first input."""
        self.epoch = ""
        self.path = folder
        self.resumed = Resumed(next_n, 1, 0, 0, {}, [checkpoint])

    def write(self, transaction: Transaction, done: Callable[[OutboxError | None], None]) -> None:
        """Be done with it."""
        del transaction
        done(None)

    async def to_step_again(self) -> list[tuple[int, Message]]:
        """No dead letters."""
        return []

    async def forget(self, ids: Sequence[int]) -> None:
        """Nothing to forget."""

    async def asked_again(self, asks: int) -> None:
        """Nobody asks."""
        del asks
        await asyncio.Event().wait()
