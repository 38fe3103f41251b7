"""Which configuration a stretch of a recording is played with: its own, or the one that was asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.load import load, loads, text_of
from gateway.errors import ConfigError, RecordingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.kinds import Registry
    from gateway.config.model import Config
    from gateway.recording.parts import About


class Chosen(NamedTuple):
    """A configuration and its text; `other`: it is not the one that the gateway ran with then."""

    config: Config
    text: str
    other: bool


class Configurations:
    """Decodes each configuration once. Raises ConfigError for the one that was asked for, at once."""

    def __init__(self, registry: Registry, path: Path | None, overlay: Mapping[str, str]) -> None:
        """`overlay`: dotted path → YAML text, over the file at `path`, else over what each recording has."""
        self._registry = registry
        self._overlay = overlay
        self._known: dict[str, Config] = {}
        self._asked = None if path is None else self._of_file(path)

    def of(self, about: About) -> Chosen:
        """What holds for a file. Raises RecordingError where its own is wanted and cannot be used."""
        if self._asked is not None:
            config, text = self._asked
            return Chosen(config, text, config.sha != about.config_sha)
        if not about.config:
            raise RecordingError(f"the recording of {about.gateway} holds no configuration: give one with --config")
        if about.config_sha not in self._known:
            self._known[about.config_sha] = self._recorded(about)
        config = self._known[about.config_sha]
        return Chosen(config, about.config, bool(self._overlay))

    def _recorded(self, about: About) -> Config:
        try:
            if not self._overlay:
                return loads(about.config, Path(), self._registry, name="recorded.yaml")
            with tempfile.TemporaryDirectory(prefix="zhiwang-") as folder:
                path = Path(folder, "recorded.yaml")
                path.write_text(about.config, encoding="utf-8")
                return load(path, self._registry, overlay=self._written(Path(folder)))
        except ConfigError as error:
            said = "\n  ".join(error.findings)
            raise RecordingError(
                f"the configuration that {about.gateway} was recorded with (by zhiwang {about.version}) cannot be used "
                f"by this one; give a mended one with --config:\n  {said}"
            ) from error

    def _of_file(self, path: Path) -> tuple[Config, str]:
        if not self._overlay:
            return load(path, self._registry), text_of(path)
        with tempfile.TemporaryDirectory(prefix="zhiwang-") as folder:
            over = self._written(Path(folder))
            return load(path, self._registry, overlay=over), text_of(path, overlay=over)

    def _written(self, folder: Path) -> Path:
        path = folder / "overlay.yaml"
        path.write_text(overlay_text(self._overlay), encoding="utf-8")
        return path


def overlay_text(overlay: Mapping[str, str]) -> str:
    """An overlay as a file of its own: nested maps, the values as they were written."""
    return "".join(_lines({tuple(path.split(".")): value for path, value in overlay.items()}, ""))


def _lines(values: dict[tuple[str, ...], str], indent: str) -> list[str]:
    """The lines of the values below one map, by what is left of their paths."""
    lines: list[str] = []
    for key in dict.fromkeys(path[0] for path in values):
        own = {path[1:]: value for path, value in values.items() if path[0] == key}
        if () in own:
            lines.append(f"{indent}{key}: {own.pop(())}\n")
        if own:
            lines += [f"{indent}{key}:\n", *_lines(own, indent + "  ")]
    return lines
