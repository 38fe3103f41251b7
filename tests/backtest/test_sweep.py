"""What --sweep takes, and what is said of the rest; every configuration is checked before anything runs."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backtest.sweep import MOST, Axis, axis, grid
from gateway.backtest.variants import Variant, variants
from gateway.errors import ConfigError
from gateway.registry import registry
from tests.backtest import streams

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("rules.a.x=5..8", ("5", "6", "7", "8")),
        ("rules.a.x=5..20:7.5", ("5", "12.5", "20")),
        ("rules.a.x=0.1..0.5:0.1", ("0.1", "0.2", "0.3", "0.4", "0.5")),
        ("rules.a.x=-2..0", ("-2", "-1", "0")),
        ("rules.a.for=10 s..30 s:10 s", ("10 s", "20 s", "30 s")),
        ("rules.a.for=10..30 s:10", ("10 s", "20 s", "30 s")),
        ("rules.a.levels.blue=0.5 m/min..1 m/min:0.25 m/min", ("0.5 m/min", "0.75 m/min", "1 m/min")),
        ("rules.a.x=3, 1,2,1", ("3", "1", "2")),
        ("rules.a.outside.yellow=[5, 30],[6, 29]", ("[5, 30]", "[6, 29]")),
        ('rules.a.active="19:00-06:00,07:00-08:00","00:00-24:00"', ('"19:00-06:00,07:00-08:00"', '"00:00-24:00"')),
        ("rules.a.mode=live", ("live",)),
    ],
)
def test_values_are_a_range_or_a_list_with_their_units(text: str, values: tuple[str, ...]) -> None:
    assert axis(text).values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flood=1..2", "a sweep is a dotted path and its values, such as rules.crowd.levels.yellow=5..20"),
        ("rules.flood.for", "a sweep is a dotted path and its values"),
        ("rules.a.x=", "a sweep is a dotted path and its values"),
        ("rules.a.x=5..", "rules.a.x: found '5..'; values are a range 5..20, 5..20:2.5 or 10 s..60 s:10 s, or a list"),
        ("rules.a.x=1,,2", "or a list 5,10,20"),
        ("rules.a.x=8..5", "found '8..5'; a range goes up, by a step above 0"),
        ("rules.a.x=1..5:0", "a range goes up, by a step above 0"),
        ("rules.a.for=10 s..1 min", "found the units min, s; one range is written in one unit"),
        ("rules.a.x=0..100:0.01", "found 10001 values; at most 200: widen the step"),
    ],
)
def test_what_is_no_sweep_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        axis(text)
    assert said in str(caught.value)


@given(
    low=st.decimals("-1000", "1000", places=2),
    step=st.decimals("0.01", "50", places=2),
    count=st.integers(1, MOST),
    unit=st.sampled_from(["", " s", " m/min", " %"]),
)
def test_a_range_has_both_ends_and_equal_steps(low: Decimal, step: Decimal, count: int, unit: str) -> None:
    high = low + step * (count - 1)
    one = axis(f"rules.a.x={low}{unit}..{high}{unit}:{step}{unit}")
    numbers = [Decimal(value.removesuffix(unit)) for value in one.values]
    assert numbers == [low + step * place for place in range(count)]
    assert all(value.endswith(unit) for value in one.values)


def test_several_sweeps_are_a_grid_up_to_a_limit() -> None:
    two, three = Axis("a.b", ("1", "2")), Axis("a.c", ("x", "y", "z"))
    assert grid([]) == [{}]
    assert [tuple(one.values()) for one in grid([two, three])][:4] == [("1", "x"), ("1", "y"), ("1", "z"), ("2", "x")]
    with pytest.raises(ValueError, match=r"a\.b is swept twice"):
        grid([two, two])
    many = Axis("a.d", tuple(map(str, range(101))))
    with pytest.raises(ValueError, match=r"found 202 configurations \(101 of a\.d × 2 of a\.b\); at most 200"):
        grid([many, two])


def _all(folder: Path, *sweeps: str, configs: tuple[str, ...] = ()) -> list[Variant]:
    given_ = configs or (str(streams.config(folder)),)
    return variants(given_, [axis(one) for one in sweeps], registry())


def test_each_combination_has_a_name_and_a_key_of_its_own(tmp_path: Path) -> None:
    made = _all(tmp_path, "rules.flood.levels.yellow=2.6,2.7", "rules.flood.for=0 s..20 s:20 s")
    assert [one.name for one in made] == [
        "gauge yellow=2.6 for=0 s",
        "gauge yellow=2.6 for=20 s",
        "gauge yellow=2.7 for=0 s",
        "gauge yellow=2.7 for=20 s",
    ]
    assert len({one.key for one in made}) == 4
    assert made[0].rules == ("flood", "rise")


def test_the_key_is_of_what_decides_not_of_how_it_is_written(tmp_path: Path) -> None:
    (plain,) = _all(tmp_path)
    path = tmp_path / "commented.yaml"
    path.write_text("# a comment\n" + streams.config(tmp_path).read_text(encoding="utf-8"), encoding="utf-8")
    (commented,) = _all(tmp_path, configs=(str(path),))
    (same,) = _all(tmp_path, "rules.flood.levels.yellow=2.8")
    (other,) = _all(tmp_path, "rules.flood.levels.yellow=2.9")
    assert plain.key == commented.key == same.key != other.key


def test_every_error_of_every_configuration_is_told_at_once(tmp_path: Path) -> None:
    """Given a bad file and a good one with bad sweeps, all is told, each once, with its path."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(streams.config(tmp_path).read_text(encoding="utf-8").replace("topic:", "topik:"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        _all(
            tmp_path, "rules.flood.levels.yellow=3.7..3.9:0.1", "rules.flood.for=5,10 s",
            configs=(str(bad), str(tmp_path / "gauge.yaml")),
        )  # fmt: skip
    told = caught.value.findings
    assert len(told) == 4
    assert "sensors.water.topik: unknown key; did you mean topic?" in told[0]
    assert "--sweep rules.flood.levels.yellow=3.7 rules.flood.for=5: rules.flood.for: found the bare value 5" in told[1]
    assert "rules.flood.levels.red: found 3.8; it must be above yellow's 3.8" in told[2]
    assert "rules.flood.levels.red: found 3.8; it must be above yellow's 3.9" in told[3]


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("rules.flod.for=1 s", "--sweep rules.flod.for: no flod in rules; did you mean flood? (there: flood, rise)"),
        ("rule.flood.for=1 s", "no rule in the configuration; did you mean rules? (there: brokers, "),
        ("rules.flood.fro=1 s", "rules.flood.fro: unknown key; did you mean for?"),
        ("rules.flood.levels.yelow=1", "rules.flood.levels.yelow: unknown key; did you mean yellow?"),
        ("rules.flood.levels.yellow=x", "rules.flood.levels.yellow: found the text 'x'; a number is written here"),
    ],
)
def test_a_path_that_leads_nowhere_names_the_nearest(tmp_path: Path, sweep: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _all(tmp_path, sweep)
    (told,) = caught.value.findings
    assert said in told


def test_a_key_that_is_not_written_can_be_swept(tmp_path: Path) -> None:
    made = _all(tmp_path, "rules.flood.levels.orange=3.2,3.4", "rules.flood.clear_for=10 s")
    assert len(made) == 2


def test_two_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    old, new = streams.config(tmp_path), streams.config(tmp_path / "new", yellow=3.0)
    made = _all(tmp_path, configs=(str(old), str(new), "recorded"))
    assert [one.name for one in made] == [str(old), str(new), "recorded"]
