"""The zones and lines of a gateway's cameras in its configuration's files, for the page that shows and changes them."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.drawn import draw, drawn
from gateway.config.files import LOCAL
from gateway.config.findings import dotted
from gateway.errors import ConfigError
from gateway.ports import Drawing, Refused

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.findings import Finding
    from gateway.config.kinds import Registry

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
MAKE_A_LINK = ". Make it a link to a file in the state folder, as docs/operators.md says"


class Pen(NamedTuple):
    """Reads a configuration's files, and writes the local.yaml beside them; never the file itself."""

    path: Path
    registry: Registry

    async def read(self, camera: str) -> Drawing | None:
        """What the files say now, which may be newer than what runs; None where they have errors."""
        try:
            zones, lines = await asyncio.to_thread(drawn, self.path, self.registry, camera)
        except ConfigError:
            return None
        return Drawing(dict(zones), dict(lines))

    async def draw(self, camera: str, was: Drawing, now: Drawing) -> list[Refused]:
        """Write it, or say what is wrong: then nothing is written."""
        before, after = (was.zones, was.lines), (now.zones, now.lines)
        try:
            found = await asyncio.to_thread(draw, self.path, self.registry, camera, before, after)
        except ConfigError as error:
            return [Refused("", "", str(error))]
        except OSError as error:
            where = self.path.parent / LOCAL
            said = f"{where} cannot be written: {error.strerror or error}; nothing was changed"
            return [Refused("", "", said + (MAKE_A_LINK if error.errno in FORBIDDEN else ""))]
        return [_refused(one, camera) for one in found]


def _refused(finding: Finding, camera: str) -> Refused:
    """A finding as it is shown beside what was drawn."""
    whole = dotted(finding.path)
    head, _, rest = whole.partition(f"cameras.{camera}.")
    kind, _, name = rest.partition(".")
    if not head and kind in {"zones", "lines"}:
        return Refused(kind, name.partition(".")[0].partition("[")[0], finding.problem)
    return Refused("", "", f"{whole}: {finding.problem}" if whole else finding.problem)
