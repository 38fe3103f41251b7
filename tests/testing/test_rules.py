"""check_rule finds what is impure, says which property broke, and shows the fewest inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from gateway.config.load import loads
from gateway.errors import ConfigError
from gateway.events import Detections, Looked
from gateway.exchange.given import Findings, Given
from gateway.exchange.recorded import write
from gateway.recording.export import export
from gateway.recording.parts import Begin, ModelNote
from gateway.recording.reader import Recording
from gateway.registry import registry
from gateway.testing import ImpureRule, check_rule, recorded, time_of
from gateway.testing.cores import whole_text
from tests.conftest import ROOT
from tests.core.cases import CASES
from tests.testing import impure

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.kinds import Kind
    from gateway.events import Input
    from gateway.testing.said import Say

S = 10**9
BEGIN_NS = 1_767_225_600 * S
CONFIG = """
sensors:
  air: {mqtt: here, topic: "air/{device}", json: {time: t, pm: p}, every: 2 s}
rules:
  dust: {threshold: air.pm, levels: {yellow: 75, orange: 115}, for: 3 s, clear_by: 5}
"""
CROWD = """
cameras: {gate: {detect: gate.mp4}}
rules: {crowd: {count: person, in: gate, levels: {yellow: 2, orange: 4}, for: 1 s}}
"""
VALUES = (50, 80, 90, 85, 120, 130, 60, 74, 76, 90, 95, 20, 20)
MESSAGES: list[Say] = [("air/a", {"t": time_of(2 * n), "p": value}, 2 * n) for n, value in enumerate(VALUES)]
UNTIMED: list[Say] = [("air/a", {"p": value}, 2 * n) for n, value in enumerate(VALUES)]


def looks(counts: tuple[int, ...]) -> list[Input]:
    """A look a second with so many people."""
    inputs: list[Input] = []
    for number, count in enumerate(counts, 1):
        at_ns = BEGIN_NS + number * S
        boxes = np.array([[20 * i, 10, 20 * i + 15, 60] for i in range(count)], np.float32).reshape(count, 4)
        seen = (boxes, np.full(count, 0.9, np.float32), np.zeros(count, np.int16))
        inputs += [
            Detections("gate", number, at_ns, 640, 360, *seen),
            Looked("gate", at_ns - S, at_ns, "analysed"),
        ]
    return inputs


PEOPLE = looks((0, 2, 3, 3, 4, 5, 5, 5, 1, 0, 0, 0, 2, 2, 2, 0))


def impurity(kind: Kind, messages: list[Say] = MESSAGES, config: str = CONFIG) -> str:
    """What check_rule says of it."""
    with pytest.raises(ImpureRule) as raised:
        check_rule(kind, messages, config=config)
    return str(raised.value)


@pytest.mark.parametrize(("config", "messages"), [(CONFIG, MESSAGES), (CONFIG.replace("time: t, ", ""), UNTIMED)])
def test_a_pure_rule_passes_and_what_it_said_is_given(config: str, messages: list[Say]) -> None:
    checked = check_rule(config, messages)

    assert [one["change"] for one in checked.alerts[:2]] == ["raised", "raised_level"]
    assert checked.untried == ()


def test_a_kind_of_ones_own_passes() -> None:
    assert check_rule(impure.PURE, MESSAGES, config=CONFIG).untried == ()


def test_a_pure_rule_over_a_camera_passes() -> None:
    assert [one["change"] for one in check_rule(CROWD, PEOPLE).alerts[:2]] == ["raised", "raised_level"]


@pytest.mark.parametrize("name", ["held", "mean", "rises", "p95", "unless the same box is damp", "by hours"])
def test_the_shipped_rules_pass(name: str) -> None:
    levels, dust = (2.5, 2.9, 3.4, 3.4, 3.5, 3.9, 3.0, 2.6, 2.5, 2.9), (10, 80, 80, 120, 300, 60, 10, 80, 90, 10)
    water: list[Say] = [("water", {"ts": time_of(9 * n), "level": v}, 9 * n) for n, v in enumerate(levels)]
    air: list[Say] = [("air/a/1", {"ts": time_of(9 * n), "pm25": v, "rh": 50 + n}, 9 * n) for n, v in enumerate(dust)]

    check_rule(CASES[name].text, air if "air" in CASES[name].devices else water, quiet=name == "by hours")


def test_state_in_an_attribute_is_found_by_a_restart() -> None:
    said = impurity(impure.ATTRIBUTE)

    assert said.startswith("dust: killed and restored from the deltas of its state, it says something else")
    assert "── killed and restored here" in said
    assert "what it remembers lives in an attribute: declare a table or book in `making.state`" in said
    assert len([line for line in said.splitlines() if "air/a" in line and '"p"' in line]) <= 4


@pytest.mark.parametrize(("kind", "clock"), [(impure.CLOCK, "time.time"), (impure.NOW, "datetime.now")])
def test_a_clock_is_found_and_where_it_is_read(kind: Kind, clock: str) -> None:
    said = impurity(kind)

    assert said.startswith(f"dust: it reads the clock ({clock}) at impure.py:")
    assert "the fewest inputs found (1 of " in said


def test_chance_is_found_and_where_it_is_drawn() -> None:
    assert impurity(impure.CHANCE).startswith("dust: it draws a random number (random) at impure.py:")


def test_a_global_is_found_by_playing_twice() -> None:
    said = impurity(impure.GLOBAL)

    assert said.startswith("dust: played a second time, it says something else")
    assert "a global, a cache, a default argument, chance" in said


def test_what_takes_a_batch_for_a_moment_is_found_by_cutting_otherwise() -> None:
    said = impurity(impure.BATCHES)

    assert said.startswith("dust: given its inputs ")
    assert "a batch is no unit of time" in said


def test_an_order_of_hashes_is_found_in_another_process() -> None:
    said = impurity(impure.HASHES)

    assert said.startswith("dust: in another process, where text is hashed in another order, it says something else")
    assert "the order of a set differs between processes" in said


def test_a_rule_that_raises_is_told_with_what_it_raised() -> None:
    said = impurity(impure.RAISING)

    assert said.startswith("dust: it raises")
    assert "ZeroDivisionError: one over nothing" in said
    assert '"p":1' in said


def test_a_look_told_twice_must_not_count_twice() -> None:
    said = impurity(impure.EVERY_THIRD, PEOPLE, CROWD)

    assert said.startswith("crowd: told everything twice, it says something else")
    assert "(told twice)" in said


def test_looks_told_again_late_must_not_count_as_new() -> None:
    said = impurity(impure.ANY_ORDER, PEOPLE, CROWD)

    assert said.startswith("crowd: told earlier ones again, late and shuffled, it says something else")
    assert "earlier ones again, shuffled)" in said


def test_a_rule_that_cannot_be_had_elsewhere_is_checked_for_all_the_rest() -> None:
    local = impure.threshold(lambda: lambda asked: asked.readings.value)

    (untried,) = check_rule(local, MESSAGES, config=CONFIG).untried

    assert untried.startswith("another order of hashes: ")
    assert untried.endswith("put the rule into a module")


def test_silence_shows_nothing_unless_it_is_meant() -> None:
    low: list[Say] = [("air/a", {"p": 1})]

    with pytest.raises(ImpureRule, match="dust: says nothing of these messages, so nothing was checked"):
        check_rule(CONFIG, low)
    assert check_rule(CONFIG, low, quiet=True).alerts == []


def test_a_configuration_that_is_wrong_is_told_as_always() -> None:
    with pytest.raises(ConfigError, match="no sensor water"):
        check_rule(CONFIG.replace("air.pm", "water.pm"), MESSAGES)


def test_what_a_gateway_really_got_is_checked_as_it_came() -> None:
    """Given a recording, its configuration and what it holds, then its rules pass; one that forgets does not."""
    path = ROOT / "tests/recordings/outside.mcap"
    text = Recording.open([path]).files[0].about.config

    checked = check_rule(text, recorded(path))

    assert len(checked.alerts) > 20
    with pytest.raises(ImpureRule, match="odd: killed and restored"):
        check_rule(impure.ATTRIBUTE, recorded(path), config=text)
    with pytest.raises(ValueError, match="give either"):
        check_rule(text, [*recorded(path, most=3), ("water", "{}")])


def test_what_a_recorded_model_found_counts_by_its_own_labels(tmp_path: Path) -> None:
    """Given a model whose first label is bicycle, then recorded boxes are bicycles without a word from the test."""
    text = whole_text(CROWD.replace("person", "bicycle"))
    seen = [one for one in looks((0, 3, 3, 3, 3, 0, 0, 0)) if isinstance(one, Detections | Looked)]
    given = [Given(one.event_ns if isinstance(one, Detections) else one.to_ns, one) for one in seen]
    config = loads(text, tmp_path, registry())
    write(tmp_path / "looks.mcap", given, config, text, Findings())
    notes = (ModelNote("gate", "wheels", "ab" * 32, ("bicycle", "cart"), 0.4),)

    steps = recorded(_noted(tmp_path / "looks.mcap", tmp_path / "noted.mcap", notes))

    assert steps.labels == ("bicycle", "cart")
    assert any(alert["rule"] == "crowd" for alert in check_rule(text, steps).alerts)
    with pytest.raises(ImpureRule, match="crowd: says nothing of these messages"):
        check_rule(text, steps, labels=("person", "car"))


def _noted(path: Path, to: Path, notes: tuple[ModelNote, ...]) -> Path:
    """The recording with these models said of it."""
    first, *others = Recording.open([path]).pieces()
    assert isinstance(first, Begin)
    about = first.about
    again = first._replace(about=msgspec.structs.replace(about, models=notes))
    export(Recording.open([path]), to, pieces=[again, *others])
    return to


def test_messages_are_in_the_order_of_their_arrival() -> None:
    with pytest.raises(ValueError, match=r"message 2: found 1 s after 5 s; they are in order of arrival"):
        check_rule(CONFIG, [("air/a", "{}", 5), ("air/a", "{}", 1)])
