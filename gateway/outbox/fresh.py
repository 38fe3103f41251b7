"""The newest transaction's rows, kept a moment longer: who follows closely need not read them back from the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.events import Stream
    from gateway.outbox.gaps import Has
    from gateway.ports import Row

MOST_BYTES = 1_000_000  # of what is kept: a transaction is 256 kB, and larger only where the disk was slow


class Fresh(NamedTuple):
    """Rows by stream, as they were written; `state` is what the ledger had removed by then.

    Where the ledger has removed more since, some of these may be gone: then the file says what there is.
    """

    rows: Mapping[str, Sequence[Row]]
    state: tuple[int, ...]

    def after(self, stream: Stream, has: Has, most_rows: int, most_bytes: int) -> list[Row]:
        """The rows that come next for who has so much, as reading the file would give them; none: read it."""
        rows = self.rows.get(stream, ())
        skipped = (has.head or has.upto) + 1 - rows[0].position if rows else 0
        if not 0 <= skipped < len(rows):
            return []
        next_rows = list(rows[skipped : skipped + most_rows])
        held = 0
        for place, row in enumerate(next_rows):
            held += len(row.body)
            if held > most_bytes and place:
                return next_rows[:place]
        return next_rows


NOTHING = Fresh({}, ())


def kept(rows: Mapping[str, Sequence[Row]], state: tuple[int, ...]) -> Fresh:
    """What is kept of a transaction."""
    size = sum(len(row.body) for each in rows.values() for row in each)
    return Fresh(rows, state) if size <= MOST_BYTES else NOTHING
