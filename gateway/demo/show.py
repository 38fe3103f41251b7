"""The demo as one run: broker, gateway and publisher in one event loop, the video through the ordinary camera.

embedded broker ◀── publisher (recorded hours as seconds)
       └──▶ app.run(configs/demo.yaml + overlay) ──▶ history, page, alerts back to the broker
"""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.app import Options, run
from gateway.config.load import load, text_of
from gateway.demo import footfall
from gateway.demo.broker import embedded_broker
from gateway.demo.publisher import NS, play
from gateway.demo.stage import Stage, configuration
from gateway.registry import registry

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gateway.app import Running, Summary
    from gateway.app.wiring import Service, Services
    from gateway.demo.footfall import Hour
    from gateway.ports import Clock

WEEK_DAYS = 7
LOOK_S = 0.05  # how often the publisher looks whether the gateway is there, or done
EVERY_NTH = 5  # of 25 frames a second: the rate that a camera would be looked at
TAIL_S = 6.0  # of a headless run: for starting, and for what is still on its way when the last hour was played
GRACE_S = 60.0  # a box so slow that it is not done by then shows what it has


class Material(NamedTuple):
    """What the demo plays, as fetched."""

    video: Path
    footfall: Path


class Headless(NamedTuple):
    """A run without a page that plays a fixed part of the data and ends: the same every time."""

    seconds: float

    def hours(self, folder: Path) -> list[Hour]:
        """The hours that fit, from the parade's morning on."""
        count = max(1, math.floor(self.seconds - TAIL_S))
        return footfall.hours(folder, start=footfall.PARADE, days=-(-count // footfall.DAY_HOURS))[:count]


async def show_headless(material: Material, clock: Clock, stop: asyncio.Event, headless: Headless) -> Summary:
    """Play the fixed part, wait until all of it was decided on, and say what it came to."""
    hours = headless.hours(material.footfall)
    counters = footfall.counters(material.footfall)

    def services(port: int) -> Services:
        async def publish(running: Running) -> None:
            began_ns = clock.monotonic_ns()
            await _until(lambda: running.ready()[0], clock)
            published = await play(hours, counters, port=port, clock=clock)
            latest_ns = began_ns + round((headless.seconds + GRACE_S) * NS)
            await _until(lambda: _done(running, published) or clock.monotonic_ns() > latest_ns, clock)
            stop.set()

        return (("publisher", publish),)

    return await _show(material, clock, stop, services, page_port=0, every_nth=EVERY_NTH)


async def show_page(
    material: Material, clock: Clock, stop: asyncio.Event, page_port: int, page: Service, seconds: float | None
) -> Summary:
    """Play a recorded week over and over, with `page` beside it, until `stop` (or for `seconds`)."""
    week = footfall.hours(material.footfall, start=footfall.PARADE, days=WEEK_DAYS)
    counters = footfall.counters(material.footfall)

    def services(port: int) -> Services:
        async def publish(running: Running) -> None:
            await _until(lambda: running.ready()[0], clock)
            await play(itertools.cycle(week), counters, port=port, clock=clock)

        async def end(_: Running) -> None:
            if seconds is not None:
                await clock.sleep(seconds)
                stop.set()

        return (("publisher", publish), ("page", page), ("end", end))

    return await _show(material, clock, stop, services, page_port=page_port, every_nth=None)


async def _show(
    material: Material,
    clock: Clock,
    stop: asyncio.Event,
    services: Callable[[int], Services],
    *,
    page_port: int,
    every_nth: int | None,
) -> Summary:
    """Run broker and gateway until `stop`; what is beside them is given the broker's port."""
    with tempfile.TemporaryDirectory(prefix="zhiwang-demo-") as folder:
        async with embedded_broker() as port:
            stage = Stage(
                broker_port=port,
                page_port=page_port,
                video=material.video,
                state=Path(folder) / "state",
                loop=every_nth is None,
            )
            overlay = stage.overlay(Path(folder) / "overlay.yaml")
            kinds = registry()
            config = load(configuration(), kinds, overlay=overlay)
            text = text_of(configuration(), overlay=overlay)
            options = Options(text=text, every_nth=every_nth, services=services(port))
            return await run(config, kinds, clock, stop, options)


def _done(running: Running, published: int) -> bool:
    """Whether the core has seen every message and every look of a video that has ended."""
    ended = any(one.condition == "ended" and not one.ok for one in running.components())
    seen = running.summary()
    looks = math.ceil(_frames(running) / EVERY_NTH)
    return ended and seen.messages >= published and seen.frames >= looks


def _frames(running: Running) -> float:
    """Frames that the camera decoded."""
    return sum(stats().get("frames_total", 0.0) for kind, _, stats in running.parts if kind == "camera")


async def _until(condition: Callable[[], bool], clock: Clock) -> None:
    while not condition():
        await clock.sleep(LOOK_S)
