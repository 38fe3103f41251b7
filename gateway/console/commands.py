"""Sends what a person decides to the gateway, on behalf of one connected browser or terminal."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from gateway.console.alert import NS, Alert
from gateway.console.situation import Blind, Lookout
from gateway.events import Command

if TYPE_CHECKING:
    from gateway.events import Verb

SHELVE_S: tuple[int, ...] = (900, 3600, 4 * 3600, 8 * 3600)
"""What the page offers; the core bounds it by `commands.shelve_at_most`."""


class Desk:
    """Whose hand it is, and the way from a decision to its reply."""

    def __init__(self, lookout: Lookout, who: str, place: str = "page") -> None:
        self._lookout = lookout
        self._place = place
        self._count = 0
        self.who = who

    async def judge(self, verdict: Literal["right", "wrong"], alert: Alert) -> tuple[Verb, str]:
        """Say that an alert was right or wrong, or take that back where it was said already: the verb, and why not."""
        verb: Verb = "unmark" if alert.verdict == verdict else verdict
        return verb, await self.send(verb, alert)

    async def send(self, verb: Verb, alert: Alert, *, for_s: int = 0, note: str = "") -> str:
        """Do it, and return why not, or the empty string when it was done.

        The command says which `seq` the person was looking at. Where only the value has moved on since, it is sent
        again with the new one; where severity or state has changed the answer is `conflict`.
        """
        why = await self._try(verb, alert, for_s, note)
        if why != "conflict":
            return why
        now = (await self._lookout.look(fresh=True)).find(alert.id)
        current = now.alert if isinstance(now, Blind) else now
        if current and (current.severity, current.state) == (alert.severity, alert.state):
            return await self._try(verb, current, for_s, note)
        return why

    async def _try(self, verb: Verb, alert: Alert, for_s: int, note: str) -> str:
        view = self._lookout.view
        now_ns = view.now_ns()
        self._count += 1
        seed = f"{self._place} {self.who} {alert.id} {alert.seq} {verb} {now_ns} {self._count}"
        reply = await view.command(
            Command(
                id=f"{self._place}-{hashlib.sha256(seed.encode()).hexdigest()[:16]}",
                target=alert.id,
                verb=verb,
                who=self.who,
                note=note,
                if_seq=alert.seq,
                until_ns=now_ns + for_s * NS if verb == "shelve" else None,
            )
        )
        return refusal(reply)


def refusal(reply: dict[str, object]) -> str:
    """Why a command was not obeyed (`conflict`, …), or the empty string where it was."""
    result = reply.get("result")
    if result == "ok":
        return ""
    return "conflict" if result == "conflict" else str(reply.get("reason") or result or "no reply")
