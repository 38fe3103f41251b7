"""What the box says of itself, read from the kernel: None where it does not."""

from __future__ import annotations

import contextlib
from pathlib import Path

DAY_S = 86_400
SETTLED_S = 600  # before it, what a start writes would be taken for a habit


def written_a_day(uptime_s: float, proc: Path = Path("/proc/self/io")) -> int | None:
    """Bytes that this process writes to its disk in a day, by what it wrote since its start; after 10 minutes."""
    if uptime_s < SETTLED_S:
        return None
    with contextlib.suppress(OSError, ValueError):
        fields = dict(line.split(": ") for line in proc.read_text(encoding="ascii").splitlines())
        return round(int(fields.get("write_bytes", "0")) / uptime_s * DAY_S)
    return None


def cpu_temperature_c(zones: Path = Path("/sys/class/thermal")) -> float | None:
    """The hottest thermal zone, in °C."""
    found: list[float] = []
    for zone in zones.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):  # a zone that is switched off answers with an error
            found.append(int(zone.read_text(encoding="ascii")) / 1000)
    return max(found, default=None)
