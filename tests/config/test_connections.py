"""Two parts of one gateway that would be one client of one broker are refused."""

from __future__ import annotations

import pytest

from tests.config.test_cannot_work import told

CLASH = (
    "brokers.there.url: leads to the same place as brokers.here; read under both names, each would end the other's "
    "connection: keep one of them"
)


def gateway(here: str, there: str, *parts: str) -> str:
    brokers = f'brokers: {{here: {{url: "{here}"}}, there: {{url: "{there}"}}}}'
    return "\n".join(["gateway: a", brokers, *parts, ""])


def sensors(*brokers: str) -> str:
    routes = [f"s{n}: {{mqtt: {broker}, topic: t{n}, plain: v}}" for n, broker in enumerate(brokers)]
    return f"sensors: {{{', '.join(routes)}}}"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("mqtt://broker", "mqtt://broker"),
        ("mqtt://broker", "mqtt://BROKER:1883/"),
        ("mqtt://localhost:1884", "mqtt://127.0.0.1:1884"),
        ("mqtt://broker:8883", "mqtts://broker"),
        ("mqtt://u:p@broker", "mqtt://broker"),
    ],
)
def test_a_broker_that_is_read_under_two_names_is_told_once(here: str, there: str) -> None:
    """The broker would end one connection of the client `a` for the other, for ever."""
    assert told(gateway(here, there, sensors("here", "there", "here"))) == [CLASH]


def test_two_sinks_on_one_broker_are_told_at_the_second() -> None:
    for other in ("here", "there"):
        text = gateway("mqtt://b", "mqtt://b:1883", f"sinks: {{one: {{mqtt: here}}, two: {{mqtt: {other}}}}}")
        problem = "sinks.two.mqtt: leads to a broker that another sink writes to already: keep one of them"
        assert told(text) == [problem]


def test_one_broker_under_two_names_is_fine_where_one_is_read_and_the_other_written() -> None:
    """Each with a user of its own: the client ids are `a` and `a-out`."""
    assert told(gateway("mqtt://b", "mqtt://b", sensors("here"), "sinks: {out: {mqtt: there}}")) == []


def test_two_brokers_may_be_read_and_written() -> None:
    both = sensors("here", "there"), "sinks: {one: {mqtt: here}, two: {mqtt: there}}"
    assert told(gateway("mqtt://b", "mqtt://b:1884", *both)) == []


def test_a_broker_whose_url_is_wrong_is_told_for_that_alone() -> None:
    (problem,) = told(gateway("mqtt://b:port", "mqtt://b", sensors("here", "there")))
    assert problem.startswith("brokers.here.url: found 'mqtt://b:port'")
