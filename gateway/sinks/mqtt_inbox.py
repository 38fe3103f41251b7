"""What comes in on the ops centre's broker: commands for alerts, and requests for what was missed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.events import Command, Verb
from gateway.sinks.mqtt_client import Outgoing
from gateway.sinks.mqtt_evidence import files_of
from gateway.sinks.outward import page_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.sinks.history import History
    from gateway.sinks.mqtt_client import Incoming
    from gateway.sinks.outward import Topics
    from gateway.sinks.surroundings import ReadEvidence

PAGE = 50  # alerts in one message: about 100 kB
EXPECTED = 'a request is {"since_seq": 812}, {"open": true} or {"evidence": "clip", "alert": "…"} (or "picture")'
LONGEST = 65_536  # bytes of a command or request; more is not one


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A command's payload. `until`: ISO 8601 with an offset (shelve)."""

    id: str
    verb: Verb
    who: str
    note: str = ""
    if_seq: int | None = None
    until: datetime | None = None


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    """A request's payload: what came after a seq (of an epoch), all that is open, or an alert's pictures or clips.

    `id` comes back in the answer.
    """

    since_seq: int | None = None
    epoch: str | None = None
    open: bool = False
    id: str | None = None
    evidence: Literal["clip", "picture"] | None = None
    alert: str | None = None


class Inbox:
    """Reads commands and answers requests for one sink. `allowed`: the names that may command."""

    def __init__(
        self,
        sink: str,
        topics: Topics,
        allowed: tuple[str, ...],
        history: History,
        published: Callable[[], str],
        evidence: ReadEvidence | None = None,
    ) -> None:
        self._sink = sink
        self._topics = topics
        self._allowed = allowed
        self._history = history
        self._published = published
        self._evidence = evidence

    def command(self, target: str, message: Incoming) -> Command | Outgoing | None:
        """The command for the alert `target`, the answer that refuses it, or None where there is nobody to answer."""
        topic = self._answer_topic(message, f"{message.topic}/reply")
        if topic is None or message.retain:  # a retained command would be given anew at every connection
            return None
        try:
            if len(message.payload) > LONGEST:
                raise msgspec.ValidationError(f"found {len(message.payload)} bytes, at most {LONGEST} are read")
            asked = msgspec.json.decode(message.payload, type=_Asked)
            if asked.until is not None and asked.until.tzinfo is None:
                raise msgspec.ValidationError(f"until: found {asked.until}, it needs an offset such as +08:00")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal(topic, message, {"target": target, "reason": str(error)})
        if asked.who not in self._allowed:
            reason = f"{asked.who or 'nobody'} may not command here: commands.mqtt does not name them"
            return _refusal(topic, message, {"id": asked.id, "target": target, "verb": asked.verb, "reason": reason})
        return Command(
            id=asked.id,
            target=target,
            verb=asked.verb,
            who=asked.who,
            note=asked.note,
            if_seq=asked.if_seq,
            until_ns=None if asked.until is None else round(asked.until.timestamp() * 1e9),
            reply_to=f"mqtt/{self._sink}/{topic}#{message.correlation.hex()}",
        )

    def reply(self, reply_to: str, body: bytes) -> Outgoing | None:
        """The message that carries a reply to a command that came in here; None: it came in elsewhere."""
        ours, hash_, correlation = reply_to.removeprefix(f"mqtt/{self._sink}/").rpartition("#")
        if not hash_ or not reply_to.startswith(f"mqtt/{self._sink}/"):
            return None
        return Outgoing(ours, body, correlation=bytes.fromhex(correlation))

    async def answer(self, message: Incoming) -> list[Outgoing]:
        """The messages that answer a request, read from the history. Raises Unreachable where that cannot be read."""
        topic = self._answer_topic(message, f"{self._topics.request}/reply")
        if topic is None or message.retain:
            return []
        try:
            if len(message.payload) > LONGEST:
                raise msgspec.ValidationError(f"found {len(message.payload)} bytes, at most {LONGEST} are read")
            request = msgspec.json.decode(message.payload, type=_Request)
            asked = (request.since_seq is not None, request.open, request.evidence is not None)
            if sum(asked) != 1 or (request.alert is None) == asked[2]:
                raise msgspec.ValidationError(EXPECTED)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return [_refusal(topic, message, {"reason": str(error)})]
        named: dict[str, object] = {} if request.id is None else {"id": request.id}
        if request.evidence is not None:
            told, files = await files_of(
                request.alert or "", request.evidence, self._history, self._evidence, self._topics
            )
            return [Outgoing(topic, msgspec.json.encode({**named, **told}), correlation=message.correlation), *files]
        epoch = await self._history.epoch()
        head: dict[str, object] = {"epoch": epoch, **named}
        if request.open:
            rows = [row for row in await self._history.open_alerts() if not row.shadow]
            pages = [rows[at : at + PAGE] for at in range(0, len(rows), PAGE)] or [[]]
            bodies = [
                page_of([(row, None) for row in page], self._published(), n < len(pages), {**head, "open": True})
                for n, page in enumerate(pages, 1)
            ]
        else:
            seq = request.since_seq or 0
            if request.epoch is not None and request.epoch != epoch:
                seq = 0  # another outbox since: its sequence began again, and nothing of it is known there
            bodies = await self._since(seq, head)
        return [Outgoing(topic, body, correlation=message.correlation) for body in bodies]

    async def _since(self, seq: int, head: dict[str, object]) -> list[bytes]:
        bodies: list[bytes] = []
        while True:
            rows = await self._history.since(seq, PAGE + 1)
            page, more = rows[:PAGE], len(rows) > PAGE
            chains = await self._history.chain(self._sink, page)
            with_prev = [(row, chain[-1] if chain else None) for row, chain in zip(page, chains, strict=True)]
            bodies.append(page_of(with_prev, self._published(), more, {**head, "since_seq": seq}))
            if not more:
                return bodies
            seq = page[-1].seq

    def _answer_topic(self, message: Incoming, default: str) -> str | None:
        if not message.answer_on:
            return default
        return message.answer_on if self._topics.may_answer_on(message.answer_on) else None


def _refusal(topic: str, message: Incoming, said: dict[str, object]) -> Outgoing:
    return Outgoing(topic, msgspec.json.encode({**said, "result": "refused"}), correlation=message.correlation)
