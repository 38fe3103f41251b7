"""More things than are kept as text, and topics that are met for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core import known
from gateway.events import Message
from tests.core.build import T0, S, at, core_of, run, start

if TYPE_CHECKING:
    import pytest

AIR = 'sensors: {air: {mqtt: here, topic: "air/{site}/{d}", json: {pm: pm}, every: 10 s, tier: air}}\n'
NAMES = ["0017", "a b", "a,b", "a=b", "tail\\", "50%", "七", "a-b_c.d:e", "%s", "\\"]


def sent(names: list[str]) -> list[Message]:
    """A message of each."""
    return [Message("here", f"air/x/{name}", b'{"pm": 7}') for name in names]


def test_points_are_written_alike_whether_their_prefix_is_kept_or_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [*start(), *[at(message, T0 + S) for message in sent(NAMES)]]
    kept = run(core_of(AIR), inputs).series

    monkeypatch.setattr(known, "HEADS_KEPT", 0)

    assert run(core_of(AIR), inputs).series == kept
    assert b"air,d=a\\ b,site=x,tier=air pm=7.0" in kept
    assert kept.count(b"\n") == len(NAMES)


def test_topics_that_were_forgotten_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker full of topics that nobody reads must not fill the memory."""
    monkeypatch.setattr(known, "TOPICS_KEPT", 2)
    core = core_of(AIR)
    others = [Message("here", f"other/{i}", b"{}") for i in range(20)]

    came = run(core, [*start(), *[at(m, T0 + S) for m in [*sent(["1", "2"]), *others, *sent(["1", "2"])]]], [3])

    assert len(core._ingest.things) == 2  # pyright: ignore[reportPrivateUsage]  nobody tells how many topics are kept
    topics = core._ingest._known._by_topic.values()  # pyright: ignore[reportPrivateUsage]  as above
    assert sum(map(len, topics)) <= 2 + 2
    assert came.series.count(b"\n") == 4
    assert len(came.dead) == 20
