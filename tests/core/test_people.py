"""What a person is told of what they asked for."""

from __future__ import annotations

import msgspec
import pytest

from gateway.events import Command, Message
from tests.core.build import T0, S, at, core_of, run, start

CONFIG = """
sensors: {water: {mqtt: here, topic: water, json: {level: v}}}
rules: {flood: {threshold: water.level, levels: {red: 3}}}
"""
HOUR = 3600 * S


@pytest.mark.parametrize(
    ("wanted_h", "until"),
    [(2, "2026-05-29T06:27:01+08:00"), (99, "2026-05-29T12:27:01+08:00"), (None, "2026-05-29T12:27:01+08:00")],
)
def test_the_reply_to_shelving_says_until_when(wanted_h: int | None, until: str) -> None:
    """Given two hours, they are given; given more than commands.shelve_at_most, that; and the reply says which."""
    then = T0 + S
    wanted = None if wanted_h is None else then + wanted_h * HOUR
    inputs = [*start(), at(Message("here", "water", b'{"v": 4}'), T0)]
    core = core_of(CONFIG)
    (raised,) = run(core, inputs).alerts
    command = Command("c1", raised.id, "shelve", "chief", until_ns=wanted)
    (reply,) = run(core, [at(command, then)], n0=len(inputs) + 1).requests
    told = msgspec.json.decode(reply.body)
    assert (told["result"], told["until"]) == ("ok", until)
