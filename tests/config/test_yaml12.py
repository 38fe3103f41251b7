"""Reading YAML 1.2 strictly: what stays a text, what is refused, and in which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.nodes import Leaf, Map, block, builtins, scalar_text
from gateway.config.yaml12 import parse


def read(text: str) -> object:
    node, findings = parse(text, "gateway.yaml")
    assert findings == []
    return None if node is None else builtins(node)


def refusals(text: str) -> list[str]:
    return [str(finding) for finding in parse(text, "gateway.yaml")[1]]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("22:00", "22:00"),
        ("1_000", "1_000"),
        ("0.5 m/min", "0.5 m/min"),
        ("air/{site}/{device}/up", "air/{site}/{device}/up"),
        ('"0017"', "0017"),
        ("!!str 17", "17"),
        ("true", True),
        ("17", 17),
        ("-1", -1),
        ("0x1F", 31),
        ("0o17", 15),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("", None),
        ("~", None),
        ("2026-08-14", "2026-08-14"),
    ],
)
def test_a_value_is_what_yaml_1_2_says_it_is(written: str, value: object) -> None:
    assert read(f"a: {written}\n") == {"a": value}


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a: 0017\n", 'gateway.yaml:1  a: a leading zero is lost in a number; write "0017" if it is a name, 17 if not'),
        ("a: 1\nb: 2\na: 3\n", "gateway.yaml:3  a: written twice, first in line 1;"),
        ("a:\n\tb: 1\n", "gateway.yaml:2  a tab in the indentation; indent with spaces"),
        ("a:\tb\n", "gateway.yaml:1  a tab where YAML wants a space"),
        ("a: {topic: air/{site}/up, b: c}\n", 'stands in quotes here: topic: "air/{site}/up"'),
        ("a: {topic: {site}/up}\n", 'stands in quotes here: topic: "{site}/up"'),
        ("topic: {site}/up\n", 'stands in quotes here: topic: "{site}/up"'),
        ("rh: %\n", "gateway.yaml:1  a text that begins with % @ or ` stands in quotes"),
        ("a: b: c\n", 'gateway.yaml:1  a second "key: value" in one line'),
        ("a: [1, 2\nb: 3\n", "gateway.yaml:2  a [ that opens here or above never closes"),
        ('a: "x\n', "a quote that opens here or above never closes"),
        ("<<: {a: 1}\n", "merge keys belong to YAML 1.1"),
        ("a: !secret x\n", "the tag !secret is not used here"),
        ("a: 1\n---\nb: 2\n", "gateway.yaml:2  a second document"),
        ("a: *x\n", "*x is not defined before"),
        ("a: &x [*x]\n", "*x is not defined before"),
        ("a: \x07\n", "gateway.yaml:1  found the character '\\x07'"),
        ("? {a: b}\n: c\n", "a key is a plain word"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper than 32 levels"),
    ],
)
def test_what_would_surprise_is_refused_with_its_line_and_the_fix(text: str, finding: str) -> None:
    assert len(refusals(text)) == 1
    assert finding in refusals(text)[0]


def test_every_leading_zero_and_every_tab_is_told_at_once() -> None:
    assert len(refusals("a: 007\nb: [01, 02]\n")) == 3
    assert [line.split()[0] for line in refusals("a:\n\tb: 1\nc:\n  - \td\n\te: 1\n")] == [
        "gateway.yaml:2",
        "gateway.yaml:5",
    ]


def test_an_alias_stands_for_the_value_of_its_anchor() -> None:
    assert read("a: &login {user: x}\nb: *login\n") == {"a": {"user": "x"}, "b": {"user": "x"}}


def test_an_entry_knows_the_line_of_its_key() -> None:
    node, _ = parse("a:\n  b: 1\n\n  c:\n    - d\n", "gateway.yaml")
    assert isinstance(node, Map)
    a = node.entries["a"]
    assert isinstance(a, Map)
    assert {key: entry.line for key, entry in a.entries.items()} == {"b": 2, "c": 4}


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(
    TEXTS,
    st.sampled_from(
        [
            "on",
            "no",
            "0017",
            "1e3",
            "22:00",
            "a: b",
            "a #b",
            "#",
            "- a",
            "{x}",
            "*a",
            "!a",
            "true",
            "~",
            "=",
            ".inf",
            "---",
            "a:",
            "%",
        ]
    ),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


@given(SCALARS)
def test_what_is_printed_reads_back_as_the_same_value(value: str | float | bool | None) -> None:
    assert read(f"a: {scalar_text(value)}\n") == {"a": value}
    assert read(f"a: {{b: [{scalar_text(value)}, {scalar_text(value)}]}}\n") == {"a": {"b": [value, value]}}


TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(TEXTS, TREES, min_size=1, max_size=3))
def test_a_whole_tree_reads_back_from_its_own_yaml(tree: dict[str, object]) -> None:
    written = "{" + ", ".join(f"{scalar_text(key)}: {_flow(value)}" for key, value in tree.items()) + "}"
    node, findings = parse(written, "gateway.yaml")
    if any("merge keys" in finding.problem for finding in findings):
        return  # a key named <<
    assert findings == []
    assert node is not None
    assert read(block(node)) == builtins(node) == tree


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar_text(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return scalar_text(value)


@given(st.text(max_size=80) | st.text(alphabet="ab:-{}[]#&*!|>'\"%@`\n\t ,0?~<", max_size=60))
def test_any_text_gives_a_tree_or_findings_and_never_an_exception(text: str) -> None:
    node, findings = parse(text, "gateway.yaml")
    assert all(1 <= finding.line <= len(text.splitlines()) + 1 for finding in findings)
    if node is not None:
        assert read(block(node)) == builtins(node) or findings or isinstance(node, Leaf)
