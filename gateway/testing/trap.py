"""Notices who reads a clock, draws a random number or opens a file while a core is stepped."""

from __future__ import annotations

import contextlib
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

CLOCKS = frozenset(
    f"{name}{ns}" for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time") for ns in ("", "_ns")
) | {"localtime", "gmtime", "ctime", "sleep"}
NOW = frozenset({"now", "utcnow", "today"})
LIBRARY = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


class Caught(NamedTuple):
    """What was called, in words, and where: `rules.py:31`."""

    what: str
    where: str


@contextlib.contextmanager
def watched() -> Generator[list[Caught]]:
    """What is called in the meantime, in this thread, that a pure rule never calls."""
    caught: list[Caught] = []

    def called(frame: FrameType, event: str, function: Callable[..., object]) -> None:
        if event == "c_call" and (what := _forbidden(function)) and (where := _where(frame)):
            caught.append(Caught(what, where))

    before: object = sys.getprofile()
    if before is not None and not callable(before):  # cProfile, which could not be set again: measured, not watched
        yield caught
        return
    sys.setprofile(called)
    try:
        yield caught
    finally:
        sys.setprofile(before)  # pyright: ignore[reportArgumentType] - what it was


def _forbidden(function: Callable[..., object]) -> str:
    """What it is, in words; empty where a rule may call it."""
    name = getattr(function, "__name__", "")
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or getattr(owner, "__name__", "")
    if module == "time" and name in CLOCKS:
        return f"reads the clock (time.{name})"
    if isinstance(owner, type) and owner.__module__ == "datetime" and name in NOW:
        return f"reads the clock ({owner.__name__}.{name})"
    if type(owner).__module__ in {"random", "_random"} or (module in {"posix", "nt"} and name == "urandom"):
        return f"draws a random number ({name})"
    if module in {"io", "_io"} and name == "open":
        return "opens a file"
    if type(owner).__module__ in {"socket", "_socket"}:
        return f"uses the network (socket.{name})"
    return ""


def _where(frame: FrameType | None) -> str:
    """The nearest line that is not the standard library's; empty where it is only logged."""
    found = ""
    while frame is not None:
        path = frame.f_code.co_filename
        library = path.startswith((*LIBRARY, "<frozen ")) and "site-packages" not in path
        if library and (Path(path).parent.name == "logging" or Path(path).stem in {"traceback", "linecache"}):
            return ""
        if not library and not found:
            found = f"{Path(path).name}:{frame.f_lineno}"
        frame = frame.f_back
    return found
