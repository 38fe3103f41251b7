"""Video files as what a camera's detector would have found: Detections and Looked, by `zhiwang detect`'s own way.

When a file was begun: `--start` (further files follow one another), else a time in its name (`…20260814_021400…`, in
the gateway's zone), else what its container says, else its last change less its length.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from gateway.codecs.times import one_ns
from gateway.errors import CameraError, GatewayError
from gateway.events import Detections
from gateway.exchange.given import Beside, Given
from gateway.recording import video

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from gateway.config.manifest import Manifest
    from gateway.config.model import Camera
    from gateway.events import Input
    from gateway.exchange.given import Findings
    from gateway.vision.coverage import Coverage
    from gateway.vision.film import Film
    from gateway.vision.offline import Looked

NS = 1_000_000_000
SUFFIXES = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".ts", ".m4v", ".webm", ".mpg", ".mpeg", ".h264", ".flv"}
)  # as vision.offline has them, which loads OpenCV
FRAME = "a frame that can be decoded is expected"
_IN_NAME = re.compile(r"(20\d\d)[-_]?([01]\d)[-_]?([0-3]\d)[-_T ]?([0-2]\d)[-_h]?([0-5]\d)[-_m]?([0-5]\d)")


class _File(NamedTuple):
    path: Path
    begun_ns: int
    film: Film


class Videos:
    """Fulfils given.Importer for one camera's files.

    start_ns: when the first of them was begun. every: looks at each so-manieth frame; None: as many a second as the
    camera's `rate:` asks for. keep: have the video itself in the recording, too.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        manifest: Manifest,
        paths: Iterable[Path],
        findings: Findings,
        *,
        zone: tzinfo,
        start_ns: int | None = None,
        every: int | None = None,
        threads: int = 1,
        keep: bool = False,
    ) -> None:
        self.name = f"camera {name}"
        self._camera_name = name
        self._camera = camera
        self._manifest = manifest
        self._findings = findings
        self._zone = zone
        self._every = every
        self._threads = threads
        self._keep = keep
        self._taken: list[tuple[_File, int]] = []
        self._share = 0.0
        self._files = self._dated(list(paths), start_ns)

    def done(self) -> float:
        """The share of the files that was looked at."""
        return self._share

    def inputs(self) -> Generator[Given]:
        """Coverage and detections, by the times of the frames. Raises ModelError where the model fails."""
        from gateway.vision.coverage import Coverage  # noqa: PLC0415 - OpenCV and onnxruntime load only when needed

        if not self._files:
            return
        bound_ns = max(2 * round(NS / self._camera.rate), NS)  # as vision.board has it
        coverage = Coverage(self._camera_name, bound_ns, self._files[0].begun_ns)
        last_ns, frames = -1, 0
        for place, file in enumerate(self._files):
            begun_ns = max(file.begun_ns, last_ns + 1)
            if begun_ns != file.begun_ns:
                self._findings.note(
                    f"{file.path}: begins before the one in front of it ends: it was taken to follow it"
                )
            self._taken.append((file, begun_ns))
            for look in self._looks(file):
                event_ns = begun_ns + round(look.time_s * NS)
                if event_ns <= last_ns:
                    continue
                for one in self._inputs(coverage, look, event_ns, frames):
                    yield Given(event_ns, one)
                last_ns = event_ns
                share = look.time_s * NS / file.film.length_ns if file.film.length_ns else 0.0
                self._share = (place + min(1.0, share)) / len(self._files)
            frames += round((file.film.rate or 25) * file.film.length_ns / NS)
        self._share = 1.0

    def beside(self) -> Iterator[Beside]:
        """The video of the files that were looked at, where it is to be kept."""
        if not self._keep:
            return
        from gateway.vision.film import packets  # noqa: PLC0415 - as above

        channel, log_ns = video.channel(self._camera_name), 0
        while self._taken:
            file, begun_ns = self._taken.pop(0)
            if file.film.codec is None:
                self._findings.note(f"{file.path}: kept as H.264, coded anew: --reinfer may find other boxes in it")
            try:
                for coded in packets(file.path):
                    picture = video.Picture(begun_ns + coded.event_ns, coded.codec, coded.data)
                    log_ns = max(log_ns, picture.event_ns)  # frames are coded out of order, and logged in order
                    yield Beside(channel, log_ns, video.encode(self._camera_name, picture))
            except CameraError as error:
                self._findings.note(f"{error!s}: it was looked at, but is not kept")

    def _inputs(self, coverage: Coverage, look: Looked, event_ns: int, frames: int) -> Sequence[Input]:
        counts = self._findings.counts
        counts["looks"] += 1
        counts["boxes"] += len(look.found.score)
        size = look.width_px, look.height_px
        found = Detections(self._camera_name, frames + look.frame, event_ns, *size, *look.found)
        return [*coverage.frame(event_ns), *coverage.look(event_ns), found]

    def _looks(self, file: _File) -> Iterator[Looked]:
        from gateway.vision.offline import Bad, look, read  # noqa: PLC0415 - as above

        rate = file.film.rate or 25.0
        every = self._every or max(1, math.floor(rate / self._camera.rate + 0.25))
        for one in look(read([file.path], every), self._manifest, self._threads):
            if isinstance(one, Bad):
                self._findings.bad(str(one.path), one.reason, FRAME)
            else:
                yield one

    def _dated(self, paths: list[Path], start_ns: int | None) -> list[_File]:
        """The files that can be opened, with when they were begun, in that order."""
        from gateway.vision.film import film  # noqa: PLC0415 - as above

        files: list[_File] = []
        for path in paths:
            try:
                told = film(path)
            except CameraError as error:
                self._findings.bad(str(path), str(error).removeprefix(f"{path}: "), "a video file is expected")
                continue
            if start_ns is not None:
                files.append(_File(path, start_ns, told))
                start_ns += told.length_ns
            else:
                files.append(_File(path, self._begun(path, told), told))
        if not files:
            raise GatewayError(f"{self.name}: no file can be opened as video; the first: {self._findings.lines()[-1]}")
        return sorted(files, key=lambda file: file.begun_ns)

    def _begun(self, path: Path, told: Film) -> int:
        named = _IN_NAME.search(path.stem)
        if named:
            year, month, day, hour, minute, second = named.groups()
            try:
                at_ns = one_ns(f"{year}-{month}-{day}T{hour}:{minute}:{second}", self._zone)
            except ValueError:
                pass
            else:
                self._findings.note(f"{path}: begun at {named[0]}, by its name (else: --start)")
                return at_ns
        if told.created_ns is not None:
            self._findings.note(f"{path}: begun when its container says (else: --start)")
            return told.created_ns
        self._findings.note(f"{path}: begun its length before its last change (else: --start)")
        return path.stat().st_mtime_ns - told.length_ns
