"""One recording, replayed twenty times, each time otherwise: what came must be the same bytes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from stage import Row

from gateway.recording.export import export
from gateway.recording.parts import Part
from gateway.recording.reader import Recording
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from gateway.replaying.restep import from_state_at
from tests.replaying.digest import Digest
from tests.replaying.interpreters import NEWER, OTHER_MACHINE, Interpreter, NotThereError, here, of_debian

if TYPE_CHECKING:
    from pathlib import Path

RESTORED = 5
MESSAGES = 50_000  # of the stream; under qemu a message takes about twenty times as long
OLDER_CPU = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}
PRESCOTT, HASWELL = {"OPENBLAS_CORETYPE": "Prescott"}, {"OPENBLAS_CORETYPE": "Haswell"}


class Turn(NamedTuple):
    """One replay. `seed`: of another grouping; empty: as it was recorded."""

    where: Interpreter
    environment: dict[str, str]
    seed: str = ""


def _turns() -> tuple[list[Turn], list[str]]:
    """Twenty and what else can be had, and what cannot."""
    this = here()
    one_core = this._replace(name="1 core", command=("taskset", "-c", "0", *this.command))
    turns = [Turn(this, {"PYTHONHASHSEED": "0"})]
    for seed in range(1, 5):
        turns += [
            Turn(this, {"PYTHONHASHSEED": str(seed)}, str(seed)),
            Turn(one_core, OLDER_CPU, str(seed + 10)),
            Turn(this, PRESCOTT, str(seed + 20)),
            Turn(one_core, HASWELL | {"PYTHONHASHSEED": str(seed)}),
        ]
    turns += [Turn(this, OLDER_CPU), Turn(one_core, PRESCOTT), Turn(one_core, {})]
    missing: list[str] = []
    for wanted in (NEWER, OTHER_MACHINE):
        try:
            turns.append(Turn(of_debian(wanted), {}))
        except NotThereError as error:
            missing.append(f"Python {wanted.version} for {wanted.machine}: {error}")
    return turns, missing


def differences(ring: Path, at: Path) -> list[Row]:
    """How many of them came to the same bytes."""
    part = at / "part.mcap"
    recording = Recording.open([ring])
    export(recording, part, to_ns=_moment(recording, MESSAGES))
    turns, missing = _turns()
    came = [_digest(turn, part) for turn in turns]
    same = sum(one.came_to() == came[0].came_to() for one in came)
    pythons = sorted({one.python for one in came})
    features, kernels = {len(one.features) for one in came}, {one.blas for one in came if one.blas}
    words = (
        f"all; {came[0].points:,} points, {came[0].changes} changes of alerts; Python {', '.join(pythons)}; "
        f"{len(features)} sets of CPU features, BLAS kernels {', '.join(sorted(kernels))}"
    )
    rows = [Row(f"identical bytes over {len(turns)} replays", f"{same} of {len(turns)}", words, same == len(turns))]
    rows.append(_restored(part, came[0]))
    rows += [Row("  on", turn.where.name) for turn in turns[20:]]
    return rows + [Row("  not measured", reason) for reason in missing]


def _restored(part: Path, whole: Digest) -> Row:
    """Begun again in the middle, with the state that was stored there: it ends as the whole does."""
    recording, chance = Recording.open([part]), random.Random(1)
    [found] = recording.files
    same = 0
    for _ in range(RESTORED):
        at_ns = chance.randrange(found.first_ns + 1, found.last_ns)
        same += play(recording, Memory(), pieces=from_state_at(recording, at_ns)).state_sha == whole.state
    return Row(
        f"… restored at {RESTORED} random inputs", f"{same} of {RESTORED}", "all, and continued", same == RESTORED
    )


def _digest(turn: Turn, part: Path) -> Digest:
    words = [turn.seed] if turn.seed else []
    said = turn.where.run("-m", "tests.replaying.digest", str(part), *words, **turn.environment)
    return msgspec.json.decode(said.splitlines()[-1], type=Digest)


def _moment(recording: Recording, messages: int) -> int | None:
    """When so many inputs had been admitted; None where there are fewer."""
    count = 0
    for piece in recording.pieces():
        if isinstance(piece, Part):
            count += len(piece.cut.inputs)
            if count >= messages:
                return int(piece.cut.admitted_ns[-1])
    return None
