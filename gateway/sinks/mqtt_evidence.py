"""Pictures and clips that a broker asks for: a manifest on the reply topic, then the files, large ones in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.sinks.mqtt_client import Outgoing
from gateway.sinks.mqtt_pictures import WithEvidence

if TYPE_CHECKING:
    from gateway.sinks.history import History
    from gateway.sinks.outward import Topics
    from gateway.sinks.surroundings import ReadEvidence

CHUNK_BYTES = 100_000  # as large as a picture: what a broker takes of a gateway anyhow
_BODY = msgspec.json.Decoder(WithEvidence)


async def files_of(
    alert_id: str, what: str, history: History, read: ReadEvidence | None, topics: Topics
) -> tuple[dict[str, object], list[Outgoing]]:
    """(what the answer says, the messages with the files) of an alert's pictures or clips.

    A file of more than CHUNK_BYTES goes out on `<topic>/1`, `<topic>/2`, …: together they have the hash. Raises
    Unreachable where the history cannot be read.
    """
    row = await history.last_of(alert_id)
    if row is None or row.shadow:
        return {"result": "refused", "reason": f"no alert {alert_id} is known here"}, []
    pieces = [one for one in _BODY.decode(row.body).evidence if (one.kind == "image/jpeg") == (what == "picture")]
    listed: list[dict[str, object]] = []
    files: list[Outgoing] = []
    for piece in pieces:
        body = await read(alert_id, piece.sha256, 0) if read else None
        if body is None:
            continue
        topic = topics.evidence(alert_id, piece.n)
        parts = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
        chunks = len(parts) if len(parts) > 1 else 0
        listed.append(
            {
                "n": piece.n,
                "kind": piece.kind,
                "sha256": piece.sha256,
                "bytes": len(body),
                "topic": topic,
                "chunks": chunks,
            }
        )
        files += [Outgoing(f"{topic}/{k}" if chunks else topic, part) for k, part in enumerate(parts, 1)]
    if not listed:
        kept = "it was not kept, or had to go" if pieces else f"the alert has no {what}"
        return {"result": "refused", "reason": f"{alert_id}: {kept}"}, []
    return {"schema": 1, "alert": alert_id, "evidence": listed}, files
