"""Our own line protocol is read back as it was meant."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lines import number, point, prefix, subject, text
from gateway.sinks import lineprotocol

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\\"), min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
POINTS = st.tuples(
    NAMES,
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.dictionaries(NAMES, st.floats(allow_nan=False, allow_infinity=False) | TEXTS, min_size=1, max_size=4),
    st.integers(-(2**62), 2**62),
)


@given(st.lists(POINTS, max_size=6))
def test_what_the_core_writes_is_read_back_point_by_point(
    written: list[tuple[str, dict[str, str], dict[str, float | str], int]],
) -> None:
    """Any names, tags and texts: a line for each point, every number and text under its series' own name."""
    lines = [
        point(prefix(name, tags), {k: text(v) if isinstance(v, str) else number(v) for k, v in fields.items()}, at)
        for name, tags, fields, at in written
    ]
    body = "".join(lines).encode()
    assert [line + b"\n" for line in lineprotocol.split(body)] == [line.encode() for line in lines]
    got = [
        (lineprotocol.subject(line.head, field), value, line.at_ns)
        for line in lineprotocol.points(body)
        for field, value in line.numbers
    ]
    assert got == [
        (
            subject(f"{name}.{field}", tags.items()),
            value,
            at,
        )
        for name, tags, fields, at in written
        for field, value in fields.items()
        if not isinstance(value, str)
    ]
    said = [
        (lineprotocol.measurement(one.head), lineprotocol.unescaped(one.field), one.text, one.at_ns)
        for one in lineprotocol.texts(body)
    ]
    assert said == [
        (name, field, value, at)
        for name, _, fields, at in written
        for field, value in fields.items()
        if isinstance(value, str)
    ]


def test_a_backslash_that_escapes_nothing_stays() -> None:
    """Before a comma, space or `=` it escapes in a name, before a quote or another in a text; else it is itself."""
    body = rb'we\ather\ a,x=c:\d f\1="c:\\e \"\f, g" 5'
    (one,) = lineprotocol.texts(body)
    assert one == lineprotocol.Text(rb"we\ather\ a,x=c:\d", rb"f\1", r'c:\e "\f, g', 5)
    assert lineprotocol.measurement(one.head) == r"we\ather a"
    assert lineprotocol.subject(one.head, one.field) == r"we\ather a.f\1{x=c:\d}"


def test_integers_and_booleans_are_numbers_and_a_line_without_time_is_passed_over() -> None:
    """`3i` is 3, `true` is 1; a point without a time cannot be drawn."""
    body = b'm,a=b n=3i,u=4u,yes=true,no=f,t="x"\nm n=3i,u=4u,yes=true,no=f,t="x, y=1" 5\n'
    assert list(lineprotocol.points(body)) == [
        lineprotocol.Line(b"m", [(b"n", 3.0), (b"u", 4.0), (b"yes", 1.0), (b"no", 0.0)], 5)
    ]


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_cut_into_lines_without_losing_one(body: bytes) -> None:
    """Whatever it is, every byte but newlines comes out again, in order."""
    assert b"".join(lineprotocol.split(body)).replace(b"\n", b"") == body.replace(b"\n", b"")
    list(lineprotocol.points(body))
    list(lineprotocol.texts(body))


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**53), 2**53).map(lambda value: f"{value}i"),
    st.sampled_from(["true", "1e-05", "-0.0", "7u", '"a,b=1"', "nan"]),
)
LINES = st.lists(
    st.tuples(
        st.sampled_from(["air,d=1", "air,d=2", r"a\ b,d=e=f", "water"]),
        st.lists(
            st.tuples(st.sampled_from(["a", "aa", "b", "i", "e"]), NUMBERS),
            min_size=1,
            max_size=3,
            unique_by=lambda pair: pair[0],
        ),
        st.integers(0, 2**62),
    ),
    max_size=8,
)


@given(LINES)
def test_blocks_say_what_the_lines_say_one_after_another(
    lines: list[tuple[str, list[tuple[str, str]], int]],
) -> None:
    """Whatever they are: equal fields, fields in another order, texts, truths."""
    body = "".join(
        f"{head} {','.join(f'{name}={value}' for name, value in fields)} {at}\n" for head, fields, at in lines
    ).encode()

    found = lineprotocol.blocks(body, {})

    single = [
        (line.head, name, line.at_ns, value) for line in lineprotocol.points(body) for name, value in line.numbers
    ]
    if found is not None:
        blocks, rest = found
        together = [(line.head, name, line.at_ns, v) for line in lineprotocol.points(rest) for name, v in line.numbers]
        together += [
            (head, name, at, float(value))
            for block in blocks
            for head, values, at in zip(block.heads, block.values, block.at_ns, strict=True)
            for name, value in zip(block.fields, values, strict=True)
        ]
        assert sorted(together) == sorted(single)


def test_equal_fields_are_one_block_and_others_another() -> None:
    text = b'zhiwang_alert id="flood\\"\n1",value=2.5 12'
    body = b"air,d=1 a=1.5,n=2i 10\nwater a=3.0 11\n%b\nair,d=2 a=2.5,n=-3i 12\n" % text

    found = lineprotocol.blocks(body, {})

    assert found is not None
    assert found[1] == text
    assert [(block.heads, block.fields, block.values.tolist(), block.at_ns) for block in found[0]] == [
        ([b"air,d=1", b"air,d=2"], (b"a", b"n"), [[1.5, 2.0], [2.5, -3.0]], [10, 12]),
        ([b"water"], (b"a",), [[3.0]], [11]),
    ]


def test_a_field_in_another_order_than_before_is_not_taken_for_the_other() -> None:
    assert lineprotocol.blocks(b"air a=1.0,b=2.0,c=3.0 10\nair a=1.0,c=3.0,b=2.0 11\n", {}) is None
