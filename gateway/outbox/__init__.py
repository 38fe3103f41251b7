"""The durable store between the core and the sinks: one SQLite file with outputs, state, cursors and dead letters."""

from gateway.outbox.dead import SetAside
from gateway.outbox.records import Checkpoint, Resumed, Transaction
from gateway.outbox.store import Outbox, OutboxStats

__all__ = ["Checkpoint", "Outbox", "OutboxStats", "Resumed", "SetAside", "Transaction"]
