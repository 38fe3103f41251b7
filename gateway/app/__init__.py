"""The only wiring: live, demo and tests call the same `run`; `replay` is its inner part, fed with a recording."""

from gateway.app.replay import Replay, Replayed, replay
from gateway.app.running import Running, Summary
from gateway.app.wiring import Options, run

__all__ = ["Options", "Replay", "Replayed", "Running", "Summary", "replay", "run"]
