"""What went wrong, out of the groups that tasks raise it in."""

from __future__ import annotations

from typing import TypeVar, cast

E = TypeVar("E", bound=Exception)


def leaves(group: ExceptionGroup[E]) -> list[E]:
    """The exceptions of a group and of the groups in it, in order."""
    found: list[E] = []
    for one in group.exceptions:
        found += leaves(cast("ExceptionGroup[E]", one)) if isinstance(one, ExceptionGroup) else [one]
    return found
