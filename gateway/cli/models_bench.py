"""`zhiwang models bench`: engine × threads × batch on this box, and the best into local.yaml where that is asked."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.words import told
from gateway.config.local import write_local
from gateway.config.model import DEFAULT_MODEL
from gateway.errors import GatewayError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Sequence

    from gateway.config.manifest import Manifest
    from gateway.vision.engine_bench import Absent, Result, Setting

BF16 = "bf16 rounds: on 64 pictures of COCO 0 to 0.7 points of mAP less; --precision f32 leaves it out"


class Row(msgspec.Struct, frozen=True):
    """One setting of one model, as `--json` prints it."""

    model: str
    engine: str
    precision: str
    threads: int
    batch: int
    images_s: float
    p50_ms: float
    p95_ms: float
    cpu_s_1000: float
    most: bool
    soonest: bool


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `models bench`."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="names or .onnx files; default: CONFIG's, else the default model"
    )
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="for each model (default 20)")
    parser.add_argument(
        "--precision", choices=("f32", "bf16"), default=None, help="only this one (default: all that the CPU has)"
    )
    parser.add_argument("--write", type=Path, metavar="CONFIG", help="write the best into local.yaml beside CONFIG")


def run(args: argparse.Namespace) -> int:
    """Measure, print, and write what was asked for."""
    if args.write and not args.write.is_file():
        raise GatewayError(f"{args.write}: there is no such file; --write takes the gateway's configuration")
    models = args.models or (_models_of(args.write) if args.write else [DEFAULT_MODEL])
    try:
        from gateway.vision import engine_bench  # noqa: PLC0415 - an extra: only this verb needs it
    except ImportError as error:
        raise GatewayError(f"measuring a model needs {error.name}: pip install 'zhiwang[vision]'") from error
    measured: list[list[Result]] = []
    for model in models:
        results, absent = _measure(_manifest(model, args.cache), args.seconds, args.precision, quiet=args.json)
        measured.append(results)
        if args.json:
            _print_json(model, results)
        else:
            _print_table(model, results, absent)
    if args.write:
        _write(args.write, engine_bench.together(measured), quiet=args.json)
    return 0


def _models_of(config: Path) -> list[str]:
    """The models that a configuration's cameras use."""
    from gateway.config.load import load  # noqa: PLC0415 - only where there is a configuration
    from gateway.registry import registry  # noqa: PLC0415 - as above

    loaded = load(config, registry())
    names = dict.fromkeys(camera.model or loaded.model for camera in loaded.cameras.values())
    return [str(config.parent / name) if name.endswith(".onnx") else name for name in names or (loaded.model,)]


def _manifest(model: str, cache: Path | None) -> Manifest:
    from gateway.cli.detect import manifest_named  # noqa: PLC0415 - loads the extra
    from gateway.models import find  # noqa: PLC0415 - as above

    return manifest_named(model) if model.endswith(".onnx") else find(model, cache=cache)


def _measure(
    manifest: Manifest, seconds: float, precision: str | None, *, quiet: bool
) -> tuple[list[Result], list[Absent]]:
    from gateway.clock import WallClock  # noqa: PLC0415 - as above
    from gateway.vision.engine_bench import ENGINES, Bench, noise  # noqa: PLC0415 - as above

    cores = len(os.sched_getaffinity(0))
    threads = sorted({1, max(1, cores // 2), cores})
    batches = (1, 4)
    engines = [one for one in ENGINES if precision in (None, one.precision) or one.engine != "openvino"]
    with _progress(manifest.name, quiet=quiet) as done:
        bench = Bench(manifest, threads, batches, noise(max(batches)), WallClock(), engines)
        bench.measure(seconds, done)
    return bench.results(), bench.absent


@contextmanager
def _progress(what: str, *, quiet: bool) -> Generator[Callable[[float], None]]:
    if quiet or not sys.stderr.isatty():
        yield lambda _share: None
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal gets a bar
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - as above

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=1.0)
        yield lambda share: shown.update(task, completed=share)


def _print_json(model: str, results: Sequence[Result]) -> None:
    from gateway.vision.engine_bench import most, soonest  # noqa: PLC0415 - loaded by now

    first, quick = most(results), soonest(results)
    for it in results:
        figures = (round(it.images_s, 2), round(it.p50_ms, 3), round(it.p95_ms, 3), round(it.cpu_s_1000, 3))
        row = Row(model, *it.setting, *figures, most=it.setting == first, soonest=it.setting == quick)
        print(msgspec.json.encode(row).decode())


def _print_table(model: str, results: Sequence[Result], absent: Sequence[Absent]) -> None:
    from rich.console import Console  # noqa: PLC0415 - `--json` does without it
    from rich.table import Table  # noqa: PLC0415 - as above

    from gateway.vision.engine_bench import most, soonest  # noqa: PLC0415 - loaded by now

    first, quick = most(results), soonest(results)
    heads = [told(head) for head in ("engine", "threads", "batch", "pictures/s", "ms p50", "ms p95", "CPU-s per 1,000")]
    table = Table(heads[0], *heads[1:], "", title=model, title_justify="left", box=None, pad_edge=False)
    for column in table.columns[1:-1]:
        column.justify = "right"
    for it in sorted(results, key=lambda it: -it.images_s):
        marks = [told("most")] * (it.setting == first) + [told("soonest")] * (it.setting == quick)
        figures = (f"{it.images_s:.1f}", f"{it.p50_ms:.1f}", f"{it.p95_ms:.1f}", f"{it.cpu_s_1000:.2f}")
        table.add_row(named(it.setting), str(it.setting.threads), str(it.setting.batch), *figures, ", ".join(marks))
    out = Console(highlight=False, soft_wrap=True)
    out.print(table)
    for one in absent:
        out.print(f"{one.engine}: {told('not here')}: {one.why}", markup=False)
    if any(it.setting.precision == "bf16" for it in results):
        out.print(told(BF16), markup=False)


def named(setting: Setting) -> str:
    """An engine with its precision, where that is said."""
    return setting.engine + ("" if setting.precision == "auto" else f" {setting.precision}")


def _write(config: Path, best: Setting, *, quiet: bool) -> None:
    keys = {"engine": best.engine, "precision": best.precision, "engines": best.threads, "batch": best.batch}
    path = write_local(config, {"vision": keys})
    print(
        told(
            f"{path}: vision: {named(best)}, {best.threads} threads, batch {best.batch}; it holds from the next start"
        ),
        file=sys.stderr if quiet else sys.stdout,
    )
