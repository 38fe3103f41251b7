"""What a change says of those before it on its topics: from memory where it is new, for an alert waits for no file.

The history keeps it, so that a change says the same however often it is delivered, also after a restart.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.errors import TransientError
from gateway.sinks.history_alerts import Noted, Standing, epoch_of, topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import AlertRow
    from gateway.sinks.history import History

_log = logging.getLogger(__name__)


class Chains:
    """The chains of one sink. `learn` at the beginning of each connection, when nothing is under way."""

    def __init__(self, sink: str, history: History) -> None:
        self._sink, self._history = sink, history
        self._last: dict[str, int] = {}
        self._at = Standing("", 0, {})

    async def learn(self) -> None:
        """Begin where the history is. Raises Unreachable where that cannot be used: what is known stays."""
        self._at = await self._history.standing(self._sink)
        self._last.update(self._at.last)

    def new(self, alerts: Sequence[AlertRow]) -> list[Noted] | None:
        """What they say, where all came after whatever this sink and the history have had; `keep` it afterwards.

        Where a process ends between the two, the history comes to the same: it has had all changes before these.
        """
        seq = self._at.seq
        for alert in alerts:
            if alert.seq <= max([seq, *(self._last.get(topic(alert, name), 0) for name in alert.severities)]):
                return None
            if epoch_of(alert) != self._at.epoch:
                return None
            seq = alert.seq
        return self._follow(alerts)

    async def keep(self, alerts: Sequence[AlertRow]) -> list[Noted]:
        """Have the history keep what they say, and say it; while that cannot be used, from memory: alerts go on."""
        try:
            noted = await self._history.note(self._sink, alerts)
        except TransientError as error:
            _log.warning("sink %s: %s; `prev` is kept in memory meanwhile", self._sink, error)
            return self._follow(alerts)
        for alert in alerts:
            self._last.update({topic(alert, name): alert.seq for name in alert.severities})
        return noted

    def _follow(self, alerts: Sequence[AlertRow]) -> list[Noted]:
        noted: list[Noted] = []
        for alert in alerts:
            topics = [topic(alert, name) for name in alert.severities]
            noted.append(Noted(tuple(self._last.get(name) for name in topics), newest=True))
            self._last.update(dict.fromkeys(topics, alert.seq))
        return noted
