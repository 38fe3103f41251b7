"""Pictures onto the broker, each after the change that names it: a second reader of the alerts, with its own cursor.

What it has not published waits as the alerts do: the change in the outbox, the picture in `<state>/evidence`. One that
had to go from there meanwhile is left out and counted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import Unreachable
from gateway.ports import Rejected
from gateway.sinks.history_alerts import ROW
from gateway.sinks.mqtt_client import Outgoing
from gateway.sinks.outward import Topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import AlertRow, Stream
    from gateway.ports import Clock, Row
    from gateway.sinks.mqtt import MqttAlerts
    from gateway.sinks.surroundings import Surroundings

_log = logging.getLogger(__name__)
WAIT_S, LOOK_S = 10.0, 0.05  # for the alert itself, which goes first
WAITED_NS = 60_000_000_000


class Piece(msgspec.Struct, frozen=True):
    """An entry of an alert's `evidence`. `seq`: the change that named it first."""

    n: int
    kind: str
    sha256: str
    seq: int = 0


class WithEvidence(msgspec.Struct, frozen=True):
    """The part of an alert's body that names its evidence."""

    evidence: tuple[Piece, ...] = ()


_BODY = msgspec.json.Decoder(WithEvidence)


class MqttPictures:
    """Publishes JPEGs of at most `most` bytes on `evidence/<alert>/<n>`, not retained, on the alerts' connection."""

    stream: Stream = "alerts"

    def __init__(self, alerts: MqttAlerts, around: Surroundings, most: int) -> None:
        self.name = f"{alerts.name}/pictures"
        self._alerts, self._around, self._most = alerts, around, most
        self._clock: Clock = around.clock
        self._topics = Topics(around.community, around.gateway)
        self._seq = 0  # of the last change read: what earlier ones named was published with them
        self.gone = 0

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Publish what these changes are the first to name."""
        rejected: list[Rejected] = []
        for row in rows:
            try:
                alert = ROW.decode(row.body)
                pieces = _BODY.decode(alert.body).evidence
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no alert row: {error}"))
                continue
            new = [piece for piece in pieces if piece.kind == "image/jpeg" and self._is_new(piece, alert)]
            if new and not alert.shadow:
                await self._publish(row, alert, new)
            self._seq = max(self._seq, alert.seq)
        return rejected

    async def aclose(self) -> None:
        """Nothing of its own to close."""

    def _is_new(self, piece: Piece, alert: AlertRow) -> bool:
        """Whether this change is the first to name it; where updates were merged into it, they named it too."""
        return piece.seq == alert.seq or (alert.change == "updated" and 0 < self._seq < piece.seq)

    async def _publish(self, row: Row, alert: AlertRow, pieces: Sequence[Piece]) -> None:
        assert self._around.evidence is not None  # noqa: S101 - the kind's build saw to it
        await self._wait_for(row)
        await self._alerts.link.wait_ready()
        late = row.at_ns < self._clock.now_ns() - WAITED_NS
        for piece in pieces:
            jpeg = await self._around.evidence(alert.id, piece.sha256, self._most)
            if jpeg is None:
                self.gone += 1
                _log.warning("sink %s: picture %d of %s had to go before it was sent", self.name, piece.n, alert.id)
                continue
            topic = self._topics.evidence(alert.id, piece.n)
            await self._alerts.link.publish([Outgoing(topic, jpeg, backfill=late)])

    async def _wait_for(self, row: Row) -> None:
        """Until the change itself is published; Unreachable where that takes too long."""
        for _ in range(round(WAIT_S / LOOK_S)):
            if row.position < 0 or self._around.cursor("alerts", self._alerts.name) >= row.position:
                return
            await self._clock.sleep(LOOK_S)
        raise Unreachable("the alert that names the picture is not published yet")
