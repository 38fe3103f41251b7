"""A sink that keeps what it is given, for tests, the demo and whoever tries a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.ports import Rejected, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.events import Stream


class MemorySink:
    """Keeps each row once, by its position.

    `refuse` names a reason for rows to reject; `fail`, while it is set, is raised instead of delivering.
    """

    def __init__(
        self, name: str = "memory", stream: Stream = "series", refuse: Callable[[Row], str | None] = lambda _: None
    ) -> None:
        self.name = name
        self.stream: Stream = stream
        self.fail: Exception | None = None
        self._refuse = refuse
        self._rows: dict[int, Row] = {}

    @property
    def rows(self) -> list[Row]:
        """What was delivered, in order of position."""
        return [self._rows[position] for position in sorted(self._rows)]

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Keep the rows that are not refused."""
        if self.fail is not None:
            raise self.fail
        rejected: list[Rejected] = []
        for row in rows:
            if reason := self._refuse(row):
                rejected.append(Rejected(row, row.body, reason))
            else:
                self._rows[row.position] = row
        return rejected

    async def aclose(self) -> None:
        """Nothing to close; what it kept stays readable."""
