"""Payloads that are one value, and CSV lines."""

from __future__ import annotations

import pytest

from gateway.codecs.csv_ import Csv
from gateway.codecs.plain import Plain
from gateway.config.model import SensorCommon
from gateway.config.names import Names
from tests.codecs.routes import csv_route, decode, plain_route

T = 1_786_644_840
NS = 10**9


def test_a_plain_payload_is_a_number() -> None:
    taken, bad = decode(plain_route(), b"3.2", b" 7\n", b"-1e2", b"\xef\xbb\xbf5")
    assert [values for _, _, values in taken] == [(3.2,), (7.0,), (-100.0,), (5.0,)]
    assert not bad


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"nan", "expected a number"),
        (b"inf", "expected a number"),
        (b"1e400", "too large"),
        (b"1_000", "expected a number"),
        (b"3.2 m", "expected a number"),
        (b"\xff", "not UTF-8"),
        (b"9" * 1_000_000, "too large"),
        ("٣".encode(), "expected a number"),
    ],
)
def test_a_plain_payload_that_is_no_number_says_so(body: bytes, says: str) -> None:
    taken, bad = decode(plain_route(), b"1", body, b"2")
    assert [place for place, *_ in taken] == [0, 2]
    assert says in bad[0][1]


def test_a_plain_payload_may_be_true_false_or_a_text() -> None:
    assert decode(plain_route("bool"), b"ON", b"0")[0] == [(0, None, (1.0,)), (1, None, (0.0,))]
    assert decode(plain_route("str"), b" open ")[0] == [(0, None, (" open ",))]
    assert "whole number" in decode(plain_route("int"), b"1.5")[1][0][1]


def test_valid_holds_for_plain_payloads() -> None:
    assert decode(plain_route(common=SensorCommon(valid={"level": (0, 8)})), b"9")[1] == [
        (0, "level: found 9; valid is 0 to 8")
    ]


def test_plain_checks_its_name() -> None:
    assert Plain(plain="level").check(Names()) == []
    assert [key for key, _ in Plain(plain="a b").check(Names())] == ["plain"]


def test_each_csv_line_is_a_row_with_columns_by_order() -> None:
    route = csv_route(["time", "level", "_", "flow"])
    taken, bad = decode(route, b"1786644840,3.2,x,5\r\n2026-08-14 02:14:01,,y,6\r\n\r\n", b"1786644842,1,,2")
    assert taken == [(0, T * NS, (3.2, 5.0)), (0, (T + 1) * NS, (None, 6.0)), (1, (T + 2) * NS, (1.0, 2.0))]
    assert not bad


def test_csv_takes_headings_another_separator_and_quotes() -> None:
    route = csv_route(["level", "note"], SensorCommon(kinds={"note": "str"}), separator=";", header=1)
    assert decode(route, b'level;note\n3;"a;b ""c"""\n') == ([(0, None, (3.0, 'a;b "c"'))], [])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"1", "line 1 has 1 cells; expected 2"),
        (b"1,2,3", "line 1 has 3 cells"),
        (b'"1,2', "invalid CSV"),
        (b",", "none of the fields a, b found"),
        (b"\xff,1", "not UTF-8"),
        (b"x" * 1_000_000 + b",1", "invalid CSV"),
    ],
)
def test_a_csv_payload_that_cannot_be_used_says_so(body: bytes, says: str) -> None:
    taken, bad = decode(csv_route(["a", "b"]), b"1,2", body, b"3,4")
    assert taken == [(0, None, (1.0, 2.0)), (2, None, (3.0, 4.0))]
    assert says in bad[0][1]


def test_the_good_lines_and_cells_beside_a_bad_one_are_kept() -> None:
    taken, bad = decode(csv_route(["a", "b"]), b"1,2\n3\nx,6\n")
    assert taken == [(0, None, (1.0, 2.0)), (0, None, (None, 6.0))]
    assert bad == [(0, "line 2 has 1 cells; expected 2; line 3 a: found 'x'; expected a number")]


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (Csv(csv=("time", "_")), "csv"),
        (Csv(csv=("a", "a")), "csv"),
        (Csv(csv=("a b",)), "csv"),
        (Csv(csv=("a",), separator=",,"), "separator"),
        (Csv(csv=("a",), separator='"'), "separator"),
        (Csv(csv=("a",), header=-1), "header"),
    ],
)
def test_csv_checks_its_columns(config: Csv, key: str) -> None:
    assert [found for found, _ in config.check(Names())] == [key]


def test_csv_with_skipped_columns_passes_its_check() -> None:
    config = Csv(csv=("time", "_", "a", "_"), separator="\t")
    assert config.check(Names()) == []
    assert config.values() == ("a",)
