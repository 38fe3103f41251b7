"""Which family a model without a manifest is of, and what its labels are: from its outputs and its exporter's notes."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from gateway.config.families import FAMILIES
from gateway.errors import ModelError
from gateway.vision.coco import COCO80, COCO90
from gateway.vision.heads import HEADS
from gateway.vision.outputs import Head, Signature, listed, written

_COCO = {len(COCO80): COCO80, len(COCO90): COCO90}


class Recognised(NamedTuple):
    """A family, the form of its outputs, the input's size, and how many classes the outputs have (None: not said)."""

    head: Head
    form: str
    width_px: int
    height_px: int
    classes: int | None


def recognise(signature: Signature) -> Recognised:
    """The family that these inputs and outputs belong to. Raises ModelError saying what was found and what is known."""
    _refuse_other_tasks(signature)
    found = [known for head in HEADS.values() if (known := _as(head, signature)) is not None]
    described = [known for known in found if known.head.name in signature.described]
    found = described or found
    if len({known.form for known in found}) > 1:
        usual = {*_COCO, len(names_in(signature))}
        found = [known for known in found if known.classes in usual] or found
    if len({known.form for known in found}) == 1:
        return found[0]  # families of one form are read alike
    seen = f"found outputs {listed(signature.outputs)} for the input {_input(signature)}"
    if not found:
        known = "; ".join(f"{head.name}: {head.expects}" for head in HEADS.values())
        raise ModelError(f"{seen}, which no known family has ({known}): use a model of one of these")
    could = " or ".join(
        f"{known.head.name} with {'any number of' if known.classes is None else known.classes} classes"
        for known in found
    )
    raise ModelError(f"{seen}, which could be {could}: name its family in a manifest beside it, as FILE.toml")


def _as(head: Head, signature: Signature) -> Recognised | None:
    """The model as one of this family's, or None where it is none."""
    shape, usual = signature.input_shape, FAMILIES[head.name].side_px
    height, width = shape[2:] if shape[1] == 3 else shape[1:3]
    told = _told_size(signature)
    width_px, height_px = width or told[0] or usual, height or told[1] or usual
    form = head.form(signature, width_px, height_px)
    return Recognised(head, form, width_px, height_px, head.labels(signature.output_shapes)) if form else None


def _told_size(signature: Signature) -> tuple[int | None, int | None]:
    """(width, height) as Ultralytics notes them, `imgsz` = [height, width]."""
    sides = [int(side) for side in re.findall(r"\d+", signature.notes.get("imgsz", ""))]
    return (sides[1], sides[0]) if len(sides) == 2 and all(sides) else (None, None)


def _refuse_other_tasks(signature: Signature) -> None:
    task = signature.notes.get("task", "detect")
    if task != "detect":
        raise ModelError(f"found a model made for the task {task!r} (its own notes say so); expected a detector")


def names_in(signature: Signature) -> tuple[str, ...]:
    """The labels that Ultralytics notes in a model, a dict of index to name; none where it is not that."""
    try:
        noted = ast.literal_eval(signature.notes.get("names", "{}"))
    except (ValueError, SyntaxError):
        return ()
    if not isinstance(noted, dict) or set(noted) != set(range(len(noted))):
        return ()
    return tuple(str(noted[index]) for index in range(len(noted)))


def labels_of(known: Recognised, signature: Signature) -> tuple[tuple[str, ...], str]:
    """A model's labels and where they are from. Raises ModelError where nobody knows them."""
    noted = names_in(signature)
    if noted and known.classes in (None, len(noted)):
        return noted, "the model's own notes"
    if known.classes is None:
        return COCO80, "COCO's, assumed: the outputs do not say how many classes there are"
    if known.classes not in _COCO:
        raise ModelError(
            f"found outputs {listed(signature.outputs)}, of the family {known.head.name} with {known.classes} classes; "
            "without a manifest beside it or names in the model only COCO's 80 or 90 classes have names"
        )
    return _COCO[known.classes], "COCO's"


def _input(signature: Signature) -> str:
    return f"{signature.input_name} {signature.input_dtype} {written(signature.input_shape)}"
