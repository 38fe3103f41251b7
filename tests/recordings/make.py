"""Makes the recordings of this folder anew, and what is expected of them.

python -m tests.recordings.make [NAME…]

Run it when what is recorded should be another thing. What a change of the core means is shown without it: pytest
tests/recordings says what differs, pytest tests/recordings --accept-alerts writes it down, and git diff shows it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway import __version__
from gateway.app.recording import FOLDER
from gateway.config.load import loads
from gateway.events import Configured, Health, Looked, Message, Tick
from gateway.recording.export import Form, export
from gateway.recording.parts import About, Checkpoint, ModelNote
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.registry import registry
from gateway.replaying.compare import comparable
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from tests.core.build import HEAD, LABELS, T0, S, core_of, cut_of, run
from tests.core.cases import CASES, COUNTS, TRACKS
from tests.core.digest import seeded
from tests.e2e.played import CONFIG, Step, script
from tests.e2e.played import play as run_live
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import Input

HERE = Path(__file__).resolve().parent
ONLY_INPUTS = Form(readable=False, beside=False, states=False)
SEEN = {**COUNTS, **TRACKS}
PINNED = (
    "held and cleared slowly",
    "below",
    "outside",
    "mean",
    "p95",
    "rises",
    "falls, far apart",
    "only while windy there",
    "unless another rule",
    "one for a while",
    "after another",
    "who comes and goes",
    "who stays",
    "how many",
    "who crosses",
    "how fast",
    "which way",
    "which way, by the compass",
    "how many on a square metre",
    "what stands",
    "who nearly meets",
)
"""Of tests/core/cases.py: each kind of rule, and what stands in its way."""
SEEDS = {
    "one for a while": 3,
    "who comes and goes": 24,
    "who stays": 25,
    "how many": 27,
    "who crosses": 17,
    "how fast": 4,
    "which way": 29,
    "which way, by the compass": 15,
    "how many on a square metre": 23,
    "what stands": 3,
    "who nearly meets": 11,
}
"""Of which more comes than of 0."""
SIGHT = ("frozen", "black", "covered", "blurred", "moved", "login")


def of_case(name: str, out: Path) -> None:
    """Any stream of a case: repeated series, late, double and retained readings, gaps, ticks, sources that go."""
    text = HEAD + (CASES[name].text if name in CASES else SEEN[name])
    sha = loads(text, Path(), registry()).sha
    models = tuple(ModelNote(camera, "tested", "5ba1", LABELS, 0.4) for camera in ("crossing",) if name in SEEN)
    about = About("lg-017-02", "b3f1", __version__, sha, text, models, "import", T0, "Asia/Shanghai")
    steps = [one._replace(item=_configured(one.item, sha, text)) for one in seeded(name, SEEDS.get(name, 0))]
    writer = FileWriter(out, about, Checkpoint(1, T0, 0, 1, None))
    for begin in range(0, len(steps), 40):
        writer.inputs(cut_of(1 + begin, steps[begin : begin + 40]))
    writer.close()
    said = [comparable(row.body) for row in run(core_of(text), steps).alerts]
    assert said == [comparable(line) for line in alerts_of(out)], "a replay is not what the core says"


def _configured(item: Input, sha: str, text: str) -> Input:
    return Configured(sha, text) if isinstance(item, Configured) else item


def of_gateways(out: Path, lives: Sequence[Sequence[Step]], text: str = CONFIG, lost: int | None = None) -> None:
    """What a gateway recorded that was started as often as it has lives. `lost`: the file of that life is gone."""
    with tempfile.TemporaryDirectory() as folder:
        at, begin = Path(folder), 0
        (at / "gateway.yaml").write_text(f"{text}state: state\n", encoding="utf-8")
        red_yolox(at / "model.onnx", classes=80)
        for number in range(1, len(lives) + 1):
            steps = [step for life in lives[:number] for step in life]
            asyncio.run(run_live(at, steps, begin))
            begin = sum(len(step.inputs) for step in steps)
        ring = sorted((at / "state" / FOLDER).glob("*.mcap"))
        if lost is not None:
            ring.pop(lost).unlink()
        recording = Recording.open(ring)
        done = export(recording, out, form=ONLY_INPUTS)
        assert done.files == [out], "the configuration changed on the way"
        assert bool(done.holes) == (lost is not None)
        said = [comparable(line) for line in recording.alerts()]
    if lost is None:
        assert said == [comparable(line) for line in alerts_of(out)], "a replay is not what was said live"


def corner() -> list[Step]:
    """Everything that can come, in three minutes."""
    return script([], seconds=200)


def sight() -> list[Step]:
    """A camera that freezes, goes black, is covered, out of focus, turned away and refuses; in between it sees."""
    said: dict[int, Input] = {}
    for number, what in enumerate(SIGHT):
        said[10 + 20 * number] = Health("camera/crossing", what, ok=False, detail=f"the {number + 1}. time")
        said[22 + 20 * number] = Health("camera/crossing", what, ok=True)
    blind = {second for begin in range(10, 10 + 20 * len(SIGHT), 20) for second in range(begin, begin + 12)}
    steps = [Step(0, [Health("source/here", "connected", ok=True)])]
    for second in range(1, 140):
        at_ns = T0 + second * S
        looked = Looked("crossing", at_ns - S, at_ns, "blind" if second in blind else "analysed")
        steps.append(Step(second, [*([said[second]] if second in said else []), looked, Tick()]))
    return steps


def flooded() -> list[Step]:
    """A box that sends in a loop, beside another that does not."""
    steps = [Step(0, [Health("source/here", "connected", ok=True)])]
    for second in range(1, 60):
        loop = 150 if 10 <= second < 30 else 1
        bodies = [b'{"t": %d, "p": %d, "h": 50}' % (T0 // S + second, 60 + (second + n) % 90) for n in range(loop)]
        inputs: list[Input] = [Message("here", "air/loop", body) for body in bodies]
        inputs.append(Message("here", "air/calm", bodies[0]))
        steps.append(Step(second, [*inputs, Tick()]))
    return steps


FLOOD = CONFIG.replace("    topic: air/{device}\n", "    topic: air/{device}\n    at_most: 20/s\n")


def restarted() -> list[list[Step]]:
    """Three lives in the middle of alerts."""
    steps = script([], seconds=150)
    return [steps[:61], steps[61:97], steps[97:]]


def make(name: str, out: Path) -> None:
    """One recording."""
    if name in CASES or name in SEEN:
        of_case(name, out)
    elif name == "corner":
        of_gateways(out, [corner()])
    elif name == "camera health":
        of_gateways(out, [sight()])
    elif name == "flood":
        of_gateways(out, [flooded()], FLOOD)
    elif name == "restart":
        of_gateways(out, restarted())
    elif name == "hole":
        of_gateways(out, restarted(), lost=1)


def alerts_of(path: Path) -> list[bytes]:
    """What a recording says now."""
    memory = Memory()
    play(Recording.open([path]), memory)
    return memory.alerts


def file_of(name: str) -> Path:
    """Where it is kept."""
    return HERE / f"{re.sub('[^a-z0-9]+', '-', name)}.mcap"


NAMES = (*PINNED, "corner", "camera health", "flood", "restart", "hole")


def main(names: Sequence[str]) -> None:
    """All of them, or those named."""
    for name in names or NAMES:
        path = file_of(name)
        path.unlink(missing_ok=True)
        make(name, path)
        lines = alerts_of(path)
        path.with_suffix(".alerts.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        rules = sorted({msgspec.json.decode(line)["rule"] for line in lines})
        print(f"{path.name:32} {path.stat().st_size:8} B  {len(lines):4} changes of alerts: {', '.join(rules)}")


if __name__ == "__main__":
    main(sys.argv[1:])
