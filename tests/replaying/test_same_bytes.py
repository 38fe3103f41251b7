"""The same recording gives the same bytes on any machine (SEMANTICS.md §5): alerts, series, requests and state.

In short here; `make soak` takes each difference alone, another Python, and another kind of machine.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.app.recording import FOLDER
from tests.e2e.played import play as run_live
from tests.e2e.played import script
from tests.e2e.test_replayed import _folder
from tests.replaying.digest import Digest
from tests.replaying.interpreters import NEWER, OTHER_MACHINE, Interpreter, NotThereError, here, of_debian

if TYPE_CHECKING:
    from pathlib import Path

DISABLED = "X86_V3 X86_V4 AVX512_ICL"
OLDER_CPU = {"NPY_DISABLE_CPU_FEATURES": DISABLED}
KERNELS = {"Haswell": {"Haswell"}, "Prescott": {"Prescott", "Katmai"}}  # OpenBLAS takes either name for the latter
ONE_CORE = ("taskset", "-c", "0")


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a gateway recorded while everything happened that can: the script's inputs, commands among them."""
    folder = _folder(tmp_path_factory.mktemp("ring") / "play", [])
    asyncio.run(run_live(folder, script([])))
    return folder / "state" / FOLDER


def _digest(one: Interpreter, ring: Path, *words: str, **environment: str) -> Digest:
    said = one.run("-m", "tests.replaying.digest", str(ring), *words, **environment)
    return msgspec.json.decode(said.splitlines()[-1], type=Digest)


@pytest.fixture(scope="module")
def usual(ring: Path) -> Digest:
    """On this machine as it is."""
    digest = _digest(here(), ring, PYTHONHASHSEED="0")
    assert digest.changes > 200
    assert digest.points > 800
    assert not digest.holes
    return digest


def _on_one_core() -> Interpreter:
    if shutil.which("taskset") is None:
        pytest.skip("taskset is not here")
    this = here()
    return this._replace(name=f"{this.name}, one core", command=(*ONE_CORE, *this.command))


def _took_effect(usual: Digest, other: Digest) -> None:
    """Whether numpy ran without the features that were switched off."""
    if not set(DISABLED.split()) & set(usual.features):
        pytest.skip("this CPU has not the features that would be switched off")
    assert not set(other.features) & set(DISABLED.split())


def test_another_cpu_core_count_order_of_hashes_and_grouping_change_nothing(ring: Path, usual: Digest) -> None:
    """Given all of that at once, when a recording is replayed, then every byte is the same."""
    environment = {**OLDER_CPU, "PYTHONHASHSEED": "4711", "OPENBLAS_CORETYPE": "Prescott"}
    other = _digest(_on_one_core(), ring, "7", **environment)

    assert other.came_to() == usual.came_to()
    _took_effect(usual, other)


@pytest.mark.soak
@pytest.mark.parametrize("cut", ["", "1", "2", "3"])
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONHASHSEED": "1"},
        OLDER_CPU,
        {"OPENBLAS_CORETYPE": "Prescott"},
        {"OPENBLAS_CORETYPE": "Haswell"},
        {"OPENBLAS_NUM_THREADS": "1"},
    ],
    ids="-".join,
)
def test_each_difference_alone_changes_nothing(
    ring: Path, usual: Digest, cut: str, environment: dict[str, str]
) -> None:
    """Given a recording, when it is replayed twenty times, each time otherwise, then every byte is the same."""
    other = _digest(here(), ring, *([cut] if cut else []), **environment)
    assert other.came_to() == usual.came_to()
    if environment == OLDER_CPU:
        _took_effect(usual, other)
    wanted = environment.get("OPENBLAS_CORETYPE")
    assert not wanted or not other.blas or other.blas in KERNELS[wanted]


@pytest.mark.soak
@pytest.mark.parametrize("wanted", [NEWER, OTHER_MACHINE], ids=["newer python", "aarch64"])
def test_another_python_and_another_kind_of_machine_change_nothing(
    ring: Path, usual: Digest, wanted: tuple[str, str, str]
) -> None:
    """Given Debian's other Python, or its aarch64 one under qemu-user, a replay's every byte is the same."""
    try:
        other = of_debian(wanted)  # type: ignore[arg-type]  it is one of the two
    except NotThereError as error:
        pytest.skip(str(error))
    digest = _digest(other, ring, OPENBLAS_CORETYPE=os.environ.get("OPENBLAS_CORETYPE", ""))
    assert digest.came_to() == usual.came_to()
    assert digest.features != usual.features or digest.python != usual.python
