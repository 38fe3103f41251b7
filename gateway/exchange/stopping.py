"""Ctrl-C as a question that long work asks itself: what was written until then is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType


@contextlib.contextmanager
def asked_to_stop() -> Generator[Callable[[], bool]]:
    """Whether SIGINT came. A second one ends the program at once, as ever."""
    asked = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked  # only the main thread may handle signals
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and callable(before):
            before(number, frame)
        asked = True

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
