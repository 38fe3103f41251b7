"""The verb `models`: what there is, fetching it, whether a file is a model that can be run, and how fast it is here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli import models_bench, models_fit
from gateway.errors import GatewayError, ModelError
from gateway.models import beside, cache_folder, data, draft, find, forget, manifest, pull, pull_data

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gateway.config.manifest import Manifest

EXAMPLE = "zhiwang models pull"
DEFAULT = "ssdlite-mobilenet-v2-coco"
ANSWER_IS_NO = 3


class Listed(msgspec.Struct, frozen=True):
    """One line of `models list`."""

    name: str
    kind: str
    title: str
    licence: str
    path: str | None


class Checked(msgspec.Struct, frozen=True):
    """What `models check` found; `problem` where the answer is no.

    For a file without a manifest: what was `seen` in it, and a `manifest` for it, as TOML.
    """

    model: str
    ok: bool
    problem: str | None = None
    family: str | None = None
    input: str | None = None
    labels: int | None = None
    sha256: str | None = None
    seen: str | None = None
    manifest: str | None = None


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models`."""
    verbs = parser.add_subparsers(dest="models_verb", metavar="list|pull|check|fit|bench", required=True)
    listing = verbs.add_parser("list", help="models and demo data: which there are, which are here")
    fetching = verbs.add_parser("pull", help="fetch models or demo data, verified; what is here already is left alone")
    fetching.add_argument("names", nargs="*", default=[DEFAULT], metavar="NAME", help=f"default: {DEFAULT}")
    fetching.add_argument("--force", action="store_true", help="fetch again what is here")
    checking = verbs.add_parser("check", help="whether a model can be run: its family, input and labels")
    checking.add_argument("model", metavar="FILE.onnx|NAME")
    shaping = verbs.add_parser(
        "fit", help="the same weights for pictures of your cameras' shape: no work on the margins"
    )
    models_fit.arguments(shaping)
    measuring = verbs.add_parser("bench", help="which engine, how many threads and which batch are best on this box")
    models_bench.arguments(measuring)
    for each in (listing, fetching, checking, shaping, measuring):
        each.add_argument("--json", action="store_true", help="one JSON object a line")
        each.add_argument("--cache", type=Path, default=None, metavar="FOLDER", help=f"default: {cache_folder()}")


def run(args: argparse.Namespace) -> int:
    """Run the verb; 3 where a check's answer is no."""
    if args.models_verb == "list":
        return _list(args.cache, as_json=args.json)
    if args.models_verb == "pull":
        return _pull(args.names, args.cache, as_json=args.json, force=args.force)
    if args.models_verb == "bench":
        return models_bench.run(args)
    if args.models_verb == "fit":
        return models_fit.run(args, known(args.model, args.cache)[0])
    return _check(args.model, args.cache, as_json=args.json)


def _list(cache: Path | None, *, as_json: bool) -> int:
    rows = [_listed(name, cache) for name in manifest.names()]
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return 0
    from rich.console import Console  # noqa: PLC0415 — `--json` and the other verbs do without it
    from rich.table import Table  # noqa: PLC0415 — as above

    table = Table("name", "kind", "what it is", "licence", "here", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, row.kind, row.title, row.licence, "yes" if row.path else "no")
    Console().print(table)
    return 0


def _listed(name: str, cache: Path | None) -> Listed:
    entry = manifest.read(name)
    is_model = isinstance(entry, manifest.Detector)
    try:
        path = find(name, cache=cache).path if is_model else data(name, cache=cache)
    except ModelError:
        path = None
    kind = entry.family if isinstance(entry, manifest.Detector) else "data"
    return Listed(name, kind, entry.title, entry.licence, None if path is None else str(path))


def _pull(names: list[str], cache: Path | None, *, as_json: bool, force: bool) -> int:
    entries = {name: manifest.read(name) for name in names}  # a wrong name is said before anything is fetched
    for name in entries:
        if force:
            forget(name, cache=cache)
        path = with_progress(name, cache, quiet=as_json)
        print(msgspec.json.encode(_listed(name, cache)).decode() if as_json else f"{name}: {path}")
    return 0


def with_progress(name: str, cache: Path | None, *, quiet: bool) -> Path | None:
    """Fetch a model or demo data unless it is here, telling how far it is; its path."""
    if quiet or not sys.stderr.isatty():
        return _fetch(name, cache, _say_nothing if quiet else _Lines())
    from rich.console import Console  # noqa: PLC0415 — only a terminal gets a bar
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415 — as above

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        return _fetch(
            name, cache, lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        )


def _fetch(name: str, cache: Path | None, progress: Callable[[str, int, int | None], None]) -> Path | None:
    if isinstance(manifest.read(name), manifest.DataSet):
        return pull_data(name, cache=cache, progress=progress)
    return pull(name, cache=cache, progress=progress).path


def _say_nothing(_what: str, _done: int, _total: int | None) -> None:
    """Progress for machines."""


class _Lines:
    """Progress where there is no terminal: one line a step, not one a block."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, what: str, _done: int, _total: int | None) -> None:
        if what != self._last:
            self._last = what
            print(f"{what} …", file=sys.stderr)


def known(model: str, cache: Path | None) -> tuple[Manifest, str | None]:
    """A model by its name or file; for a file without a manifest with what was seen in it.

    Raises ModelError where it is none, GatewayError where it cannot be known here.
    """
    try:
        from gateway.vision.detector import look_into  # noqa: PLC0415 — an extra: only these verbs need it
    except ImportError as error:
        raise GatewayError(f"checking a model needs {error.name}: pip install 'zhiwang[vision]'") from error
    own = find(model, cache=cache) if model in manifest.names() else beside(Path(model))
    return look_into(Path(model)) if own is None else (own, None)


def _check(model: str, cache: Path | None, *, as_json: bool) -> int:
    try:
        checked = _try(model, cache)
    except ModelError as error:
        checked = Checked(model=model, ok=False, problem=str(error))
    if as_json:
        print(msgspec.json.encode(checked).decode())
    elif checked.manifest:
        print(checked.manifest, end="")  # what was seen is written in it, as a comment
    elif checked.ok:
        print(f"{model}: family {checked.family}, input {checked.input}, {checked.labels} labels, {checked.sha256}")
    else:
        print(checked.problem, file=sys.stderr)
    return 0 if checked.ok else ANSWER_IS_NO


def _try(model: str, cache: Path | None) -> Checked:
    """Loads the model and runs it once. Raises ModelError where the answer is no, GatewayError where it cannot know."""
    wanted, seen = known(model, cache)
    from gateway.vision.detector import Detector  # noqa: PLC0415 — as above, which says what is missing

    engine = Detector(wanted).engine
    outputs = engine.infer(1)
    if not all(bool((output == output).all()) for output in outputs):  # noqa: PLR0124 — only NaN differs from itself
        raise ModelError(f"{model}: its outputs for a blank picture hold NaN: the file is damaged or no detector")
    taken = f"{wanted.width_px}×{wanted.height_px} {wanted.dtype} {wanted.layout} {wanted.colour}"
    return Checked(
        model=model,
        ok=True,
        family=wanted.family,
        input=taken,
        labels=sum(1 for label in wanted.labels if label),
        sha256=wanted.sha256,
        seen=seen,
        manifest=seen and draft(wanted, f"{model}: family {wanted.family}, input {taken}; {seen}."),
    )
