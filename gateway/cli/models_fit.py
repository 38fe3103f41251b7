"""`models fit`: the same weights for pictures of the cameras' shape."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.models import draft
from gateway.models.cache import sha256_of
from gateway.models.fit import Size, fit, fitting
from gateway.whole import written_whole

if TYPE_CHECKING:
    from gateway.config.manifest import Manifest

NOTHING_TO_SAVE = 3


class Fitted(msgspec.Struct, frozen=True):
    """What was made; `less`: the share of the pixels that need not be computed any more."""

    path: str
    width_px: int
    height_px: int
    less: float


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models fit`."""
    parser.add_argument("model", metavar="FILE.onnx|NAME")
    parser.add_argument("--picture", type=_size, required=True, metavar="WxH", help="the cameras' pictures: 1920x1080")
    parser.add_argument("-o", "--out", type=Path, default=None, metavar="FILE.onnx", help="default: MODEL-WxH.onnx")


def run(args: argparse.Namespace, model: Manifest) -> int:
    """Write the fitted model, once it has looked at a picture, and its manifest; 3 where there is nothing to save."""
    picture: Size = args.picture
    size = fitting(model, picture)
    if size == (model.width_px, model.height_px):
        said = f"its input, {_times(size)}, is the smallest for pictures of {_times(picture)} already"
        print(f"{args.model}: {said}", file=sys.stderr)
        return NOTHING_TO_SAVE
    out: Path = args.out or Path(f"{model.name}-{size.width}x{size.height}.onnx")
    with written_whole(out) as part:
        part.write_bytes(fit(model, size))
        fitted = _looked(model, part, size)
    kept = msgspec.structs.replace(fitted, name=out.stem, path=out)
    seen = f"{model.name} for pictures of {_times(picture)}: its own input is {model.width_px}×{model.height_px}."
    with written_whole(out.with_suffix(".toml")) as part:
        part.write_text(draft(kept, seen), encoding="utf-8")
    less = 1 - size.width * size.height / (model.width_px * model.height_px)
    if args.json:
        print(msgspec.json.encode(Fitted(str(out), size.width, size.height, round(less, 3))).decode())
    else:
        print(f"{out}: input {_times(size)}, {less:.0%} less to compute. In the configuration: `model: {out}`")
    return 0


def _looked(model: Manifest, path: Path, size: Size) -> Manifest:
    """The fitted model, after it has looked at a blank picture. Raises ModelError where it cannot."""
    from gateway.vision.detector import Detector  # noqa: PLC0415 - an extra, which `known` has looked for

    fitted = msgspec.structs.replace(
        model, path=path, width_px=size.width, height_px=size.height, sha256=sha256_of(path)
    )
    Detector(fitted).engine.infer(1)
    return fitted


def _times(size: Size) -> str:
    return f"{size.width}×{size.height}"


def _size(text: str) -> Size:
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isdecimal() and 0 < int(side) <= 1 << 15 for side in sides):
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a width and a height in px, like 1920x1080")
    return Size(int(sides[0]), int(sides[1]))
