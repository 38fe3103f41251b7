"""What a gateway really got, for checks of rules: the inputs of a recording as they came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.events import Configured, Restart
from gateway.recording.parts import Part
from gateway.recording.reader import Recording
from gateway.testing.said import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 1000  # inputs: a check steps them some fifty times, and more often while it looks for the fewest


def recorded(
    recordings: str | Path | Sequence[str | Path],
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    most: int = MOST,
) -> list[Step]:
    """The first inputs admitted in [from_ns, to_ns), UTC, with their stamps: for check_rule, which begins with nothing.

    Raises RecordingError.
    """
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    steps: list[Step] = []
    for piece in Recording.open([Path(one) for one in given]).pieces(from_ns, to_ns):
        if isinstance(piece, Part):
            stamped = zip(piece.cut.inputs, piece.cut.admitted_ns.tolist(), piece.cut.elapsed_ns.tolist(), strict=True)
            steps += [Step(*one) for one in stamped if not isinstance(one[0], Restart | Configured)]
            if len(steps) >= most:
                break
    return [step for step in steps[:most] if from_ns is None or step.admitted_ns >= from_ns]
