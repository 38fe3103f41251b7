"""The rows of the first screen: what each says (pure, hashable), and how it is laid out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from nicegui import ui

from gateway.console import words
from gateway.console.alert import parse_ns
from gateway.console.parts import span
from gateway.console.situation import split
from gateway.console.words import Language, pick, say

if TYPE_CHECKING:
    from gateway.console.alert import Alert
    from gateway.console.situation import Situation, Status

Choose = Callable[[str], Awaitable[None]]
LAG_FINE_S = 10.0  # a sink that retries once is behind for a few seconds: nothing to be told about
STRIP = 24  # chips on the strip, about two lines at 1280 px; the rest is under Health


class Summary(NamedTuple):
    """The summary line."""

    to_do: str
    busy: bool
    blind: str
    delivered: str
    late: bool
    durable: str
    seeing: str


class AlertRow(NamedTuple):
    """One alert in the list."""

    key: str
    colour: str
    tag: str
    title: str
    value: str
    line: str
    acknowledged: bool
    muted: bool
    chosen: bool


class BlindRow(NamedTuple):
    """One thing that we cannot see."""

    key: str
    title: str
    line: str
    since: str
    chosen: bool


class Chip(NamedTuple):
    """One component on the strip."""

    key: str
    name: str
    detail: str
    ok: bool


def whereabouts(language: Language, status: Status) -> str:
    """Community and place in one line."""
    community = status.community
    named = pick(language, community, str(community.get("code") or "")) if isinstance(community, dict) else community
    return " ".join(part for part in (named or "", pick(language, status.place)) if part)


def summary(language: Language, now: Situation) -> Summary:
    """The summary line of this moment."""
    busy = bool(now.city)
    if busy:
        to_do = say(language, "to_do", n=len(now.city))
    else:
        last = words.ago(language, now.now_ns - now.last_ns) if now.last_ns else say(language, "none_yet")
        to_do = f"{say(language, 'nothing')} · {say(language, 'last_one', ago=last) if now.last_ns else last}"
    behind = now.status.outbox_lag_s
    late = behind > LAG_FINE_S
    return Summary(
        to_do=to_do,
        busy=busy,
        blind=say(language, "blind_n", n=len(now.blind)) if now.blind else "",
        delivered=say(language, "waiting" if late else "delivered", lag=words.lag(language, behind)),
        late=late,
        durable="" if now.status.durable else say(language, "not_durable"),
        seeing=say(language, "seeing", share=round(now.seeing * 100)),
    )


def build_summary(row: Summary) -> None:
    """Lay the summary out."""
    span(row.to_do, "zw-todo" if row.busy else "zw-todo quiet")
    if row.blind:
        span(row.blind, "zw-blind-n")
    else:
        span(row.seeing, "zw-seeing")
    if row.durable:
        span(row.durable, "zw-broken")
    span(row.delivered, "zw-delivered late" if row.late else "zw-delivered")


def who_has_it(language: Language, alert: Alert, now: Situation) -> str:
    """Unacknowledged, or by whom it was taken on or put aside."""
    if alert.is_shelved:
        if alert.shelved is None or not alert.shelved.until:
            return say(language, "shelved_plain")
        until = words.moment(parse_ns(alert.shelved.until), now.now_ns, now.zone)
        return say(language, "shelved_until", who=alert.shelved.by, until=until).strip()
    if alert.is_acknowledged:
        who = alert.acknowledged.by if alert.acknowledged else ""
        return say(language, "acknowledged", who=who) if who else say(language, "acknowledged_plain")
    return say(language, "unacknowledged")


def said_of(language: Language, alert: Alert) -> str:
    """That somebody said that it was right or wrong, and who; empty where nobody did."""
    return words.verdict(language, alert.verdict, alert.label.who if alert.label else "")


def rule_so_far(language: Language, alert: Alert, now: Situation) -> str:
    """How its rule did this month, where anybody judged that."""
    one = now.judged.get(alert.rule)
    judged = one.right + one.wrong if one else 0
    return say(language, "judged", raised=one.raised, judged=judged, wrong=one.wrong) if one and judged else ""


def tag(language: Language, alert: Alert) -> str:
    """The severity's colour as a word, with an arrow where it has just risen or has fallen."""
    arrow = " ↑" if alert.change == "raised_level" else " ↓" if alert.change == "lowered_level" else ""
    return say(language, alert.colour) + arrow


def alert_rows(language: Language, now: Situation, chosen: str) -> tuple[AlertRow, ...]:
    """The list of open alerts, shelved ones last."""
    return tuple(
        AlertRow(
            key=alert.id,
            colour=alert.colour,
            tag=tag(language, alert),
            title=pick(language, alert.title, alert.rule or alert.id),
            value=words.quantity(alert.value, alert.unit or ""),
            line=" · ".join(
                part
                for part in (
                    alert.which,
                    words.length(language, now.now_ns - alert.started_ns),
                    say(language, "cleared") if alert.is_cleared else "",
                    say(language, "unknown") if alert.unknown else "",
                    who_has_it(language, alert, now),
                    words.verdict(language, alert.verdict, ""),
                )
                if part
            ),
            acknowledged=alert.is_acknowledged,
            muted=alert.is_shelved or alert.is_cleared,
            chosen=alert.id == chosen,
        )
        for alert in (*now.city, *now.shelved)
    )


def recent_rows(language: Language, now: Situation, chosen: str) -> tuple[AlertRow, ...]:
    """The last alerts that ended."""
    return tuple(
        AlertRow(
            key=alert.id,
            colour=words.colour_of(alert.severity_max or alert.severity),
            tag=say(language, words.colour_of(alert.severity_max or alert.severity)),
            title=pick(language, alert.title, alert.rule or alert.id),
            value="",
            line=" · ".join(
                part
                for part in (
                    say(
                        language,
                        "lasted",
                        at=words.moment(alert.changed_ns, now.now_ns, now.zone),
                        length=words.length(language, alert.changed_ns - alert.started_ns),
                    ),
                    words.verdict(language, alert.verdict, ""),
                )
                if part
            ),
            acknowledged=True,
            muted=True,
            chosen=alert.id == chosen,
        )
        for alert in now.recent
    )


def build_recent(language: Language, rows: tuple[AlertRow, ...], choose: Choose) -> None:
    """Lay the ended ones out; nothing where there are none."""
    if rows:
        span(say(language, "recent"), "zw-head")
    for row in rows:
        _build_alert(row, choose)


def build_alerts(language: Language, now: Situation, rows: tuple[AlertRow, ...], choose: Choose) -> None:
    """Lay the list out."""
    if not now.city:
        with ui.element("div").classes("zw-quiet"):
            span("✓", "zw-quiet-mark")
            with ui.element("div"):
                line = summary(language, now)
                span(say(language, "nothing"), "zw-quiet-title")
                last = (
                    say(language, "last_one", ago=words.ago(language, now.now_ns - now.last_ns)) if now.last_ns else ""
                )
                span(" · ".join(part for part in (last, line.seeing) if part), "zw-quiet-line")
    shelved = {alert.id for alert in now.shelved}
    headed = False
    for row in rows:
        if row.key in shelved and not headed:
            headed = True
            span(say(language, "shelved_list"), "zw-head")
        _build_alert(row, choose)


def _build_alert(row: AlertRow, choose: Choose) -> None:
    classes = ["zw-row", f"c-{row.colour}"]
    classes += ["on"] * row.chosen + ["acked"] * row.acknowledged + ["muted"] * row.muted
    with ui.element("button").classes(" ".join(classes)).props('type="button"') as element:
        ui.element("i").classes("zw-square")
        with ui.element("div").classes("zw-words"):
            with ui.element("div").classes("zw-first"):
                span(row.tag, "zw-tag")
                span(row.title, "zw-title")
                span(row.value, "zw-value")
            span(row.line, "zw-line")
    element.on("click", _chooser(choose, row.key))


def _chooser(choose: Choose, key: str) -> Callable[[], Any]:
    async def chosen() -> None:
        await choose(key)

    return chosen


def kind_word(language: Language, kind: str) -> str:
    """A component's kind in words."""
    key = "rule_kind" if kind == "rule" else kind
    return say(language, key) if key in words.TEXTS else kind


def camera_title(language: Language, now: Situation, camera: str) -> str:
    """A camera's words for people, else its name."""
    return next((pick(language, c.title, camera) for c in now.components if c.name == f"camera/{camera}"), camera)


def blind_rows(language: Language, now: Situation, chosen: str) -> tuple[BlindRow, ...]:
    """What we cannot see."""
    return tuple(
        BlindRow(
            key=row.key,
            title=" ".join((kind_word(language, row.kind), pick(language, row.title, row.name))),
            line=words.condition(language, row.condition),
            since=say(language, "from", at=words.moment(row.since_ns, now.now_ns, now.zone)),
            chosen=row.key == chosen,
        )
        for row in now.blind
    )


def build_blind(language: Language, rows: tuple[BlindRow, ...], choose: Choose) -> None:
    """Lay the block of blind things out."""
    span(say(language, "blind"), "zw-head")
    if not rows:
        span(say(language, "all_seen"), "zw-none")
    for row in rows:
        with (
            ui.element("button")
            .classes("zw-row blind on" if row.chosen else "zw-row blind")
            .props('type="button"') as element
        ):
            ui.element("i").classes("zw-ring")
            with ui.element("div").classes("zw-words"):
                with ui.element("div").classes("zw-first"):
                    span(row.title, "zw-title")
                    span(row.since, "zw-since")
                span(row.line, "zw-line")
        element.on("click", _chooser(choose, row.key))


def chips(language: Language, now: Situation) -> tuple[Chip, ...]:
    """Cameras, sources, sinks, and whatever else is not well, for the strip."""
    return tuple(
        Chip(
            key=c.name,
            name=pick(language, c.title, split(c.name)[1]),
            detail=c.detail if c.ok else words.condition(language, c.condition),
            ok=c.ok,
        )
        for c in now.components
        if split(c.name)[0] in {"camera", "source", "sink"} or not c.ok
    )


def build_strip(language: Language, row: tuple[Chip, ...], today: int) -> None:
    """Lay the strip out."""
    shown = sorted(row, key=lambda chip: chip.ok)[:STRIP] if len(row) > STRIP else row
    with ui.element("div").classes("zw-chips"):
        for chip in shown:
            with ui.element("span").classes("zw-chip" if chip.ok else "zw-chip bad").props(f'data-name="{chip.key}"'):
                span(chip.name, "zw-chip-name")
                ui.element("i").classes("zw-dot" if chip.ok else "zw-ring")
                span(chip.detail, "zw-chip-detail")
    if len(row) > len(shown):  # the strip cannot hold all of them
        span(say(language, "n_well", n=sum(chip.ok for chip in row), all=len(row)), "zw-well")
    span(say(language, "today", n=today), "zw-today")
