"""The language of whoever sits at the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["zh", "en"]


def of_environment(environ: Mapping[str, str] = os.environ) -> Language:
    """By the locale's variables in their order of precedence (POSIX.1-2017 §8.2)."""
    named = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "zh" if named.lower().startswith("zh") else "en"
