"""The exposition, for any names, labels and values."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gateway.console.metrics import HELP
from gateway.console.openmetrics import render
from tests.conftest import ROOT

labels = st.dictionaries(
    st.sampled_from(["sink", "source", "camera"]), st.text(st.characters(codec="utf-8")), max_size=3
)
samples = st.tuples(st.sampled_from(sorted(HELP)), labels, st.floats(min_value=0, allow_nan=False))


@given(st.lists(samples, max_size=30))
def test_whatever_the_labels_hold_a_scraper_reads_it_back(
    given_samples: list[tuple[str, dict[str, str], float]],
) -> None:
    """Given any samples, the text parses to the last value of each name and labels."""
    wanted = {(name, frozenset(tags.items())): value for name, tags, value in given_samples}

    text = render(given_samples)

    read = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert read == wanted


def test_what_is_no_number_is_written_as_the_format_wants() -> None:
    """Given NaN and infinities, the words of the format."""
    text = render([("zhiwang_door_waiting", {"source": str(v)}, v) for v in (math.nan, math.inf, -math.inf)])
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("zhiwang")] == ["NaN", "+Inf", "-Inf"]


def test_every_metric_is_in_the_operators_table() -> None:
    """Given the help texts, docs/operators.md lists each name."""
    page = (ROOT / "docs/operators.md").read_text(encoding="utf-8")
    assert [name for name in HELP if f"`{name}`" not in page] == []
