"""Every rule against its scalar reference, on any stream, cut anywhere."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.core.rules
from gateway.config.kinds import Kind
from tests.core.build import RULES, core_of, run
from tests.core.cases import CASES, COUNTS, TRACKS
from tests.core.reference.gateway import REFERENCES
from tests.core.streams import came, expected, jiggle, looks, searching, streams, walks


def shipped_kinds() -> list[str]:
    """The rule kinds that are registered, and those that lie in gateway/core/rules and may have been forgotten."""
    modules = [
        importlib.import_module(f"gateway.core.rules.{found.name}")
        for found in pkgutil.iter_modules(gateway.core.rules.__path__)
    ]
    lying = {one.key for module in modules for one in vars(module).values() if isinstance(one, Kind)}
    return sorted(lying | set(RULES))


@pytest.mark.parametrize("kind", shipped_kinds())
def test_every_kind_has_a_reference_and_a_case(kind: str) -> None:
    assert kind in REFERENCES, f"write the scalar reference of {kind} in tests/core/reference"
    assert kind in RULES
    texts = [case.text for case in CASES.values()] + [*COUNTS.values(), *TRACKS.values()]
    assert any(f"{kind}: " in text for text in texts), f"add a case with {kind} to tests/core/cases.py"


@pytest.mark.parametrize("name", CASES)
@searching(60)
@given(data=st.data())
def test_alert_rows_are_those_of_the_reference(name: str, data: st.DataObject) -> None:
    case = CASES[name]
    steps, sizes = data.draw(streams(case)), data.draw(jiggle())

    rows = run(core_of(case.text), [step.stamped for step in steps], sizes).alerts

    assert came(rows) == expected(case.text, steps)


@pytest.mark.parametrize("name", COUNTS)
@searching(60)
@given(data=st.data())
def test_counts_are_those_of_the_reference(name: str, data: st.DataObject) -> None:
    text = COUNTS[name]
    steps, sizes = data.draw(looks()), data.draw(jiggle())

    rows = run(core_of(text), [step.stamped for step in steps], sizes).alerts

    assert came(rows) == expected(text, steps)


@pytest.mark.parametrize("name", TRACKS)
@searching(60)
@given(data=st.data())
def test_what_tracks_do_is_what_the_reference_says(name: str, data: st.DataObject) -> None:
    text = TRACKS[name]
    steps, sizes = data.draw(walks()), data.draw(jiggle())

    rows = run(core_of(text), [step.stamped for step in steps], sizes).alerts

    assert came(rows) == expected(text, steps)
