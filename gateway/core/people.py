"""What people ask of alerts: acknowledge, shelve, unshelve (SEMANTICS.md §9), and whether they were right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.judged import KEPT
from gateway.core.record import Label, Shelf
from gateway.core.texts import stamp
from gateway.events import RequestRow

if TYPE_CHECKING:
    from gateway.core.alerts import Alerts
    from gateway.core.record import Record, Verdict
    from gateway.core.rule import Moment
    from gateway.core.state import State
    from gateway.events import Command

REPLIES = 1000  # replies kept, so that a repeated command gets its first one
REPLY_EXPIRES_NS = 60 * 10**9
VERDICTS: dict[str, Verdict | None] = {"right": "right", "wrong": "wrong", "unmark": None}
NOT_OPEN = "no open alert has this id or code"
NOT_KEPT = f"{NOT_OPEN}, nor one of the last {KEPT['city']} that closed"


class Told(msgspec.Struct, frozen=True, array_like=True):
    """The first reply to a command, and its place among all."""

    place: int
    body: bytes


class Place(msgspec.Struct, frozen=True, array_like=True):
    """How many replies there have been."""

    replies: int


class People:
    """Obeys commands; a repeated one gets its first reply."""

    def __init__(self, state: State, alerts: Alerts, shelve_at_most_ns: int, zone: str) -> None:
        self._alerts = alerts
        self._zone = zone
        self._shelve_at_most_ns = shelve_at_most_ns
        self._replies = state.book("replies", Told)
        self._counted = state.book("replies/counted", Place)

    def take(self, command: Command, moment: Moment) -> RequestRow:
        """Obey a command once; the reply to it."""
        told = self._replies.get(command.id)
        if told is None:
            place = counted.replies if (counted := self._counted.get("")) else 0
            told = Told(place, msgspec.json.encode(self._obey(command, moment)))
            self._replies.put(command.id, told)
            self._counted.put("", Place(place + 1))
            for key, old in self._replies.items() if len(self._replies) > REPLIES else ():
                if old.place <= place - REPLIES:
                    self._replies.drop(key)
        expires = moment.admitted_ns + REPLY_EXPIRES_NS
        return RequestRow(command.id, "reply", command.reply_to, expires, told.body)

    def _obey(self, command: Command, moment: Moment) -> dict[str, object]:
        reply: dict[str, object] = {"id": command.id, "target": command.target, "verb": command.verb}
        judging = command.verb in VERDICTS
        found = self._alerts.find(command.target) or (self._alerts.judged.find(command.target) if judging else None)
        if found is None:
            return {**reply, "result": "unknown", "reason": NOT_KEPT if judging else NOT_OPEN}
        key, record = found
        if command.if_seq is not None and command.if_seq < record.seq:
            return {**reply, "result": "conflict", "seq": record.seq, "reason": "the alert has changed since"}
        done = self._judge(command, key, record, moment) if judging else self._move(command, key, record, moment)
        if done.get("result"):
            return {**reply, **done}
        return {**reply, **done, "result": "ok", "seq": self._alerts.out[-1].seq, "by": command.who}

    def _judge(self, command: Command, key: str, record: Record, moment: Moment) -> dict[str, object]:
        """Note what a person says of an alert."""
        verdict, was = VERDICTS[command.verb], record.label
        label = Label(verdict, command.who, moment.admitted_ns, command.note) if verdict else None
        if label == was or (
            label and was and (label.verdict, label.who, label.note) == (was.verdict, was.who, was.note)
        ):
            return {"result": "ok", "seq": record.seq, "reason": "that was said of it already"}
        self._alerts.label(key, record, label)
        return {}

    def _move(self, command: Command, key: str, record: Record, moment: Moment) -> dict[str, object]:
        """Acknowledge, shelve or unshelve an open alert; a `result` where that changes nothing."""
        if command.verb == "acknowledge":
            if record.acknowledged:
                return {"result": "ok", "seq": record.seq, "reason": "it was acknowledged already"}
            self._alerts.acknowledge(key, record, command.who, moment.admitted_ns)
        elif command.verb == "shelve":
            shelf = self._shelf(command, record, moment)
            if shelf is None:
                return {"result": "refused", "reason": "the time until which to shelve is over"}
            self._alerts.shelve(key, record, shelf, moment.admitted_ns)
            return {"until": stamp(shelf.until_ns, self._zone)}
        else:
            if not record.shelf:
                return {"result": "ok", "seq": record.seq, "reason": "it is not shelved"}
            self._alerts.unshelve(key, record, moment.admitted_ns)
        return {}

    def _shelf(self, command: Command, record: Record, moment: Moment) -> Shelf | None:
        """Until when it is wanted, at most as long as is allowed; None where that is over."""
        most = self._shelve_at_most_ns
        length = min(most, most if command.until_ns is None else command.until_ns - moment.admitted_ns)
        if length <= 0:
            return None
        until, until_elapsed = moment.admitted_ns + length, moment.elapsed_ns + length
        return Shelf(command.who, command.note, until, until_elapsed, record.severity)
