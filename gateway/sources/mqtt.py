"""Messages from an MQTT broker, each QoS 1 message acknowledged in order, on its connection, after it is durable.

A link makes the connections: `mqtt_v5` in the event loop over mqtt5, `mqtt_v311` in a thread over paho. Subscriptions
ask for QoS 1 at most: QoS 2 hands over at PUBREC, which paho sends before we see the message.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.config.common import Struct
from gateway.config.topics import TopicPattern
from gateway.sources import mqtt_v5, mqtt_v311
from gateway.sources.intake import Batch, Intake
from gateway.sources.mqtt_session import Session
from gateway.sources.pacing import GATHER_S, Pacing, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.config.model import Broker
    from gateway.config.names import Names
    from gateway.ports import Clock, Commit


class Mqtt(Struct, frozen=True):
    """A route's messages: the broker by its name, the topic filter with {names} that become tags, the QoS asked for."""

    mqtt: str
    topic: str
    qos: Literal[0, 1] = 1

    def broker(self) -> str:
        """The broker it connects to."""
        return self.mqtt

    def tags(self) -> tuple[str, ...]:
        """The tags that the topic makes."""
        try:
            return TopicPattern.parse(self.topic).names
        except ValueError:
            return ()

    def check(self, names: Names) -> list[tuple[str, str]]:
        """What is wrong with the broker's name and the topic: (key, problem)."""
        problems = names.broker("mqtt", self.mqtt)
        try:
            TopicPattern.parse(self.topic)
        except ValueError as error:
            problems.append(("topic", str(error)))
        return problems


class Link(Protocol):
    """Connects, again and again, until `run` is cancelled and `close` ends it in order.

    `committed` is called after each commit, with the numbers of the messages to acknowledge, in order.
    """

    async def run(self) -> None: ...  # noqa: D102 - the Protocol's docstring
    async def close(self) -> None: ...  # noqa: D102 - as above
    def committed(self, acks: list[int]) -> None: ...  # noqa: D102 - as above


class MqttSource:
    """Fulfils ports.Source for one broker.

    filters: (MQTT filter, QoS) of all its routes; `remembered`: what the session was subscribed to by the last process;
    `seal` is called when the broker's window may be full and nothing more will come before its acknowledgements;
    `session_lost` when the broker has no session for us, between the commits of what came before and of what comes now;
    `leisure`: whether the core has time for smaller steps.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        filters: Sequence[tuple[str, int]],
        *,
        client_id: str,
        clock: Clock,
        base: Path,
        remembered: frozenset[str] | set[str] = frozenset(),
        seal: Callable[[], None] | None = None,
        session_lost: Callable[[], None] | None = None,
        leisure: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self._seal = seal
        here = broker.version == "5"  # its link is in the event loop, and puts all that a read brought at once
        self._gather_s = 0.0 if here else GATHER_S
        self._intake = Intake(int(broker.buffer), self._arrived, self._came if here else None)
        self._session = Session(
            name,
            {f: max(qos for g, qos in filters if g == f) for f, _ in filters},
            client_id=client_id,
            remembered=frozenset(remembered),
            clock=clock,
            intake=self._intake,
            session_lost=session_lost,
        )
        link = mqtt_v5.Link if here else mqtt_v311.Link
        self._link: Link = link(self._session, broker, base=base, clock=clock, intake=self._intake)
        self._outstanding: deque[Batch] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._door: tuple[asyncio.TaskGroup, Commit] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pacing = Pacing(leisure)
        self._since_s = 0.0

    @property
    def subscribed(self) -> frozenset[str]:
        """What the broker's session is subscribed to, for the outbox to remember."""
        return self._session.subscribed

    def stats(self) -> dict[str, float]:
        """Counters and gauges, by their names in /metrics."""
        counts = self._session.counts
        return {
            "messages_total": self._intake.total,
            "bytes_total": self._intake.total_size,
            "paused_total": self._intake.pauses,
            "reconnects_total": max(0, counts["connects"] - 1),
            "sessions_lost_total": counts["sessions_lost"],
            "stale_acknowledgements_total": counts["stale_acks"],
            "unacknowledged": self._intake.messages,
            "unacknowledged_bytes": self._intake.size,
            "connected": float(self._session.connected),
        }

    async def run(self, commit: Commit) -> None:
        """Hand messages to the door until cancelled; then disconnect and keep the session."""
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            self._door = tasks, commit
            try:
                await self._link.run()
            finally:
                if self._timer is not None:
                    self._timer.cancel()
                self._door = None
                await self._link.close()

    def _arrived(self) -> None:
        """With the first input of a batch, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begun)

    def _came(self) -> None:
        """With more of a batch, in the event loop."""
        if self._loop is not None:
            self._loop.call_soon(self._look)

    def _begun(self) -> None:
        if self._loop is not None:
            self._since_s = self._loop.time()
            if self._gather_s:
                self._look_at(self._since_s + self._gather_s)
            else:
                self._look()

    def _look_at(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._loop is not None and self._door is not None and at_s < math.inf:
            self._timer = self._loop.call_at(at_s, self._look)

    def _look(self) -> None:
        """Hand over what came, ask for the seal, or wait for either."""
        if self._loop is None or self._door is None:
            return
        intake = self._intake
        oldest_s = self._outstanding[0].since_s if self._outstanding else self._since_s
        step = self._pacing.look(self._loop.time(), State(intake.total, intake.messages, oldest_s, intake.waiting))
        if step.hand_over:
            self._hand_over(*self._door)
        if step.seal and self._seal is not None:
            self._loop.call_soon(self._seal)  # the commits have begun by then
        self._look_at(step.again_s)

    def _hand_over(self, tasks: asyncio.TaskGroup, commit: Commit) -> None:
        """Several commits may be outstanding; tasks start in the order made, so the door sees the order received."""
        for batch in self._intake.take():
            batch.since_s = self._since_s
            self._outstanding.append(batch)
            if batch.before is not None and self._loop is not None:
                self._loop.call_soon(batch.before)  # the tasks made before have begun by then
            tasks.create_task(self._commit(commit, batch), name=f"mqtt-{self.name}-commit")

    async def _commit(self, commit: Commit, batch: Batch) -> None:
        await commit(batch.inputs)
        batch.done = True
        acks: list[int] = []
        while self._outstanding and self._outstanding[0].done:
            first = self._outstanding.popleft()
            self._intake.release(first)
            acks += first.acks
        self._link.committed(acks)
