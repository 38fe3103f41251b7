"""The wiring of a gateway.

mqtt ─┐                                          ┌─▶ influx, mqtt, history … (a delivery each)
vision ─┼─▶ commit ─▶ door ─▶ core ─▶ outbox ──────┤
ticks ─┤   (notes Health for the page)            └─▶ replies ─▶ page, local socket
local ─┘
services (page, metrics, watchdog) see the Running gateway; `stop` ends sources, then the door, then deliveries
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.app.evidence import evidence_of
from gateway.app.failures import leaves
from gateway.app.logs import Troubles, log
from gateway.app.plan import find_models, make_plan
from gateway.app.recording import recorder_of, video_of
from gateway.app.running import Rate, Running, Summary
from gateway.clock import WallClock
from gateway.config.topics import TopicPattern
from gateway.core import Core
from gateway.delivery import Delivery
from gateway.door import Door, wait_for_clock
from gateway.errors import AlreadyRunning, GatewayError, OutboxError
from gateway.events import Command, Configured, Health
from gateway.outbox import Budget, Outbox
from gateway.sinks.history import FILE, History, HistoryAlerts, HistorySeries
from gateway.sinks.surroundings import Surroundings
from gateway.sources.local import NAME, LocalSocket, refuse_second
from gateway.sources.mqtt import Mqtt, MqttSource
from gateway.sources.pacing import Leisure
from gateway.sources.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from gateway.app.evidence import Evidences
    from gateway.config.kinds import Registry
    from gateway.config.manifest import Manifest
    from gateway.config.model import Config
    from gateway.ports import Clock, Sink, Source
    from gateway.recording.recorder import Recorder
    from gateway.sinks.kinds import Built

Service = Callable[[Running], Awaitable[None]]
Services = tuple[tuple[str, Service], ...]
Begins = Literal["now", "oldest"]
DRAIN_S = 4.0  # for deliveries at the end: what is left waits in the outbox for the next start
DRAIN_LOOK_S = 0.05
RETRY_S = 30.0
STEADY_S = 5.0  # a source that has run so long after a failure runs


class Options(NamedTuple):
    """What differs between live, demo and tests.

    text: the configuration's, before secrets are resolved. notices: what else there is to say at the start.
    sources: instead of the configuration's brokers and cameras.
    memory: keep everything in memory. every_nth, paced: how file cameras hand over frames (see Vision).
    series_history: keep series for the page. services: coroutines beside the gateway; one that fails is tried again.
    """

    text: str = ""
    notices: tuple[Health, ...] = ()
    sources: tuple[Source, ...] | None = None
    sinks: tuple[Sink, ...] | None = None
    memory: str = ""
    every_nth: int | None = None
    paced: bool = True
    series_history: bool = True
    services: Services = ()


class Sinks(NamedTuple):
    """Every sink with where a new one begins, what has to run for them, and drain rates by name (none: in order)."""

    each: list[tuple[Sink, Begins]]
    runs: list[Callable[[], Awaitable[None]]]
    drains: dict[str, int]


async def run(
    config: Config, registry: Registry, clock: Clock, stop: asyncio.Event, options: Options | None = None
) -> Summary:
    """Run a gateway until `stop` is set; returns what it came to.

    Raises (in an ExceptionGroup) OutboxError when the disk fails: nothing was acknowledged that is not durable, and the
    caller starts again in memory. Raises OutboxError or AlreadyRunning where another process is this gateway.
    """
    options = options or Options()
    live = options.sources is None  # what is replayed can be replayed again, and needs no ballast
    ballast = int(config.outbox.ballast) if live else 0
    bounds = Budget(bytes=int(config.outbox.budget), age_ns=int(config.outbox.age), ballast=ballast)
    outbox = Outbox.open(config.state, clock, memory=options.memory, bounds=bounds)
    history = History(config.state / FILE if outbox.durable else None, config.history, clock)
    try:
        if live:
            refuse_second(config.state / NAME)  # the store's lock tells, but not where one of the two is in memory
        return await _run(config, registry, clock, stop, options, outbox, history)
    finally:
        await outbox.close()
        await history.aclose()


async def _run(
    config: Config,
    registry: Registry,
    clock: Clock,
    stop: asyncio.Event,
    options: Options,
    outbox: Outbox,
    history: History,
) -> Summary:
    manifests, notices = find_models(config)
    core = Core(make_plan(config, registry, manifests), registry.rules)
    door = Door(core, outbox, clock, int(config.outbox.linger), int(config.outbox.transaction))
    running = Running(config, clock, core, door, outbox, history)
    running.parts.append(("door", "", partial(_counted, door.stats, frozenset({"waiting"}))))
    running.parts.append(
        ("outbox", "", partial(_counted, outbox.stats, frozenset({"durable", "bytes", "dead_bytes", "full"})))
    )
    door.on_stepped(Troubles(clock, core.counts).take)
    recorder = recorder_of(config, options.text, manifests, outbox, door, clock)
    if recorder:
        running.parts.append(("recorder", "", recorder.stats))
    sure = not isinstance(clock, WallClock) or await wait_for_clock(clock, outbox.resumed)
    notices.append(Health("clock/wall", "believable", sure, "" if sure else "no believable time after 60 s"))
    await history.begin(outbox.epoch)
    evidence = await evidence_of(config, manifests, outbox, history, running, clock, options.sources is None)
    notices += evidence.notices if evidence else []
    sinks = _sinks(config, registry, clock, history, running, options, outbox, evidence)
    await outbox.declare([(sink.name, sink.stream, begins) for sink, begins in sinks.each])
    async with _recording(recorder), asyncio.TaskGroup() as tasks:
        door_task = tasks.create_task(door.run(), name="door")
        wrong = await door.start()
        notices.append(Health("disk/outbox", "state", not wrong, wrong))
        await running.commit([Configured(config.sha, options.text), *outbox.notices, *notices, *options.notices])
        delivering = [tasks.create_task(_forever(one), name="sink") for one in sinks.runs]
        delivering.append(tasks.create_task(outbox.tell(running.report), name="outbox"))
        if recorder:
            delivering.append(tasks.create_task(recorder.run(running.report), name="recorder"))
        for sink, _ in sinks.each:
            delivery = Delivery(outbox, sink, clock, running.report, sinks.drains.get(sink.name))
            running.parts.append(("sink", f"{sink.name}/{sink.stream}", delivery.stats))
            delivering.append(tasks.create_task(delivery.run(), name=f"deliver-{sink.name}-{sink.stream}"))
        sources = await _sources(config, clock, outbox, running, manifests, options, recorder, evidence)
        feeding = [tasks.create_task(_keep(source, running, clock), name=f"source-{source.name}") for source in sources]
        serving = [tasks.create_task(_serve(name, one, running, clock)) for name, one in options.services]
        log.info("running", extra={"gateway": config.gateway, "config_sha": config.sha[:12], "durable": outbox.durable})
        stopped = tasks.create_task(stop.wait(), name="stop")
        await asyncio.wait([stopped, door_task], return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        await _end([*feeding])
        await _remember(sources, outbox)
        running.closing = True
        await door.stop()
        await _drained([sink for sink, _ in sinks.each], outbox)
        for sink, _ in sinks.each:
            await sink.aclose()
        await _end([*serving, *delivering])
    return running.summary()


def _sinks(
    config: Config,
    registry: Registry,
    clock: Clock,
    history: History,
    running: Running,
    options: Options,
    outbox: Outbox,
    evidence: Evidences | None,
) -> Sinks:
    """The history's own sinks, and the configuration's."""
    own: list[Sink] = [HistoryAlerts(history)]
    if options.series_history:
        own.append(HistorySeries(history))
    own += [evidence.maker] if evidence else []
    runs: list[Callable[[], Awaitable[None]]] = [evidence.maker.run] if evidence else []
    sinks: list[tuple[Sink, Begins]] = [(sink, "oldest") for sink in (*own, *(options.sinks or ()))]
    if options.sinks is not None:
        return Sinks(sinks, runs, {})

    async def command(asked: Command) -> None:
        await running.commit([asked])

    around = Surroundings(
        gateway=config.gateway,
        community=config.community.code if config.community else None,
        zone=ZoneInfo(config.timezone),
        base=config.base,
        brokers=config.brokers,
        clock=clock,
        history=history,
        status=running.status,
        durable=lambda: running.durable,
        command=command,
        report=running.report,
        commands=config.commands,
        evidence=evidence and evidence.read,
        cursor=outbox.cursor,
    )
    drains: dict[str, int] = {}
    for named in config.sinks.values():
        built: Built = registry.sinks[named.key].build(named.name, named.kind, around)
        begins: Begins = named.common.from_
        sinks.extend((sink, begins) for sink in built.sinks)
        if built.run:
            runs.append(built.run)
        if not built.in_order:
            drains[named.name] = int(named.common.drain)
    return Sinks(sinks, runs, drains)


async def _sources(
    config: Config,
    clock: Clock,
    outbox: Outbox,
    running: Running,
    manifests: Mapping[str, Manifest],
    options: Options,
    recorder: Recorder | None,
    evidence: Evidences | None,
) -> list[Source]:
    """The configuration's brokers and cameras, ticks and the local socket; or what `options` says instead."""
    if options.sources is not None:
        return list(options.sources)
    sources: list[Source] = [
        Ticks(clock),
        LocalSocket(config.state / NAME, running, clock, recorder and recorder.flush),
    ]
    routes: dict[str, list[tuple[str, int]]] = {}
    for sensor in config.sensors.values():
        if isinstance(sensor.transport, Mqtt):
            pattern = TopicPattern.parse(sensor.transport.topic)
            routes.setdefault(sensor.transport.mqtt, []).append((pattern.filter, sensor.transport.qos))
    for name, filters in routes.items():
        known = await outbox.subscriptions(name)
        await outbox.keep_subscriptions(name, known | {wanted for wanted, _ in filters})  # before the broker has them
        source = MqttSource(
            name,
            config.brokers[name],
            filters,
            client_id=config.gateway,
            clock=clock,
            base=config.base,
            remembered=known,
            seal=running.door.seal,
            session_lost=partial(running.door.session_lost, name),
            leisure=Leisure(clock, lambda: running.door.stats().step_ns),
        )
        running.parts.append(("source", name, source.stats))
        running.rates[f"source/{name}"] = Rate(clock, lambda source=source: source.stats()["messages_total"])
        sources.append(source)
    if manifests:
        sources.append(_vision(config, clock, running, manifests, options, recorder, evidence))
    return sources


def _vision(
    config: Config,
    clock: Clock,
    running: Running,
    manifests: Mapping[str, Manifest],
    options: Options,
    recorder: Recorder | None,
    evidence: Evidences | None,
) -> Source:
    from gateway.vision.vision import Vision  # noqa: PLC0415 - a ground-only gateway loads no vision

    video = video_of(config, recorder, running.door, clock)
    if video:
        running.parts.append(("video", "", partial(_totals, video.stats)))
    vision = Vision(
        {name: camera for name, camera in config.cameras.items() if name in manifests},
        manifests,
        config.base,
        clock,
        config.vision.engines or max(1, (os.cpu_count() or 2) // 2),
        every_nth=options.every_nth,
        paced=options.paced,
        vision=config.vision,
        video=evidence.maker.taken(video) if evidence else video,
        looks=evidence.maker.look if evidence else lambda _: None,
    )
    running.see(vision.picture, {name: manifest.score for name, manifest in manifests.items()})
    for name in manifests:
        counts = partial(_camera_counts, vision.camera_stats, name)
        running.parts.append(("camera", name, counts))
        running.rates[f"camera/{name}"] = Rate(clock, lambda counts=counts: counts().get("analysed_total", 0.0))
    return vision


@contextlib.asynccontextmanager
async def _recording(recorder: Recorder | None) -> AsyncGenerator[None]:
    """What was admitted is in the recording's files at the end, however that came."""
    try:
        yield
    finally:
        if recorder:
            await recorder.aclose()


async def _forever(body: Callable[[], Awaitable[None]]) -> None:
    await body()


def _camera_counts(stats: Callable[[], Mapping[str, Mapping[str, float]]], camera: str) -> dict[str, float]:
    """One camera's counters by their names in /metrics."""
    return _totals(lambda: stats().get(camera, {}))


def _totals(stats: Callable[[], Mapping[str, float]]) -> dict[str, float]:
    """What is counted since the start, by its names in /metrics."""
    return {f"{what}_total": count for what, count in stats().items()}


async def _keep(source: Source, running: Running, clock: Clock) -> None:
    """Run a source; where it fails with an error of ours, say so and try again.

    A broken disk, and another process that is this gateway already, are everybody's end.
    """
    component = f"source/{source.name}"
    while True:
        failures: list[GatewayError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                well = tasks.create_task(_steady(component, running, clock))
                await source.run(running.commit)
                well.cancel()
        except* (OutboxError, AlreadyRunning):
            raise
        except* GatewayError as group:
            failures = leaves(group)
        if not failures:
            return
        log.warning("source failed", extra={"source": source.name, "error": str(failures[0])})
        await running.report(Health(component, "running", ok=False, detail=str(failures[0])))
        await clock.sleep(clock.uniform(0, RETRY_S))


async def _steady(component: str, running: Running, clock: Clock) -> None:
    """Say that a source runs, once it has for a while: it may have failed before, perhaps in an earlier process."""
    await clock.sleep(STEADY_S)
    await running.report(Health(component, "running", ok=True), quietly=not running.said(component, "running"))


async def _serve(name: str, service: Service, running: Running, clock: Clock) -> None:
    """A service that fails costs itself, never the gateway: it is said, and it is tried again."""
    component = f"service/{name}"
    while True:
        try:
            async with asyncio.TaskGroup() as tasks:
                steady = tasks.create_task(_steady(component, running, clock))
                await service(running)
                steady.cancel()
        except* (GatewayError, OSError) as group:
            failure = str(group.exceptions[0])
        else:
            return
        log.error("service failed", extra={"service": name, "error": failure})
        await running.report(Health(component, "running", ok=False, detail=failure))
        await clock.sleep(clock.uniform(0, RETRY_S))


async def _remember(sources: Sequence[Source], outbox: Outbox) -> None:
    for source in sources:
        if isinstance(source, MqttSource):
            await outbox.keep_subscriptions(source.name, source.subscribed)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _counted(stats: Callable[[], msgspec.Struct], gauges: frozenset[str]) -> dict[str, float]:
    """The numbers of a struct by their names in /metrics: what is no gauge is counted since the start."""
    numbers = {key: value for key, value in msgspec.structs.asdict(stats()).items() if isinstance(value, int | float)}
    return {key if key in gauges else f"{key}_total": float(value) for key, value in numbers.items()}


async def _drained(sinks: Sequence[Sink], outbox: Outbox) -> None:
    """Wait a little for what is stored to be delivered; the rest is delivered after the next start."""
    for _ in range(round(DRAIN_S / DRAIN_LOOK_S)):  # of real time: a replay's clock stands still by now
        if all(outbox.cursor(sink.stream, sink.name) >= outbox.last(sink.stream) for sink in sinks):
            return
        await asyncio.sleep(DRAIN_LOOK_S)
