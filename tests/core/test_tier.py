"""Where a sensor is, in the sky, in the air or on the ground: a part of its series, as a tag where it is not ground."""

from __future__ import annotations

from gateway.events import Message
from tests.core.build import T0, S, at, core_of, run, start

CONFIG = """
sensors:
  drone: {mqtt: here, topic: "drone/{site}", json: {pm25: v}, tier: air}
  wind: {mqtt: here, topic: "wind/{site}", json: {speed: v}, tier: sky}
  post: {mqtt: here, topic: "post/{site}", json: {pm25: v}}
rules:
  dust: {threshold: drone.pm25, levels: {red: 100}, unless: wind.speed > 20}
"""


def test_points_and_subjects_carry_the_tier_as_a_tag() -> None:
    """Given a sensor in the air, its points and its alerts' subject say so; one on the ground says nothing."""
    sent = [Message("here", f"{sensor}/a", b'{"v": 120}') for sensor in ("drone", "post")]
    came = run(core_of(CONFIG), [*start(), *(at(message, T0 + S) for message in sent)])
    heads = [line.split(b" ")[0] for line in came.series.splitlines()]
    assert {b"drone,site=a,tier=air", b"post,site=a"} <= set(heads)
    assert [row.subject for row in came.alerts] == ["drone.pm25{site=a,tier=air}"]


def test_a_gate_joins_across_tiers() -> None:
    """Given wind from the sky over the same site, it holds back dust in the air: the tier is no tag to join on."""
    inputs = [
        *start(),
        at(Message("here", "wind/a", b'{"v": 25}'), T0),
        at(Message("here", "drone/a", b'{"v": 120}'), T0 + S),
    ]
    assert run(core_of(CONFIG), inputs).alerts == []
