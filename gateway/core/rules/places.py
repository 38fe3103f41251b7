"""What the rules that judge looks say of where and of whom: labels, a zone or line of a camera, levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.names import listed
from gateway.core.rules.threshold import ordered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.events import Colour


def indices(labels: tuple[str, ...], known: tuple[str, ...]) -> NDArray[np.int16]:
    """The places of labels among those that the model knows."""
    return np.array([place for place, label in enumerate(known) if label in labels], np.int16)


def labels_of(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """One label or several."""
    return (given,) if isinstance(given, str) else given


def check_labels(names: Names, key: str, where: str, given: str | tuple[str, ...]) -> Problems:
    """What is wrong with the labels of a rule at a zone or line."""
    camera, _ = names.placed(where)
    return [problem for label in labels_of(given) for problem in names.label(key, camera, label)]


def check_place(names: Names, where: str) -> Problems:
    """What is wrong with a zone, or a camera for all its picture, under `in`."""
    return [] if where in names.cameras else names.zone("in", where)


def check_levels(levels: Mapping[Colour, float], least: float, example: str) -> Problems:
    """At least one level, in order, none below the least."""
    if not levels:
        return [("levels", f"give at least one, such as levels: {{{example}}}")]
    low = [(f"levels.{c}", f"found {n:g}; at least {least:g}") for c, n in levels.items() if n < least]
    if low:
        return low

    return ordered("levels", levels, 1)


def unknown(wanted: tuple[str, ...], known: tuple[str, ...]) -> dict[str, str]:
    """What a camera's model does not tell apart can be neither counted nor followed: a rule's flaw, in words."""
    wrong = [label for label in wanted if label not in known]
    return {"labels": f"{', '.join(wrong)}; it knows {listed(filter(None, known))}"} if wrong else {}
