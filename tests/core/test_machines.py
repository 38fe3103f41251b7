"""The same bytes with another set of CPU instructions and another order of hashes (SEMANTICS.md §5)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
DISABLED = ("X86_V3", "X86_V4", "AVX512_ICL")


class Report(msgspec.Struct, frozen=True):
    """What tests.core.digest prints."""

    features: list[str]
    digest: str


def report(**environment: str) -> Report:
    """Run the program in an environment of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.digest"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        timeout=100,
    )
    return msgspec.json.decode(done.stdout, type=Report)


@pytest.fixture(scope="module")
def usual() -> Report:
    """As this machine is."""
    return report(PYTHONHASHSEED="0")


def test_without_the_newer_cpu_features_the_bytes_are_the_same(usual: Report) -> None:
    here = [feature for feature in DISABLED if feature in usual.features]
    if not here:
        pytest.skip(f"numpy dispatches to none of {', '.join(DISABLED)} on this CPU")

    other = report(NPY_DISABLE_CPU_FEATURES=" ".join(here), PYTHONHASHSEED="0")

    assert not set(other.features) & set(DISABLED), "disabling did not take effect"
    assert other.digest == usual.digest


@pytest.mark.parametrize("seed", ["1", "4711"])
def test_the_order_of_hashes_does_not_matter(usual: Report, seed: str) -> None:
    assert report(PYTHONHASHSEED=seed).digest == usual.digest
