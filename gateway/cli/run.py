"""`zhiwang run`: a gateway, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.app.logs import log, set_up
from gateway.clock import WallClock
from gateway.config.load import load, text_of
from gateway.errors import ConfigError, DiskBroken, DiskFull, GatewayError, OutboxError
from gateway.events import Health

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gateway.app import Options, Running
    from gateway.config.kinds import Registry
    from gateway.config.model import Config

EXAMPLE = "zhiwang run gateway.yaml"
MEMORY = "ZHIWANG_MEMORY"  # set for the process that replaces one whose disk broke, to what broke


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the gateway's YAML file")
    parser.add_argument("--memory", action="store_true", help="keep everything in memory: nothing survives the process")


def run(args: argparse.Namespace) -> int:
    """Exit code 0 after a clean end, 2 where there is no usable configuration, this one or an earlier one."""
    from gateway.app.failures import leaves  # noqa: PLC0415 - the parts load only when a gateway runs
    from gateway.registry import registry  # noqa: PLC0415 - as above

    known = registry()
    start = _start(args.config, known)
    memory = os.environ.get(MEMORY, "") or ("asked for with --memory" if args.memory else "")
    failures: list[GatewayError] = []
    try:
        asyncio.run(_run(start, known, memory=memory))
    except* GatewayError as group:
        failures = leaves(group)
    broken = next((one for one in failures if isinstance(one, DiskBroken | DiskFull)), None)
    if broken is not None:
        _start_in_memory(str(broken), already=bool(memory))
    if failures:
        raise failures[0]
    return 0


class Start(NamedTuple):
    """What a gateway starts with: `text` goes into its record, `keep` is called once it runs."""

    config: Config
    text: str
    notice: Health
    keep: Callable[[], None]
    path: Path


def _start(path: Path, known: Registry) -> Start:
    """The file's configuration, or the last good one where the file has errors. Raises ConfigError without either."""
    from gateway.config import lastgood  # noqa: PLC0415 - as above

    try:
        config = load(path, known)
        whole = lastgood.whole(path)
    except ConfigError as error:
        last = lastgood.recall(path, known)
        if last is None:
            raise
        set_up(last.config.log)
        for finding in error.findings:
            log.error("the configuration has an error", extra={"finding": finding})
        log.error("running the last good configuration", extra={"file": str(last.path)})
        count = len(error.findings)
        detail = f"{count} error{'s' * (count > 1)} in {path}, such as {error.findings[0]}: zhiwang check {path}"
        return Start(
            last.config, last.text, Health("config/file", "valid", ok=False, detail=detail), lambda: None, path
        )
    set_up(config.log)
    keep = partial(lastgood.keep, path, config.state, whole)
    return Start(config, text_of(path), Health("config/file", "valid", ok=True), keep, path)


def _start_in_memory(why: str, *, already: bool) -> None:
    """Replace this process once: what the kernel says of a disk after a failed fsync is not to be believed."""
    if already:
        raise OutboxError(f"the outbox failed in memory: {why}")
    log.error("the outbox failed: starting again, in memory where its disk is broken", extra={"error": why})
    sys.stderr.flush()
    os.environ[MEMORY] = why
    os.execv(sys.executable, [sys.executable, "-P", "-m", "gateway", *sys.argv[1:]])  # noqa: S606 - our own arguments


async def _run(start: Start, known: Registry, *, memory: str) -> None:
    from gateway.app import run as run_gateway  # noqa: PLC0415 - as above

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    chosen = options(start.config, text=start.text, memory=memory, path=start.path)
    chosen = chosen._replace(notices=(start.notice,), services=(*chosen.services, ("last-good", partial(_keep, start))))
    await run_gateway(start.config, known, WallClock(), stop, chosen)


async def _keep(start: Start, running: Running) -> None:
    """Keep a configuration that a gateway runs with, for a start with one that has errors."""
    if running.durable:
        try:
            await asyncio.to_thread(start.keep)
        except OSError as error:
            log.warning("the configuration cannot be kept as the last good one", extra={"error": str(error)})


def options(config: Config, *, text: str, memory: str, path: Path | None = None) -> Options:
    """How a live gateway runs: with the page or without, and under systemd's watchdog where there is one.

    `path`: the configuration's file, beside which the page writes local.yaml.
    """
    from gateway.app import Options  # noqa: PLC0415 - as above

    return Options(
        text=text,
        memory=memory,
        series_history=config.http.page,
        services=(("page", partial(_page, config, path)), ("watchdog", _watchdog)),
    )


async def _watchdog(running: Running) -> None:
    """Tell systemd that the gateway is ready, and then that its loop turns."""
    from gateway.console.sdnotify import Notifier  # noqa: PLC0415 - as above

    notifier = Notifier.from_environment(os.environ, os.getpid())
    notifier.ready(f"gateway {running.config.gateway}")
    try:
        while notifier.watchdog_s:
            await asyncio.sleep(notifier.watchdog_s / 2)
            notifier.alive()
    finally:
        notifier.stopping()


async def _page(config: Config, path: Path | None, running: Running) -> None:
    """The page, or the plain server where it is not wanted or not installed."""
    from gateway.app.pen import Pen  # noqa: PLC0415 - the parts load only when a gateway runs
    from gateway.registry import registry  # noqa: PLC0415 - as above

    running.pen = Pen(path, registry()) if path else None
    token = config.http.token.read(config.base) if config.http.token else None
    serve = _server(config)
    await serve(running, config.http.listen, token, running.ready)


def _server(config: Config):  # noqa: ANN202 - one of two functions of the same shape
    from gateway.console.http import serve_plain  # noqa: PLC0415 - the page is loaded only where it is wanted

    if not config.http.page:
        return serve_plain
    try:
        from gateway.console.server import serve  # noqa: PLC0415 - as above
    except ImportError as error:
        log.warning("no page: install zhiwang[console], or set http.page: false", extra={"error": str(error)})
        return serve_plain
    return serve


__all__ = ["EXAMPLE", "arguments", "options", "run"]
