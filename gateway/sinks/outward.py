"""What a gateway says on its topics (DESIGN.md): their names, and alerts as the outside sees them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from gateway.events import AlertRow

STATUS_ACTUAL = "actual"
STATUS_TEST = "test"


class Topics:
    """The topics of one gateway: `zhiwang/v1/<community or _>/<gateway>/…`."""

    def __init__(self, community: str | None, gateway: str) -> None:
        self.base = f"zhiwang/v1/{community or '_'}/{gateway}"
        self.status = f"{self.base}/status"
        self.request = f"{self.base}/request"
        self.open_filter = f"{self.base}/open/+"
        self.command_filter = f"{self.base}/command/+"

    def alert(self, row: AlertRow, severity: str) -> str:
        """Where a change is published: by class, severity and rule."""
        return f"{self.base}/alert/{row.class_}/{severity}/{row.rule}"

    def open(self, alert_id: str) -> str:
        """Where the state of an open alert is retained."""
        return f"{self.base}/open/{alert_id}"

    def evidence(self, alert_id: str, n: int) -> str:
        """Where a picture or clip of an alert is published."""
        return f"{self.base}/evidence/{alert_id}/{n}"

    def opened(self, topic: str) -> str | None:
        """The alert whose state this topic retains; None: it is another topic."""
        return self._under("open", topic)

    def commanded(self, topic: str) -> str | None:
        """The alert that this topic commands; None: it is another topic."""
        return self._under("command", topic)

    def may_answer_on(self, topic: str) -> bool:
        """Whether a stranger may name this topic for our answer: nothing of a gateway's own but its `…/reply`."""
        if not topic or topic.startswith("$") or any(sign in topic for sign in "+#\0"):
            return False
        return not topic.startswith("zhiwang/") or (topic.startswith(f"{self.base}/") and topic.endswith("/reply"))

    def _under(self, level: str, topic: str) -> str | None:
        head, _, last = topic.rpartition("/")
        return last if head == f"{self.base}/{level}" else None


def stamp(at_ns: int, zone: ZoneInfo) -> str:
    """ISO 8601 with the gateway's offset, to the millisecond."""
    return datetime.fromtimestamp(at_ns / 1e9, zone).isoformat(timespec="milliseconds")


def fields(
    row: AlertRow, *, prev: int | msgspec.UnsetType | None = msgspec.UNSET, published: str = "", durable: bool = True
) -> dict[str, object]:
    """The alert's JSON object as the outside sees it: the core's, with `status` and what a sink adds.

    A shadow rule's alerts have status `test`. The core's values stay the bytes they are (msgspec.Raw).
    """
    body = msgspec.json.decode(row.body, type=dict[str, msgspec.Raw])
    whole: dict[str, object] = {}
    for key, value in body.items():
        whole[key] = value
        if key == "seq" and prev is not msgspec.UNSET:
            whole["prev"] = prev
    whole["status"] = STATUS_TEST if row.shadow else STATUS_ACTUAL
    if published:
        whole["published"] = published
    if not durable:
        whole["durable"] = False
    return whole


def plain(row: AlertRow) -> dict[str, object]:
    """The same as plain values, for the page."""
    return msgspec.json.decode(msgspec.json.encode(fields(row)), type=dict[str, object])


def page_of(rows: Sequence[tuple[AlertRow, int | None]], published: str, more: bool, head: dict[str, object]) -> bytes:
    """One message of an answer to a request: alerts, each with its `topics`, and whether more messages follow."""
    alerts = [
        {**fields(row, prev=prev, published=published), "topics": [f"{row.class_}/{name}" for name in row.severities]}
        for row, prev in rows
    ]
    return msgspec.json.encode({"schema": 1, **head, "alerts": alerts, "more": more})
