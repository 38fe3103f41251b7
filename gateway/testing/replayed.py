"""Recordings as tests: a day played again, held against what it said when somebody looked at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import RecordingError
from gateway.recording.reader import Recording
from gateway.replaying.compare import Against, expect
from gateway.replaying.outcome import Memory
from gateway.replaying.play import Played, play

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Replayed:
    """What a recording came to. `lines`: the alert lines, `alerts`: the same as objects, `series`: line protocol."""

    def __init__(self, played: Played, memory: Memory, base: Path, *, accept: bool) -> None:
        self.played = played
        self.lines = memory.alerts
        self.series = b"".join(memory.series)
        self._base, self._accept = base, accept

    @property
    def alerts(self) -> list[dict[str, object]]:
        """Every change of an alert, as its JSON object."""
        return [msgspec.json.decode(line, type=dict[str, object]) for line in self.lines]

    def raised(self, rule: str) -> list[dict[str, object]]:
        """The changes by which alerts of a rule were raised or returned."""
        return [one for one in self.alerts if one["rule"] == rule and one["change"] in {"raised", "returned"}]

    def as_expected(self, expectation: str | Path) -> bool:
        """True where the alerts are those in the file; else AssertionError says how they differ.

        With pytest's --accept-alerts the file is written anew instead. Raises ConfigError for a broken file.
        """
        __tracebackhide__ = True
        path = self._base / expectation
        if self._accept:
            path.write_bytes(b"".join(line + b"\n" for line in self.lines))
            return True
        if not path.is_file():
            came = f"{len(self.lines)} changes of alerts came"
            raise AssertionError(f"no expectation {path}: {came}; if they are right: pytest --accept-alerts")
        difference = expect(path, self.lines, self._against())
        if not difference.ok:
            raise AssertionError(f"{difference.text()}\nif this is what it should say: pytest --accept-alerts")
        return True

    def _against(self) -> Against | None:
        return Against.of(*(chosen.config for chosen in self.played.configs)) if self.played.configs else None


class Replay:
    """The fixture `replay`: plays recordings; paths start at the test's own folder."""

    def __init__(self, base: Path, *, accept: bool = False) -> None:
        self._base, self._accept = base, accept

    def __call__(
        self,
        recordings: str | Path | Sequence[str | Path],
        config: str | Path | None = None,
        *,
        overlay: Mapping[str, str] | None = None,
        from_ns: int | None = None,
        to_ns: int | None = None,
    ) -> Replayed:
        """Play one recording, or several of one gateway, as fast as it goes.

        config: instead of the recorded one; overlay: dotted path → YAML text, over either; from_ns, to_ns: admission,
        UTC. Raises ConfigError, and RecordingError where nothing is there to play: no test should pass by that.
        """
        given = [recordings] if isinstance(recordings, str | Path) else list(recordings)
        memory = Memory()
        played = play(
            Recording.open([self._base / one for one in given]),
            memory,
            config=None if config is None else self._base / config,
            overlay=overlay or {},
            from_ns=from_ns,
            to_ns=to_ns,
        )
        if not played.begun_ns:
            why = "; ".join(played.holes) or "nothing was recorded in that span"
            raise RecordingError(f"{', '.join(map(str, given))}: nothing was played: {why}")
        return Replayed(played, memory, self._base, accept=self._accept)
