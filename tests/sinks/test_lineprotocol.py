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
    """Any names, tags and texts: a line for each point, every number under its series' own name, no text."""
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
