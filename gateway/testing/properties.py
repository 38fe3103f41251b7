"""What holds of a pure rule, each as a search for what breaks it (SEMANTICS.md §2, §6).

A search is given steps and gives None, or what differed. It is asked again with fewer steps, to find the fewest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.clock import ReplayClock
from gateway.events import Detections, Looked, Message, Stepped, Tick
from gateway.ports import NO_TIME
from gateway.testing.cores import cuts_of, run, together
from gateway.testing.said import Step
from gateway.testing.trap import watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gateway.config.model import SensorCommon
    from gateway.core.plan import Plan
    from gateway.events import AlertRow, Input
    from gateway.testing.cores import Came, Maker

MS = 10**6
MANY = 12  # places of a restart: all of a short stream, else so many over the whole
CUTS = ((2,), (3,), (1, 4), (7,), (5, 1, 2))
BEHIND = 6  # as many earlier ones are told again
SHUFFLES = 3


class Broken(NamedTuple):
    """What differed. `marks`: lines to show before a step, by its place; usual, other: what was said."""

    what: str
    usual: list[str]
    other: list[str]
    marks: dict[int, str]

    def shows(self) -> bool:
        """Whether it shows in what is said, not only in the state."""
        return bool(self.usual or self.other)


class Told(NamedTuple):
    """A stream with some of it told again: places in it of what was added, and what was added."""

    steps: list[Step]
    marks: dict[int, str]


def raises(maker: Maker, steps: Sequence[Step], rules: frozenset[str]) -> Broken | None:
    """A rule raised nothing."""
    came = run(maker.core(), steps)
    failed = [
        row
        for row in came.alerts
        if row.rule == "health" and row.subject in {f"rule/{rule}{{condition=failed}}" for rule in rules}
    ]
    if not failed:
        return None
    letters = [str(getattr(letter, "reason", "")) for letter in came.dead]
    return Broken("it raises", [], letters or said(failed), {})


def asks_the_world(maker: Maker, steps: Sequence[Step]) -> Broken | None:
    """No clock, no chance, no file, no network."""
    core = maker.core()
    cuts = list(cuts_of(steps, [1]))
    with watched() as caught:
        for cut in cuts:
            core.step(cut)
    where = dict.fromkeys(f"{one.what} at {one.where}" for one in caught)
    return Broken(f"it {'; it '.join(where)}", [], [], {}) if where else None


def again(maker: Maker, steps: Sequence[Step]) -> Broken | None:
    """The same inputs, the same bytes."""
    return _unequal("played a second time, it says something else", run(maker.core(), steps), run(maker.core(), steps))


def grouping(maker: Maker, steps: Sequence[Step]) -> Broken | None:
    """However inputs are cut. Also without ticks between them: what stands between two ticks is taken together."""
    return _plainest(_cut(maker, steps))


def _cut(maker: Maker, steps: Sequence[Step]) -> Iterator[Broken | None]:
    for part in (steps, [step for step in steps if not isinstance(step.item, Tick)]):
        usual = run(maker.core(), part)
        for sizes in ((len(part) or 1,), *CUTS):
            how = "all at once" if sizes == (len(part),) else f"in cuts of {', '.join(map(str, sizes))}"
            what = f"given its inputs {how}, it says something else than one by one"
            yield _unequal(what, usual, run(maker.core(), part, sizes))


def restart(maker: Maker, steps: Sequence[Step], first: int) -> Broken | None:
    """Killed anywhere and restored: from deltas alone, and from a snapshot. The `first` steps are the start itself."""
    return _plainest(_killed(maker, steps, first))


def _killed(maker: Maker, steps: Sequence[Step], first: int) -> Iterator[Broken | None]:
    places = range(first, len(steps))
    if len(places) > MANY:
        places = places[:: len(places) // MANY]
    core, stepped, snapshots = maker.core(), list[Stepped](), dict[int, bytes]()
    for place, cut in enumerate(cuts_of(steps, [1])):
        if place in places:
            snapshots[place] = core.snapshot()
        stepped.append(core.step(cut))
    usual = together(stepped, core.snapshot())
    for place in places:
        for what, snapshot, deltas in (
            ("the deltas of its state", None, [one.delta for one in stepped[:place]]),
            ("a snapshot of its state", snapshots[place], []),
        ):
            restored = maker.core()
            restored.restore(snapshot, deltas)
            rest = [restored.step(cut) for cut in cuts_of(steps[place:], [1], place + 1)]
            came = together([*stepped[:place], *rest], restored.snapshot())
            broken = _unequal(f"killed and restored from {what}, it says something else", usual, came)
            yield broken._replace(marks={place: "── killed and restored here"}) if broken else None


def _plainest(found: Iterable[Broken | None]) -> Broken | None:
    """The first that shows in alerts, else the first."""
    hidden: Broken | None = None
    for broken in found:
        if broken is not None and broken.shows():
            return broken
        hidden = hidden or broken
    return hidden


def twice(maker: Maker, steps: Sequence[Step], rules: frozenset[str]) -> Broken | None:
    """Everything told twice changes no alert: brokers deliver again."""
    doubled, marks = list[Step](), dict[int, str]()
    for place, step in enumerate(steps):
        doubled.append(step)
        if _repeatable(step.item, maker.plan):
            doubled.append(step)
            marks[place + 1] = "   (told twice)"
    return _other_alerts("told everything twice, it says something else", maker, steps, Told(doubled, marks), rules)


def late(maker: Maker, steps: Sequence[Step], rules: frozenset[str]) -> Broken | None:
    """What is told again late, in any order, changes no alert: a backlog comes after newer ones."""
    for seed in range(SHUFFLES):
        again_ = _told_again(steps, maker.plan, ReplayClock(0, seed))
        what = "told earlier ones again, late and shuffled, it says something else"
        if again_.marks and (broken := _other_alerts(what, maker, steps, again_, rules)):
            return broken
    return None


def _told_again(steps: Sequence[Step], plan: Plan, chance: ReplayClock) -> Told:
    """After each message, earlier ones of its topic or camera in another order, at the same moment."""
    told, marks, before = list[Step](), dict[int, str](), dict[str, list[Step]]()
    for place, step in enumerate(steps):
        told.append(step)
        if not _repeatable(step.item, plan):
            continue
        earlier = before.setdefault(_stream(step.item), [])
        mixed = sorted(earlier[-BEHIND:], key=lambda _: chance.uniform(0, 1))
        told += [step._replace(item=one.item) for one in mixed]
        if mixed:
            marks[place + 1] = f"   (then {len(mixed)} earlier ones again, shuffled)"
        if _believed(step, plan):
            earlier.append(step)
    return Told(told, marks)


def _stream(item: Input) -> str:
    return item.topic if isinstance(item, Message) else getattr(item, "camera", "")


def _repeatable(item: Input, plan: Plan) -> bool:
    """Whether the same told again is known to be the same: a payload that states no time is a reading of its own."""
    if isinstance(item, Detections | Looked):
        return True
    if not isinstance(item, Message):
        return False
    claims = [one for _, stated in _claims(item, plan) for one in stated]
    return bool(claims) and NO_TIME not in claims


def _believed(step: Step, plan: Plan) -> bool:
    """Whether rules saw it when it came: what was ahead of its time then is not when it is told again."""
    if not isinstance(step.item, Message):
        return True
    bounds = [(sensor, at_ns - step.admitted_ns) for sensor, stated in _claims(step.item, plan) for at_ns in stated]
    return all(-int(sensor.max_late) <= ahead_ns <= int(sensor.max_ahead) for sensor, ahead_ns in bounds)


def _claims(item: Message, plan: Plan) -> list[tuple[SensorCommon, list[int]]]:
    """The times that a message states, by the sensors whose it is."""
    routes = [
        route for route in plan.routes if route.source == item.source and route.pattern.match(item.topic) is not None
    ]
    if item.event_ns is not None:
        return [(route.sensor, [item.event_ns]) for route in routes]
    return [(route.sensor, route.decoder.decode([item.body]).event_ns.tolist()) for route in routes]


def _other_alerts(what: str, maker: Maker, steps: Sequence[Step], told: Told, rules: frozenset[str]) -> Broken | None:
    """Where the alerts of the configured rules are not the same: their numbers and texts may be."""
    usual, came = ([row for row in run(maker.core(), part).alerts if row.rule in rules] for part in (steps, told.steps))
    exact = all(_repeatable(step.item, maker.plan) for step in steps if isinstance(step.item, Message))
    if [_brief(row, exact=exact) for row in usual] == [_brief(row, exact=exact) for row in came]:
        return None
    return Broken(what, said(usual), said(came), told.marks)


def _brief(row: AlertRow, *, exact: bool) -> tuple[object, ...]:
    """What must be the same. The times of readings that state none hold their number, which others told again move."""
    told = row.rule, row.subject, row.change, row.state
    return (*told, row.id, row.changed_ns) if exact else (*told, row.changed_ns // MS)


def _unequal(what: str, usual: Came, other: Came) -> Broken | None:
    if usual == other:
        return None
    if usual.alerts != other.alerts:
        return Broken(what, said(usual.alerts), said(other.alerts), {})
    parts = ("series", "alerts", "requests", "dead letters", "state at the end")
    differ = [part for part, one, two in zip(parts, usual, other, strict=True) if one != two]
    return Broken(f"{what} (in its {', '.join(differ)}; the alerts are the same)", [], [], {})


def said(rows: Sequence[AlertRow]) -> list[str]:
    """Alert rows, short."""
    return [
        f"{row.rule} {row.subject} {row.change} {row.severities[-1]} at {row.changed_ns / 1e9 % 86400:.3f} s"
        for row in rows
    ]


def fewest(steps: Sequence[Step], broken: Callable[[list[Step]], bool], tries: int) -> list[Step]:
    """The fewest steps that are still broken, by leaving out halves, quarters, … (ddmin, Zeller 2002).

    Ticks are left out first. `tries`: how often may be asked.
    """
    left = list(steps)
    without = [step for step in left if not isinstance(step.item, Tick)]
    if len(without) < len(left) and broken(without):
        left = without
    size = max(1, len(left) // 2)
    while tries > 0:
        shorter = next(_shorter(left, size, broken, tries), None)
        tries -= len(left) // size + 1
        if shorter is not None:
            left = shorter
            size = min(size, max(1, len(left)))
        elif size == 1:
            break
        else:
            size = max(1, size // 2)
    return left


def _shorter(steps: list[Step], size: int, broken: Callable[[list[Step]], bool], tries: int) -> Iterator[list[Step]]:
    """Without one part of so many steps."""
    for place in range(0, len(steps), size)[:tries]:
        part = steps[:place] + steps[place + size :]
        if part and broken(part):
            yield part
