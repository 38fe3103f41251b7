"""Waiting for a condition."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], object]) -> None:
    """Come back when the condition holds; pytest's own timeout ends a test whose never does."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in other threads and processes
        await asyncio.sleep(0.001)
