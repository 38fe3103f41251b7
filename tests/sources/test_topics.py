"""Topic filters of configuration."""

from __future__ import annotations

import pytest
from paho.mqtt.client import topic_matches_sub

from gateway.config.topics import TopicPattern


def test_names_become_single_level_wildcards_and_tags() -> None:
    pattern = TopicPattern.parse("air/{site}/{device}/up")
    assert pattern.filter == "air/+/+/up"
    assert pattern.names == ("site", "device")
    assert pattern.match("air/a/0017/up") == {"site": "a", "device": "0017"}
    assert pattern.match("air/a/0017/up/x") is None
    assert pattern.match("air/a/0017") is None


def test_a_name_never_stands_for_an_empty_level_since_a_tag_is_never_empty() -> None:
    pattern = TopicPattern.parse("air/{site}/up")
    assert pattern.match("air//up") is None


def test_a_shared_subscription_is_subscribed_with_its_group_and_matches_the_bare_topic() -> None:
    pattern = TopicPattern.parse("$share/gateways/air/{site}/{device}/up")
    assert pattern.filter == "$share/gateways/air/+/+/up"
    assert pattern.names == ("site", "device")
    assert pattern.match("air/a/0017/up") == {"site": "a", "device": "0017"}
    assert pattern.match("$share/gateways/air/a/0017/up") is None
    assert TopicPattern.parse("$share/g/#").match("$SYS/broker") is None
    assert TopicPattern.parse("$share/g//a").match("/a") == {}


@pytest.mark.parametrize("text", ["a/#", "#", "+/b", "/sys/+/post", "a/+/c", "a", "a/b.c*", "+", "a/+/#", "/"])
@pytest.mark.parametrize("topic", ["a", "a/b", "a/b/c", "$SYS/b", "/sys/x/post", "a/", "/", "a/b.c*", "a/b/c/d", "b\n"])
def test_filters_match_as_the_clients_own_reference_does(text: str, topic: str) -> None:
    assert (TopicPattern.parse(text).match(topic) is not None) == topic_matches_sub(text, topic)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a topic is written"),
        (7, "found 7"),
        ("a/#/b", "only at the end"),
        ("a/b#", "takes a whole level"),
        ("a/dev-{id}", "takes a whole level"),
        ("a/{}/b", "a name has letters"),
        ("a/{x}/{x}", "twice"),
        ("a/{x y}", "a name has letters"),
        ("a\0b", "control characters"),
        ("$share", "shared subscription"),
        ("$share/g", "shared subscription"),
        ("$share/g/", "shared subscription"),
        ("$share//a", "shared subscription"),
        ("$share/{g}/a", "shared subscription"),
        ("$share/+/a", "shared subscription"),
        ("$share/g/a/#/b", "only at the end"),
        ("x" * 70_000, "at most 65535"),
    ],
)
def test_a_wrong_filter_says_what_was_found(text: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TopicPattern.parse(text)
