"""The only wiring: live, demo, replay and tests call the same `run`."""

from gateway.app.running import Running, Summary
from gateway.app.wiring import Options, run

__all__ = ["Options", "Running", "Summary", "run"]
