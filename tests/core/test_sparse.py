"""Rows of which only those are kept that differ from a new one: as a table of all rows, and stored as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sparse import Sparse
from gateway.core.state import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = {"since": (np.int64, -1), "value": (np.float64, 0.0)}
ROWS = 200
WRITES = st.lists(
    st.tuples(
        st.sampled_from(["one", "many", "drop"]),
        st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=5, unique=True),
        st.integers(-1, 3),
    ),
    max_size=30,
)


def written(writes: Sequence[tuple[str, list[int], int]]) -> tuple[Sparse, list[list[object]], dict[int, int]]:
    """The table, its delta after each write, and what it should hold."""
    table, deltas, held = Sparse(COLUMNS, by="since"), [], dict[int, int]()
    table.grow(ROWS)
    for how, numbers, since in writes:
        if how == "drop":
            table.drop(np.array(numbers))
            held = {number: was for number, was in held.items() if number not in numbers}
        elif how == "one" or since < 0:
            for number in numbers:
                row = table.open(number)
                row["since"], row["value"] = since, number / 2
                table.close(number)
                held[number] = since
        else:
            index = np.array(numbers)
            table.put(index, since=np.full(len(index), since), value=index / 2)
            held.update(dict.fromkeys(numbers, since))
        held = {number: was for number, was in held.items() if was >= 0}
        deltas.append(table.delta())
    return table, [delta for delta in deltas if delta is not None], held


@given(WRITES)
def test_it_holds_what_was_written_and_lets_go_of_what_is_as_new(writes: list[tuple[str, list[int], int]]) -> None:
    table, _, held = written(writes)

    assert len(table) == len(held)
    assert dict(table.where("since")) == held
    every = np.arange(ROWS)
    assert table.has(every).tolist() == [number in held for number in range(ROWS)]
    assert table.get(every, "value").tolist() == [number / 2 if number in held else 0.0 for number in range(ROWS)]


@given(WRITES, st.integers(0, 30))
def test_a_whole_and_the_deltas_after_it_are_the_same_table(writes: list[tuple[str, list[int], int]], cut: int) -> None:
    first, _, _ = written(writes[:cut])
    last, _, _ = written(writes)
    restored = Sparse(COLUMNS, by="since")

    restored.apply(first.whole())
    _, deltas, _ = written(writes)
    for delta in deltas:  # all of them: what a row already is, it is again
        restored.apply(delta)

    assert restored.whole() == last.whole()
    assert restored.delta() is None


@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(-1, 3)), max_size=20))
def test_it_reads_what_a_table_of_all_rows_stored(rows: list[tuple[int, int]]) -> None:
    dense, sparse = Table(COLUMNS), Sparse(COLUMNS, by="since")
    dense.grow(ROWS)
    for number, since in rows:
        dense.rows[number] = (since, 1.5)  # a row that is as new in the column that tells need not be kept
        dense.touch_one(number)

    sparse.apply(dense.whole())

    held = {number: since for number, since in rows if since >= 0 and dense["since"][number] == since}
    assert dict(sparse.where("since")) == {n: int(dense["since"][n]) for n in held}


def test_clearing_is_told() -> None:
    table, _, _ = written([("one", [3, 5], 1)])
    copy = Sparse(COLUMNS, by="since")
    copy.apply(table.whole())

    table.clear()
    delta = table.delta()
    assert delta is not None
    copy.apply(delta)

    assert len(table) == len(copy) == 0
