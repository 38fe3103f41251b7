"""Line protocol: each value reads back as it was, beside whatever others."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lines import RowWriter
from gateway.ports import Field

FIELDS = (
    Field("a b", "x"),
    Field("n", "n", "int"),
    Field("on", "on", "bool"),
    Field("t", "t", "str"),
    Field("f%", "f"),
)
ROW = st.tuples(
    st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    st.integers(-(2**53), 2**53) | st.none(),
    st.booleans() | st.none(),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=5) | st.none(),
    st.sampled_from([0.1, 1e16, 1e-5, 1e22, -0.0, 5e-324, 1.7976931348623157e308, 3.0]) | st.none(),
)
Row = tuple[float | None, int | None, bool | None, str | None, float | None]


def columns_of(rows: list[Row]) -> list[np.ndarray | list[str | None]]:
    """As `Decoded` has them."""
    columns = list(zip(*rows, strict=True))
    return [
        list(c) if i == 3 else np.array([np.nan if v is None else v for v in c], float) for i, c in enumerate(columns)
    ]


@given(rows=st.lists(ROW, min_size=1, max_size=5))
def test_every_value_reads_back_and_no_row_depends_on_its_neighbours(rows: list[Row]) -> None:
    writer, at = RowWriter(FIELDS), 1_780_000_000_000_000_000 + np.arange(len(rows))

    lines = writer.write([f"m,d={i}" for i in range(len(rows))], columns_of(rows), at)

    alone = [writer.write([f"m,d={i}"], columns_of([row]), at[i : i + 1])[0] for i, row in enumerate(rows)]
    assert lines == alone
    for i, (row, line) in enumerate(zip(rows, lines, strict=True)):
        assert line == expected(i, row, int(at[i]))


def expected(i: int, row: Row, at_ns: int) -> str:
    """The line, written value by value."""
    a, n, on, t, f = row
    parts: list[str] = []
    if a is not None:
        parts.append(f"a\\ b={shortest(a)}")
    if n is not None:
        parts.append(f"n={n}i")
    if on is not None:
        parts.append(f"on={'true' if on else 'false'}")
    if t is not None:
        quoted = t.replace("\\", "\\\\").replace('"', '\\"')
        parts.append(f't="{quoted}"')
    if f is not None:
        parts.append(f"f%={shortest(f)}")
    return f"m,d={i} {','.join(parts)} {at_ns}\n" if parts else ""


def shortest(value: float) -> str:
    """As long as repr is, and the same number; zeros before digits and exponents may be written otherwise."""
    import msgspec  # noqa: PLC0415 - the text is its own; what counts is asserted here

    text = msgspec.json.encode(value).decode()
    assert float(text) == value
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert digits(text) == digits(repr(value))
    return text


def digits(text: str) -> str:
    """The digits that are significant."""
    return text.lower().partition("e")[0].replace(".", "").lstrip("-").strip("0")


def test_a_text_that_says_null_is_a_text() -> None:
    writer = RowWriter((Field("t", "t", "str"), Field("u", "u", "str")))

    assert writer.write(["m"], [["null"], [None]], np.array([7])) == ['m t="null" 7\n']
    assert writer.write([], [[], []], np.zeros(0, np.int64)) == []
