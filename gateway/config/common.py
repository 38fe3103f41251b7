"""What every configuration struct is made of, and secrets by reference."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec


class Struct(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=lambda name: name.rstrip("_")
):
    """The settings that every configuration struct shares: frozen, no unknown keys, `for_` is spelled `for`."""


class Secret(Struct, frozen=True):
    """A secret by reference: exactly one of a file, an environment variable or a systemd credential. Never inline."""

    file: str | None = None
    env: str | None = None
    credential: str | None = None

    def read(self, base: Path) -> str:
        """The secret itself, without its trailing newline. `base`: the folder that relative files start from.

        Raises OSError when the file is not readable, KeyError when the variable is not set.
        """
        if self.env is not None:
            return os.environ[self.env]
        if self.credential is not None:
            path = Path(os.environ["CREDENTIALS_DIRECTORY"], self.credential)
        else:
            path = base / (self.file or "")
        try:
            return path.read_text(encoding="utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise OSError(errno.EILSEQ, f"it is not UTF-8 text (byte {error.start})", str(path)) from None
