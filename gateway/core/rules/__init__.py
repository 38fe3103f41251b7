"""The rule kinds: one file each. `MAKE` makes a rule of the core from its configuration."""

from __future__ import annotations
