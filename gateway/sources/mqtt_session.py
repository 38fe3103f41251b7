"""One broker's session, the same for every version of MQTT: what it is subscribed to, what it says of its health.

A link (`mqtt_v5`, `mqtt_v311`) makes the connections and tells the session how they go, in this order:

    begin ─▶ accepted ─▶ ask … answered … ─▶ fail ─▶ ended ─▶ (wait) ─▶ begin …
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from gateway.events import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gateway.ports import Clock
    from gateway.sources.intake import Intake

_T = TypeVar("_T")
_NS = 10**9
_log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 1.0, 30.0  # of the wait between attempts; the upper bound doubles from the one to the other
_LOGIN_S = (60.0, 300.0)  # between attempts with a refused login: accounts get locked
_STEADY_NS = 10 * _NS  # a connection that held so long starts the waiting anew
_FILTERS = 8  # of one SUBSCRIBE: some brokers take no more
_REFUSED = 0x80  # reason codes from here on are refusals (MQTT 5 §2.4)
_GENERATION_BIT = 17  # of an acknowledgement's number; below it what the link wants to know of it


class Session:
    """What one broker keeps for us, over all connections. Called by the link alone, but for `mine` and the attributes.

    wanted: QoS by filter; remembered: what the session was subscribed to by the last process; `session_lost` is called
    between the commits of what came before the broker began a new session and of what comes then.
    """

    def __init__(
        self,
        name: str,
        wanted: Mapping[str, int],
        *,
        client_id: str,
        remembered: frozenset[str],
        clock: Clock,
        intake: Intake,
        session_lost: Callable[[], None] | None,
    ) -> None:
        self.name, self.client_id = name, client_id
        self.connected = False
        self.subscribed = remembered
        self.counts = {"connects": 0, "sessions_lost": 0, "stale_acks": 0}
        self._wanted = wanted
        self._clock, self._intake, self._session_lost = clock, intake, session_lost
        self._generation = 0
        self._attempt = 0
        self._since_ns = 0
        self._failure: tuple[str, bool] = ("", False)  # in words, and whether the login was refused
        self._said: dict[str, tuple[bool, str]] = {}
        self._asked: dict[int, list[str]] = {}
        self._refused: dict[str, str] = {}

    def number(self, packet_id: int) -> int:
        """A packet id (or what the link makes of it, below 2^17) as an acknowledgement of this connection."""
        return self._generation << _GENERATION_BIT | packet_id

    def mine(self, acks: Sequence[int]) -> list[int]:
        """What `number` was given, of those acknowledgements that are of this connection; the others are counted.

        They would acknowledge whatever has that number now.
        """
        below = (1 << _GENERATION_BIT) - 1
        ours = [ack & below for ack in acks if ack >> _GENERATION_BIT == self._generation]
        self.counts["stale_acks"] += len(acks) - len(ours)
        return ours

    def begin(self) -> None:
        """A connection is tried."""
        self._generation += 1
        self._asked.clear()
        self._failure = ("the connection was lost", False)

    def fail(self, words: str, *, login: bool = False) -> None:
        """Why the connection will end, or was not made."""
        self._failure = (words, login)

    def accepted(self, *, present: bool) -> tuple[list[list[str]], list[list[tuple[str, int]]]]:
        """The broker let us in; `present`: it has kept the session.

        Returns the filters to unsubscribe, and those to subscribe with their QoS, a list for each packet.
        """
        self.connected = True
        self._since_ns = self._clock.monotonic_ns()
        if not present and self._session_lost is not None:
            self._intake.cut(self._session_lost)
        if not present and self.subscribed:
            self.counts["sessions_lost"] += 1
            _log.warning("broker %s kept no session: what was published while we were away is lost", self.name)
        self.counts["connects"] += 1
        self._say("login", ok=True)  # also for the first time: an earlier process may have said otherwise
        self._say("connected", ok=True)
        stale = sorted(self.subscribed - self._wanted.keys())
        self.subscribed = frozenset(self._wanted.keys() & self.subscribed) if present else frozenset()
        self._refused.clear()
        return _slices(stale), _slices(sorted(self._wanted.items()))

    def ask(self, packet_id: int, filters: Sequence[tuple[str, int]]) -> None:
        """These are asked for under that number."""
        self._asked[packet_id] = [topic_filter for topic_filter, _ in filters]

    def answered(self, packet_id: int, reasons: Iterable[tuple[int, str]]) -> None:
        """The broker's answer to one SUBSCRIBE: a reason code and its name for each filter."""
        granted: set[str] = set()
        for topic_filter, (code, words) in zip(self._asked.pop(packet_id, []), reasons, strict=False):
            if code >= _REFUSED:
                self._refused[topic_filter] = words
                continue
            granted.add(topic_filter)
            if code < self._wanted[topic_filter]:
                _log.warning("broker %s grants %s only at QoS 0: messages can be lost", self.name, topic_filter)
        self.subscribed |= granted
        if self._refused:
            which = ", ".join(f"{f} ({why})" for f, why in sorted(self._refused.items()))
            self._say("subscribed", ok=False, detail=f"the broker refuses to let us read {which}")
        elif not self._asked:
            self._say("subscribed", ok=True)

    def ended(self) -> float:
        """The connection is over, or was not made: says so, and how many seconds to wait before the next."""
        steady = self.connected and self._clock.monotonic_ns() - self._since_ns > _STEADY_NS
        self.connected = False
        self._generation += 1  # what is acknowledged from here on is stale
        self._attempt = 0 if steady else self._attempt + 1
        words, login = self._failure
        if login:
            self._say("login", ok=False, detail=words)
        self._say("connected", ok=False, detail=words)
        if login:
            return self._clock.uniform(*_LOGIN_S)
        return self._clock.uniform(0.0, min(_LONGEST_S, _FIRST_S * 2 ** min(max(0, self._attempt - 1), 10)))

    def _say(self, condition: str, *, ok: bool, detail: str = "") -> None:
        if self._said.get(condition) != (ok, detail):
            self._said[condition] = (ok, detail)
            self._intake.say(Health(f"source/{self.name}", condition, ok, detail))


def _slices(every: list[_T]) -> list[list[_T]]:
    return [every[start : start + _FILTERS] for start in range(0, len(every), _FILTERS)]
