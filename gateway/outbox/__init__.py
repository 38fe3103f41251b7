"""The durable store between the core and the sinks: one SQLite file with outputs, state, cursors and dead letters."""

from gateway.outbox.budget import Budget
from gateway.outbox.dead import SetAside
from gateway.outbox.gaps import Gap
from gateway.outbox.records import Checkpoint, Resumed, Transaction
from gateway.outbox.store import Outbox, OutboxStats

__all__ = ["Budget", "Checkpoint", "Gap", "Outbox", "OutboxStats", "Resumed", "SetAside", "Transaction"]
