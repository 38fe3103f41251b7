"""`--reinfer`: the detector again on recorded video, with the recorded model or another.

Only looks that were analysed live are looked at again, each on its own frame (same event time), so that what differs
comes from the model alone. Where the video does not have the frame, the recorded detections stay, and how many is said.
The same engine on the same kind of CPU gives the same detections, and no more is promised (SEMANTICS.md §5).
Recorded video is not blurred; the default is that none is recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway import models
from gateway.config.load import loads
from gateway.errors import ConfigError, ModelError, RecordingError
from gateway.events import Cut, Detections
from gateway.recording import video
from gateway.recording.parts import Begin, ModelNote, Part
from gateway.registry import registry

try:
    from gateway.vision import tiles
    from gateway.vision.annexb import Coded, decode
    from gateway.vision.detector import Detector, manifest_of
except ImportError as error:
    raise ModelError(f"--reinfer needs {error.name}: pip install 'zhiwang[vision]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.events import Input
    from gateway.language import Language
    from gateway.recording.parts import About, Piece
    from gateway.recording.reader import Recording
    from gateway.vision.annexb import Shown

MOST = 200  # inputs a cut: a look takes a detector 10 to 100 ms, and a progress bar should move
LEAD_NS = 60 * 10**9  # video is read from so long before the first look: some cameras' key frames are as far apart
SLACK_NS = 10**9  # a frame is not from a time much later than its look was admitted: the clock was set


class Coverage(msgspec.Struct):
    """How many looks of a camera there were, and how many were looked at again."""

    looks: int = 0
    again: int = 0


class Reinferred:
    """Pieces of a recording, to be taken once, in which detections are those of the detector now.

    `coverage` by camera grows while they are taken.
    """

    def __init__(self, pieces: Iterator[Piece], seers: Mapping[str, _Seer], chosen: _Models) -> None:
        self._pieces = pieces
        self._seers = seers
        self._models = chosen
        self.coverage: dict[str, Coverage] = {}

    def __iter__(self) -> Iterator[Piece]:
        """The pieces. Raises ModelError where a model cannot be had or fails."""
        translated: dict[str, NDArray[np.int16]] = {}
        for piece in self._pieces:
            if isinstance(piece, Begin):
                about = piece.about
                for camera, aim in _aims(about).items():
                    if camera in self._seers:
                        self._seers[camera].aim = aim
                noted = tuple(self._models.note(one) if one.camera in self._seers else one for one in about.models)
                translated = _translated(about.models, noted)
                yield piece._replace(about=msgspec.structs.replace(about, models=noted))
            elif isinstance(piece, Part) and Detections in set(map(type, piece.cut.inputs)):
                yield piece._replace(cut=self._again(piece.cut, translated))
            else:
                yield piece

    def words(self, language: Language = "en") -> str:
        """How much of what was looked at was looked at again, for people: `looked again: gate 3 of 14 looks (21 %)`."""
        parts: list[str] = []
        for camera, one in sorted(self.coverage.items()):
            share = 100 * one.again // one.looks
            zh, en = f"{one.looks} 次中 {one.again} 次({share} %)", f"{one.again} of {one.looks} looks ({share} %)"
            parts.append(f"{camera} {zh if language == 'zh' else en}")
        if language == "zh":
            return f"重新检测:{';'.join(parts) or '没有可检测的画面'}"
        return f"looked again: {'; '.join(parts) or 'no camera looked at anything'}"

    def _again(self, cut: Cut, translated: Mapping[str, NDArray[np.int16]]) -> Cut:
        inputs: list[Input] = []
        for one, admitted_ns in zip(cut.inputs, cut.admitted_ns.tolist(), strict=True):
            if not isinstance(one, Detections):
                inputs.append(one)
                continue
            covered = self.coverage.setdefault(one.camera, Coverage())
            covered.looks += 1
            seer = self._seers.get(one.camera)
            now = seer.look(one, admitted_ns, self._models) if seer else None
            covered.again += now is not None
            inputs.append(now or _kept(one, translated))
        return Cut(cut.n0, inputs, cut.admitted_ns, cut.elapsed_ns)


def reinferred(
    recording: Recording,
    model: str | None = None,
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    most: int = MOST,
) -> Reinferred:
    """A recording's pieces, as Recording.pieces gives them, with detections made again.

    model: a manifest's name or an .onnx file; None: each camera's own. Raises RecordingError where no camera has video,
    ModelError where a model is not here or is another than the recorded one.
    """
    abouts = [file.about for file in recording.files]
    cameras = sorted({note.camera for about in abouts for note in about.models})
    if not cameras:
        raise RecordingError("the recording has no camera whose pictures were looked at; there is nothing to reinfer")
    seers = {camera: _Seer(recording, camera, to_ns) for camera in cameras if _has_video(recording, camera)}
    if not seers:
        raise RecordingError(
            f"the recording has no video of {', '.join(cameras)}, and --reinfer looks at video; to have it next time, "
            "set recording: {video: always} (or alerts: the seconds around them); video is not blurred, so keep it well"
        )
    chosen = _Models(model)
    for about in abouts:
        for note in about.models:
            if note.camera in seers:
                chosen.note(note)  # a model that is not here is said before anything is played
    return Reinferred(recording.pieces(from_ns, to_ns, most=most), seers, chosen)


def _aims(about: About) -> dict[str, tiles.Aim]:
    """What of each camera's picture was looked at, as it was configured then."""
    try:
        cameras = loads(about.config, Path(), registry(), name="recorded.yaml").cameras
    except ConfigError:
        return {}  # of another release, or none: who plays it says so
    return {name: tiles.Aim.of(camera) for name, camera in cameras.items()}


def _has_video(recording: Recording, camera: str) -> bool:
    return next(recording.messages(video.topic(camera)), None) is not None


class _Key(NamedTuple):
    """Which model."""

    name: str
    sha256: str


class _Models:
    """Which model looks at what: the one that was asked for, else each camera's own."""

    def __init__(self, asked: str | None) -> None:
        self._asked = None if asked is None else self._of_name(asked)
        self._own: dict[_Key, Manifest] = {}
        self._detectors: dict[_Key, Detector] = {}
        self._of_camera: dict[str, Manifest] = {}

    def note(self, was: ModelNote) -> ModelNote:
        """What a camera's detections come from now, from here on. Labels that it does not know stay known behind its
        own, as kept detections may have them.
        """  # noqa: D205 - one thought
        manifest = self._of_camera[was.camera] = self._asked or self._recorded(was)
        labels = manifest.labels + tuple(label for label in was.labels if label and label not in manifest.labels)
        return ModelNote(was.camera, manifest.name, manifest.sha256, labels, manifest.score)

    def detector(self, camera: str) -> Detector:
        """The detector of a camera, loaded when it is first needed."""
        manifest = self._of_camera[camera]
        key = _Key(manifest.name, manifest.sha256)
        if key not in self._detectors:
            self._detectors[key] = Detector(manifest)
        return self._detectors[key]

    def _recorded(self, was: ModelNote) -> Manifest:
        key = _Key(was.model, was.sha256)
        if key not in self._own:
            try:
                found = models.find(was.model)
            except ModelError as error:
                raise ModelError(
                    f"camera {was.camera} was recorded with the model {was.model} (sha256 {was.sha256[:12]}…), which "
                    f"cannot be had: {error}; or say which to take: --reinfer NAME or --reinfer FILE.onnx"
                ) from error
            if found.sha256 != was.sha256:
                raise ModelError(
                    f"camera {was.camera} was recorded with {was.model} of sha256 {was.sha256[:12]}…, and found is one "
                    f"of {found.sha256[:12]}…: to take that all the same, --reinfer {was.model}"
                )
            self._own[key] = found
        return self._own[key]

    def _of_name(self, name: str) -> Manifest:
        if not name.endswith(".onnx"):
            return models.find(name)
        path = Path(name).expanduser()
        return models.beside(path) or manifest_of(path)


class _Seer:
    """One camera's recorded frames, in order."""

    def __init__(self, recording: Recording, camera: str, to_ns: int | None) -> None:
        self._recording = recording
        self._camera = camera
        self._to_ns = to_ns
        self.aim = tiles.EVERYTHING
        self._frames: Iterator[Shown] | None = None
        self._next: Shown | None = None

    def look(self, was: Detections, admitted_ns: int, chosen: _Models) -> Detections | None:
        """What is found in the frame of a look; None where the video does not have it."""
        shown = self._frame(was.event_ns, admitted_ns)
        if shown is None:
            return None
        frame = shown.frame
        [found] = tiles.look(chosen.detector(self._camera), [frame], [self.aim])
        return Detections(was.camera, was.frame, was.event_ns, frame.width, frame.height, *found)

    def _frame(self, event_ns: int, admitted_ns: int) -> Shown | None:
        if self._frames is None:
            self._frames = decode(self._pictures(admitted_ns - LEAD_NS))
            self._next = next(self._frames, None)
        shown = self._next
        while shown is not None and shown.event_ns < event_ns and shown.log_ns <= admitted_ns + SLACK_NS:
            shown = self._next = next(self._frames, None)
        return shown if shown is not None and shown.event_ns == event_ns else None

    def _pictures(self, from_ns: int) -> Iterator[Coded]:
        to_ns = None if self._to_ns is None else self._to_ns + SLACK_NS
        for log_ns, message in self._recording.messages(video.topic(self._camera), max(0, from_ns), to_ns):
            try:
                yield Coded(*video.decode(message), log_ns)
            except ValueError:
                continue  # of a newer version, or damaged: its frame is not covered


def _translated(was: tuple[ModelNote, ...], now: tuple[ModelNote, ...]) -> dict[str, NDArray[np.int16]]:
    """For each camera whose labels changed: the new index of each old one."""
    tables: dict[str, NDArray[np.int16]] = {}
    for old, new in zip(was, now, strict=True):
        if old.labels != new.labels:
            places = {label: place for place, label in enumerate(new.labels) if label}
            tables[old.camera] = np.array([places.get(label, -1) for label in old.labels], np.int16)
    return tables


def _kept(was: Detections, translated: Mapping[str, NDArray[np.int16]]) -> Detections:
    """Recorded detections with the labels' indices of now; unused ones are left out."""
    table = translated.get(was.camera)
    if table is None:
        return was
    label = table[was.label]
    known = label >= 0
    return msgspec.structs.replace(was, xyxy=was.xyxy[known], score=was.score[known], label=label[known])
