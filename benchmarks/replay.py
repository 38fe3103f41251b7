"""(h) Recording and replay: what recording costs, how fast a replay is, whether it says the same everywhere.

    python benchmarks/replay.py [MESSAGES [ROUNDS [GIGABYTES]]]

Two gateways with the 20 rules of parts/corner.py hear the same stream through mosquitto, as in ingest.py; one records,
the other does not (`recording: off`). Each round both work off a queue of MESSAGES, in turns: CPU-seconds of the whole
process (all threads), and messages a second. Then what the one recorded is replayed, and read: by our reader, and out
of an export (one record a message) by the mcap library, in turns. Bytes a message: of 165 bytes, with nine values that
walk at random. Seeking: into GIGABYTES of sensor messages and video, until the first output. At last the same recording
is replayed 20 times: other CPU features, BLAS kernels, core counts, orders of hashes, groupings, Debian's other Python.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from parts.corner import RULES, begin_ms, corner
from parts.recorded import about_of, bytes_a_message, rates
from parts.same import differences
from parts.seek import sought
from parts.subjects import Resident
from stage import Mosquitto, Row, Victoria, folder, gateway, main, numbers, publish, running, server, until, values

from gateway.recording.export import export
from gateway.recording.reader import Recording

if TYPE_CHECKING:
    from pathlib import Path

    from stage import Gateway

MESSAGES, ROUNDS, GIGABYTES = numbers(__doc__, 100_000, 5, 10.0)
WARM_UP = 10_000
TURNS = 3
COST, OF_READING, OF_INGEST, BYTES, SEEK_S = 1.10, 0.5, 1.5, 35.0, 2.0
SAMPLE = 200_000  # messages of 165 bytes


class Live:
    """Two gateways over one stream: the one that records, and the one that does not."""

    def __init__(self, at: Path, stack: ExitStack) -> None:
        self._broker, victoria = server(Mosquitto, at / "broker"), server(Victoria, at / "victoria")
        stack.enter_context(running(self._broker, victoria))
        self._total, self._begin_ms = 0, begin_ms()
        sink = f'{{v2: "{victoria.url}", bucket: bench}}'
        self.subjects: list[Resident] = []
        self.gateways: list[Gateway] = []
        for name, more in (("on", ""), ("off", "recording: off\n")):
            text = corner(f"corner-{name}", self._broker.url, sink).replace("  air: {", f"  air{name}: {{", 1)
            one = stack.enter_context(gateway(at / name, text.replace(" air.", f" air{name}.") + more))
            stored = f"air{name}"
            self.gateways.append(one)
            self.subjects.append(Resident(name, one.pid, lambda stored=stored: values(victoria, stored)))
        self.rates: list[float] = []

    def rounds(self) -> None:
        """Publish while both stand still, then let one after the other go on; the order rotates."""
        for number in range(ROUNDS + 1):
            count = MESSAGES if number else WARM_UP
            for subject in self.subjects:
                subject.stop()
            place = (self._total, self._begin_ms)
            assert publish(self._broker.port, count, corner=place).wait(120) == 0
            self._total += count
            for turn in range(2):
                which = (turn + number) % 2
                took = self.subjects[which].drain(count, self._total)
                if number:
                    self.subjects[which].costs.append(took * 100_000 / count)
        for subject in self.subjects:
            subject.go_on()

    def ingest(self) -> float:
        """Messages a second that the recording one takes out of the queue until all are acknowledged."""
        ours, one = self.subjects[0], self.gateways[0]
        self.subjects[1].stop()
        turns: list[float] = []
        for _ in range(TURNS):
            ours.stop()
            assert publish(self._broker.port, MESSAGES, corner=(self._total, self._begin_ms)).wait(120) == 0
            self._total += MESSAGES
            began = time.monotonic()
            ours.go_on()
            until(lambda: self._acknowledged(one) or time.sleep(0.02), 120, "the queue")
            turns.append(MESSAGES / (time.monotonic() - began))
            ours.caught_up(self._total)
        self.subjects[1].go_on()
        return statistics.median(turns)

    def _acknowledged(self, one: Gateway) -> bool:
        taken = one.metric("zhiwang_source_messages_total") >= self._total
        return taken and one.metric("zhiwang_source_unacknowledged") == 0


def _cost(live: Live) -> list[Row]:
    on, off = (sum(subject.costs) / ROUNDS for subject in live.subjects)
    pairs = [f"{a / b:.2f}" for a, b in zip(live.subjects[0].costs, live.subjects[1].costs, strict=True)]
    words = f"at most {COST}; {on:.2f} and {off:.2f} CPU-s per 100,000; rounds: {', '.join(pairs)}"
    return [Row("CPU of the process, recording on ÷ off", f"{on / off:.2f}", words, on / off <= COST)]


def _speed(ring: Path, exported: list[Path], ingest: float) -> list[Row]:
    compact, readable = rates([ring], exported, TURNS)
    replayed, read, _ = compact.median()
    again, ours, by_mcap = readable.median()
    standard, live = again / by_mcap, replayed / ingest
    return [
        Row(
            "replay ÷ iterating, mcap's reader, an export",
            f"{standard:.2f}",
            _words(again, by_mcap),
            standard >= OF_READING,
        ),
        Row("replay ÷ iterating, our reader, the same export", f"{again / ours:.2f}", _both(again, ours)),
        Row("replay ÷ iterating, our reader, the ring", f"{replayed / read:.2f}", _both(replayed, read)),
        Row("replay ÷ live ingest", f"{live:.2f}", _words(replayed, ingest, OF_INGEST), live >= OF_INGEST),
    ]


def _words(ours: float, theirs: float, wanted: float = OF_READING) -> str:
    return f"at least {wanted}; {_both(ours, theirs)}"


def _both(ours: float, theirs: float) -> str:
    return f"{ours:,.0f} and {theirs:,.0f} messages/s"


def _measure(at: Path) -> list[Row]:
    with ExitStack() as stack:
        live = Live(at, stack)
        live.rounds()
        rows = _cost(live)
        ingest = live.ingest()
        changes = live.gateways[0].metric("zhiwang_door_alerts_total")
    ring = at / "on/state/recording"
    recording = Recording.open([ring])
    done = export(recording, at / "exported.mcap")
    on_disk = recording.bytes / done.messages
    rows.append(
        Row("recorded", f"{done.messages:,} messages", f"{changes:.0f} changes of alerts, {on_disk:.1f} B each")
    )
    rows += _speed(ring, done.files, ingest)
    size = bytes_a_message(at, about_of(recording), SAMPLE)
    rows.append(Row("bytes of a 165-byte message on disk", f"{size:.1f}", f"at most {BYTES:.0f}", size <= BYTES))
    for path in done.files:
        path.unlink()
    rows += sought(at, recording, GIGABYTES, SEEK_S)
    rows += differences(ring, at)
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at:
        return _measure(at)


if __name__ == "__main__":
    main(f"(h) recording and replay, {RULES} rules, {ROUNDS} rounds of {MESSAGES:,} messages", measure)
