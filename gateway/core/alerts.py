"""The only place that makes alerts: conditions' transitions and people's commands become changes of alerts.

States are ISA-18.2's: active or cleared × acknowledged or not, and shelved. An alert is open until it is cleared and
either acknowledged or 24 h old; a condition that returns while it is open re-activates it (SEMANTICS.md §9).
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import msgspec

from gateway.core import evidence, texts
from gateway.core.judged import Judged
from gateway.core.lines import number, point, prefix, text
from gateway.core.record import Acknowledgement, Record
from gateway.events import SEVERITY_OF, AlertRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.machine import Transition
    from gateway.core.record import Label, Shelf
    from gateway.core.rule import Speaker, Subject
    from gateway.core.state import State
    from gateway.events import Evidence

DAY_NS = 86_400 * 10**9
EVIDENCE_NS = 10 * 10**9  # an alert is told of new pictures at most so often (SEMANTICS.md §4)
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter that sounds or looks like another
ORDER = ("minor", "moderate", "severe", "extreme")


class Epoch(msgspec.Struct, frozen=True, array_like=True):
    """The outbox's life and the next sequence number."""

    epoch: str
    next_seq: int


class Alerts:
    """All open alerts, by rule and subject; and those that closed, as far as they may still be judged."""

    def __init__(
        self, gateway: str, zone: str, state: State, body: Callable[[Record, str, int, str, int], bytes]
    ) -> None:
        """`body(record, change, admitted_ns, epoch, seq)` writes the outward JSON."""
        self._gateway = gateway
        self._body = body
        self._open = state.book("alerts", Record)
        self.judged = Judged(state, zone)
        self._epoch = state.book("alerts/epoch", Epoch)
        self._codes: set[str] | None = None  # derived: those of the open alerts; known with the first that is raised
        self.out: list[AlertRow] = []
        self.lines: list[str] = []

    def restart(self, epoch: str, next_seq: int, at_ns: int) -> None:
        """Numbers go on where the outbox says; a new epoch starts its own, and says first what is open."""
        known = self._epoch.get("")
        if known is None or known.epoch != epoch or known.next_seq < next_seq:
            self._epoch.put("", Epoch(epoch, next_seq))
        if known is not None and known.epoch != epoch:
            for key, record in self._open.items():
                self._change(key, record, "updated", at_ns)

    def records(self) -> list[tuple[str, Record]]:
        """All open alerts."""
        return self._open.items()

    # ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, rule: Speaker, subject: Subject, transition: Transition, elapsed_ns: int) -> None:
        """A subject's condition changed."""
        key = f"{rule.name}|{subject.text}"
        record, t = self._open.get(key), transition
        value = t.value if abs(t.value) < math.inf else None
        if t.kind in {"unknown", "known"}:
            if record and record.active:
                self._change(key, _set(record, unknown=t.kind == "unknown", changed_ns=t.at_ns), t.kind, t.admitted_ns)
            return
        if t.kind == "updated":
            if record and record.active:
                now = _set(record, value=value, detail=subject.detail, changed_ns=t.at_ns)
                self._change(key, now, "updated", t.admitted_ns)
            return
        limit = _limit(rule, t) if rule.kind not in {"silent", "stuck", "health", "adrift"} else None
        severity = subject.severity or SEVERITY_OF[rule.colours[t.level - 1]] if t.level else ""
        if record is None:
            if t.level:
                self._raise(key, rule, subject, t, severity, value, limit, elapsed_ns)
            return
        if t.level:
            same = _set(record, severity=severity, value=value, limit=limit, changed_ns=t.at_ns, unknown=False)
            self._level(key, record, _set(same, active=True, detail=subject.detail, position=subject.position), t)
        elif record.active:
            self._clear(key, _set(record, value=value, changed_ns=t.at_ns), t.admitted_ns)

    def _level(self, key: str, was: Record, now: Record, t: Transition) -> None:
        """An open alert is at another level, or active again."""
        higher = ORDER.index(now.severity) - ORDER.index(was.severity)
        if was.active and not higher:
            return
        if was.shelf and ORDER.index(now.severity) > ORDER.index(was.shelf.severity):  # it never hides a higher level
            was, now = _set(was, shelf=None, changed_ns=t.at_ns), _set(now, shelf=None)
            self._change(key, was, "unshelved", t.admitted_ns)
        if not was.active:
            self._rise(key, _set(now, acknowledged=False, acknowledgement=None), "returned", t.admitted_ns)
        elif higher > 0:
            self._rise(key, _set(now, acknowledged=False, acknowledgement=None), "raised_level", t.admitted_ns)
        else:
            self._change(key, now, "lowered_level", t.admitted_ns)

    def _raise(
        self,
        key: str,
        rule: Speaker,
        subject: Subject,
        t: Transition,
        severity: str,
        value: float | None,
        limit: float | None,
        elapsed_ns: int,
    ) -> None:
        epoch = self._epoch.get("")
        k, times = self.judged.raised(key, rule.name, t.started_ns, t.at_ns)
        parts = [self._gateway, epoch.epoch if epoch else "", rule.name, subject.text, t.started_ns, k]
        digest = hashlib.sha256(msgspec.json.encode(parts)).digest()
        record = Record(
            id=f"{rule.name}-{digest[:8].hex()}",
            code=self._code(digest),
            rule=rule.name,
            owner=rule.owner,
            kind=rule.kind,
            subject=subject.text,
            class_=rule.common.class_,
            shadow=rule.common.mode == "shadow",
            active=True,
            unknown=False,
            acknowledged=False,
            acknowledgement=None,
            shelf=None,
            severity=severity,
            severity_max=severity,
            topics=(severity,),
            started_ns=t.started_ns,
            changed_ns=t.at_ns,
            opened_elapsed_ns=elapsed_ns,
            value=value,
            limit=limit,
            unit=subject.unit,
            detail=subject.detail,
            camera=subject.camera,
            series=subject.series,
            position=subject.position,
            seq=0,
            times=times,
        )
        self._change(key, record, "raised", t.admitted_ns)

    def _code(self, digest: bytes) -> str:
        """`LG17-4K2M`: short enough for the radio, and no other open alert's."""
        words = [word.lstrip("0") or word for word in self._gateway.replace("_", "-").replace(".", "-").split("-")]
        stem = "".join(word for word in words if word)[:4].upper()
        if self._codes is None:
            self._codes = {record.code for _, record in self._open.items()}
        number_, code = int.from_bytes(digest[8:24], "big"), ""
        while not code or code in self._codes:
            code = stem + "-" + "".join(ALPHABET[number_ >> shift & 31] for shift in (15, 10, 5, 0))
            number_ = number_ >> 5 or number_ + 1
        return code

    def _rise(self, key: str, record: Record, change: str, admitted_ns: int) -> None:
        if ORDER.index(record.severity) > ORDER.index(record.severity_max):
            record = _set(record, severity_max=record.severity, topics=(*record.topics, record.severity))
        self._change(key, record, change, admitted_ns, everywhere=change == "returned")

    def _clear(self, key: str, record: Record, admitted_ns: int) -> None:
        self._change(key, _set(record, active=False, unknown=False), "cleared", admitted_ns, everywhere=True)

    # ── people, time and configuration ───────────────────────────────────────────────────────────────────────────────

    def find(self, alert_id: str) -> tuple[str, Record] | None:
        """An open alert by its id or its short code: (key, the alert)."""
        return next((item for item in self._open.items() if alert_id in {item[1].id, item[1].code}), None)

    def acknowledge(self, key: str, record: Record, by: str, at_ns: int) -> None:
        """Somebody has seen it; a cleared one closes."""
        done = _set(record, acknowledged=True, acknowledgement=Acknowledgement(by, at_ns), changed_ns=at_ns)
        self._change(key, done, "acknowledged", at_ns, everywhere=not record.active)

    def shelve(self, key: str, record: Record, shelf: Shelf, at_ns: int) -> None:
        """Out of sight until then, or until it gets worse."""
        self._change(key, _set(record, shelf=shelf, changed_ns=at_ns), "shelved", at_ns)

    def unshelve(self, key: str, record: Record, at_ns: int) -> None:
        """Back in sight."""
        self._change(key, _set(record, shelf=None, changed_ns=at_ns), "unshelved", at_ns)

    def label(self, key: str, record: Record, label: Label | None) -> None:
        """Somebody says whether it was right; None: they take it back. Nothing else of it moves.

        `key` is what `find` gave, or `judged.find` for one that has closed.
        """
        self.judged.say(record, label.verdict if label else None)
        now = _set(record, label=label)
        if record.is_open:
            self._change(key, now, "labelled", record.changed_ns)
        else:
            epoch = self._next()
            now = _set(now, seq=epoch.next_seq)
            self.judged.put(key, now)
            self._say(now, "labelled", record.changed_ns, epoch, everywhere=False)
        last = self._open.get(record.key)
        if last is not None and last.id != record.id:
            self._open.put(record.key, _set(last, times=self.judged.times(last)))

    def attach(self, item: Evidence, elapsed_ns: int) -> None:
        """A picture or clip was made for an alert, also one that has closed meanwhile: said at once, or when due."""
        found = self.find(item.alert) or self.judged.find(item.alert)
        pieces = evidence.added(found[1].evidence, item.kind, item.sha256, item.taken_ns) if found else None
        if found is None or pieces is None:
            return
        key, record = found
        record = _set(record, evidence=pieces, evidence_owed=True)
        if not record.is_open:
            epoch = self._next()
            record = self._told_of(_set(record, seq=epoch.next_seq), elapsed_ns)
            self.judged.put(key, record)
            self._say(record, "updated", record.changed_ns, epoch, everywhere=False)
        elif record.evidence_told_ns is None or elapsed_ns - record.evidence_told_ns >= EVIDENCE_NS:
            self._tell_of(key, record, elapsed_ns)
        else:
            self._open.put(key, record)

    def _tell_of(self, key: str, record: Record, elapsed_ns: int) -> None:
        """Say which pieces an open alert has."""
        self._change(key, _set(record, evidence_told_ns=elapsed_ns), "updated", record.changed_ns)

    def _told_of(self, record: Record, elapsed_ns: int | None) -> Record:
        """The record as a change of number `record.seq` tells it."""
        pieces = evidence.told(record.evidence, record.seq)
        told_ns = record.evidence_told_ns if elapsed_ns is None else elapsed_ns
        return _set(record, evidence=pieces, evidence_owed=False, evidence_told_ns=told_ns)

    def tick(self, admitted_ns: int, elapsed_ns: int) -> None:
        """End shelves whose time is over; close what was cleared and is a day old; say what is owed."""
        for key, record in self._open.items():
            if record.shelf and record.shelf.until_elapsed_ns <= elapsed_ns:
                self.unshelve(key, record, admitted_ns)
            elif not record.active and elapsed_ns - record.opened_elapsed_ns >= DAY_NS:
                self.close(key, record, admitted_ns, record.detail)
            elif record.evidence_owed and elapsed_ns - (record.evidence_told_ns or 0) >= EVIDENCE_NS:
                self._tell_of(key, record, elapsed_ns)

    def lose(self, key: str, record: Record, at_ns: int) -> None:
        """Nothing is known of its condition any more: it stays as it is."""
        self._change(key, _set(record, unknown=True, changed_ns=at_ns), "unknown", at_ns)

    def end(self, rule: str, subject: str, at_ns: int, why: str) -> None:
        """Close the alert of a rule and subject, where one is open."""
        key = f"{rule}|{subject}"
        record = self._open.get(key)
        if record is not None:
            self.close(key, record, at_ns, why)

    def close(self, key: str, record: Record, at_ns: int, why: str) -> None:
        """End an alert whatever its state, saying why."""
        ended = _set(record, active=False, unknown=False, acknowledged=True, changed_ns=at_ns, detail=why)
        self._change(key, ended, "closed", at_ns, everywhere=True)

    def _change(self, key: str, record: Record, change: str, admitted_ns: int, *, everywhere: bool = False) -> None:
        """A change of an open alert, which may end it."""
        epoch = self._next()
        record = _set(record, seq=epoch.next_seq)
        if record.evidence_owed:
            record = self._told_of(record, None)
        if record.is_open:
            self._open.put(key, record)
            if self._codes is not None:
                self._codes.add(record.code)
        else:
            self._open.drop(key)
            self.judged.keep(record)
            if self._codes is not None:
                self._codes.discard(record.code)
        self._say(record, change, admitted_ns, epoch, everywhere=everywhere)

    def _next(self) -> Epoch:
        """The epoch with the number of the change that comes, which is used up."""
        epoch = self._epoch.get("")
        assert epoch is not None  # noqa: S101 - Restart is the first input
        self._epoch.put("", Epoch(epoch.epoch, epoch.next_seq + 1))
        return epoch

    def _say(self, record: Record, change: str, admitted_ns: int, epoch: Epoch, *, everywhere: bool) -> None:
        self.out.append(
            AlertRow(
                seq=record.seq,
                id=record.id,
                rule=record.rule,
                subject=record.subject,
                class_=record.class_,
                severities=record.topics if everywhere else (record.severity_max,),
                change=change,
                state=state_of(record),
                open=record.is_open,
                shadow=record.shadow,
                changed_ns=record.changed_ns,
                body=self._body(record, change, admitted_ns, epoch.epoch, record.seq),
            )
        )
        if not record.shadow:
            self.lines.append(_point(record, change))


def _limit(rule: Speaker, t: Transition) -> float:
    """The line of a level; of two, the one that the value is nearer to."""
    place = max(t.level - 1, 0)
    high = rule.limits[place]
    if rule.lows and t.value < (rule.lows[place] + high) / 2:
        return rule.lows[place]
    return high


def _set(record: Record, **changes: object) -> Record:
    return msgspec.structs.replace(record, **changes)


def state_of(record: Record) -> str:
    """The state in words: ISA-18.2's, written out."""
    if not record.is_open:
        return "normal"
    if record.shelf:
        return "shelved"
    return f"{'active' if record.active else 'cleared'}_{'' if record.acknowledged else 'un'}acknowledged"


def _point(record: Record, change: str) -> str:
    """The change as a point of `zhiwang_alert`; its time makes two changes of a moment two points."""
    tags = {"class": record.class_, "rule": record.rule, "severity": record.severity}
    fields = {"id": text(record.id), "change": text(change), "state": text(state_of(record)), "seq": f"{record.seq}i"}
    if change == "labelled" and record.label:
        fields["verdict"] = text(record.label.verdict)
    if record.value is not None:
        fields["value"] = number(record.value)
    return point(prefix("zhiwang_alert", tags), fields, record.changed_ns + record.seq % 10**6)


def facts_of(record: Record, change: str, **more: object) -> texts.Facts:
    """The facts that a record gives to its text; `more` brings the rest."""
    colour = {"minor": "blue", "moderate": "yellow", "severe": "orange", "extreme": "red"}[record.severity]
    given = {
        "kind": record.kind,
        "change": change,
        "colour": colour,
        "name": record.subject,
        "detail": record.detail,
        "value": record.value,
        "unit": record.unit,
        "limit": record.limit,
        "started_ns": record.started_ns,
        "changed_ns": record.changed_ns,
        "over": change in texts.OVER or (change == "labelled" and not record.active),
        "times": record.times,
        "verdict": record.label.verdict if record.label else None,
    }
    return texts.Facts(**{**given, **more})  # pyright: ignore[reportArgumentType] - the keys are Facts' own
