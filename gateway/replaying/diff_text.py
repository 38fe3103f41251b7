"""A diff for people: a table by rule, why, and the differences one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.replaying.shown import STYLE, Words, brief, clock, lasting, rendered, signed

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from gateway.language import Language
    from gateway.replaying.causes import Cause
    from gateway.replaying.diff import Diff, Pair, Side
    from gateway.replaying.lives import Life

KINDS = {
    "appeared": ("+", "appeared", "新增", "green"),
    "vanished": ("−", "vanished", "消失", "red"),
    "moved": ("→", "moved", "移时", "cyan"),
    "changed": ("~", "changed", "改变", "yellow"),
}
CAUSES = {
    "configuration": ("configuration", "配置"),
    "model": ("model", "模型"),
    "hole": ("hole in a recording", "录制有缺口"),
    "version": ("version of zhiwang", "智网版本"),
    "input": ("what came in", "输入"),
}
KEYS = 3  # of one cause: the rest is counted


def text_of(found: Diff, language: Language, *, colour: bool, most: int) -> str:
    """See Diff.text."""
    say = Words(language)
    tolerance = lasting(found.within_ns)
    if found.same:
        many = say.many(len(found.pairs), "alert", "条告警")
        return say(f"the same: {many}, times within {tolerance}", f"相同：{many}，时间差不超过 {tolerance}")
    head = [_side("A", found.a, say), _side("B", found.b, say)]
    details = found.differences()
    lines = [_detail(pair, found.within_ns, say) for pair in details[:most]]
    if len(details) > most:
        more = len(details) - most
        lines.append(_plain(say(f"… and {more} more: --json has all", f"…… 还有 {more} 条：--json 可看全部")))
    return rendered([*head, _table(found, say), *lines], colour=colour, width=120)


def _side(name: str, side: Side, say: Words) -> str:
    of = " ".join(part for part in (side.gateway, side.version, side.config_sha[:12]) if part)
    return f"{name}: {say.many(side.alerts, 'alert', '条告警')}{'  ' if of else ''}{of}"


def _plain(text: str) -> Text:
    from rich.text import Text  # noqa: PLC0415 - as in `rendered`

    return Text(text)


def _table(found: Diff, say: Words) -> Table:
    from rich import box  # noqa: PLC0415 - as in `rendered`
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(say("rule", "规则"))
    for name in ("A", "B", say("same", "相同"), *(say(en, zh) for _, en, zh, _ in KINDS.values())):
        table.add_column(name, justify="right")
    table.add_column(say("why", "原因"), overflow="fold")
    for of in found.rules():
        numbers = [str(of.counts.get(kind) or "·") for kind in ("same", *KINDS)]
        why = "\n".join(_cause(one.cause, one.differences if len(of.causes) > 1 else 0, say) for one in of.causes)
        table.add_row(of.rule, str(of.a), str(of.b), *numbers, why)
    return table


def _cause(cause: Cause, count: int, say: Words) -> str:
    keys = [str(key) for key in cause.keys[:KEYS]]
    keys += (
        [say(f"… {len(cause.keys) - KEYS} more", f"…… 另 {len(cause.keys) - KEYS} 项")]
        if len(cause.keys) > KEYS
        else []
    )
    what = "; ".join(keys) or cause.what
    times = f"{count} × " if count else ""
    return f"{times}{say(*CAUSES[cause.kind])}{': ' if what else ''}{what}"


def _detail(pair: Pair, within_ns: int, say: Words) -> Text:
    from rich.text import Text  # noqa: PLC0415 - as in `rendered`

    sign, en, zh, style = KINDS[pair.kind]
    one = pair.a or pair.b
    assert one is not None  # noqa: S101 - a pair has at least one side
    what = _life(one, say) if pair.a is None or pair.b is None else _fields(pair, pair.a, pair.b, within_ns, say)
    severity = one.severity_max
    return Text.assemble(
        (f"{sign} {say(en, zh):<9}", style),
        f"{clock(one.raised)}  ",
        (f"{pair.rule} {pair.subject} ", "bold"),
        (say.colour(severity), STYLE.get(severity, "")),
        f"  {what}",
    )


def _life(life: Life, say: Words) -> str:
    value = "" if life.value is None else f"{brief(life.value)} {life.unit}".strip() + ", "
    ended = (
        say("still active at the end", "到结束仍在")
        if life.ended_ns is None
        else lasting(life.ended_ns - life.raised_ns)
    )
    times = say(f", raised {life.times} times", f"，发生 {life.times} 次") if life.times > 1 else ""
    return f"{value}{ended}{times}"


def _fields(pair: Pair, a: Life, b: Life, within_ns: int, say: Words) -> str:
    parts: list[str] = []
    if "raised" in pair.fields:
        parts.append(say("raised ", "发生 ") + _moved(a.raised, b.raised, b.raised_ns - a.raised_ns))
    if "ended" in pair.fields:
        if a.ended_ns is None or b.ended_ns is None:
            open_ = say("still active", "仍在")
            parts.append(say("ended ", "结束 ") + " → ".join(clock(at) if at else open_ for at in (a.ended, b.ended)))
        else:
            parts.append(say("ended ", "结束 ") + _moved(a.ended or "", b.ended or "", b.ended_ns - a.ended_ns))
    elif "raised" in pair.fields and a.ended_ns is not None and b.ended_ns is not None:
        parts.append(say(f"ended within {lasting(within_ns)}", f"结束相差不超过 {lasting(within_ns)}"))
    names = {
        "severity_max": say("reached", "最高"),
        "times": say("times raised", "发生次数"),
        "value": say("value", "值"),
        "limit": say("limit", "限值"),
    }
    for field, name in names.items():
        if field in pair.fields:
            old, new = (say.colour(value) for value in pair.fields[field])
            parts.append(f"{name} {old} → {new}")
    if "active_s" in pair.fields:
        one, two = (_active(value, say) for value in pair.fields["active_s"])
        parts.append(say(f"active {one} → {two}", f"持续 {one} → {two}"))
    return "; ".join(parts)


def _active(seconds: object, say: Words) -> str:
    """`blue 35 s, yellow 1 min 20 s`."""
    given = cast("dict[str, float]", seconds)
    shown = [f"{say.colour(name)} {lasting(round(length * 1e9))}" for name, length in given.items()]
    return say(", ", "、").join(shown) or lasting(0)


def _moved(old: str, new: str, by_ns: int) -> str:
    """`+3 s (02:14:00 → 02:14:03)`, without the date where it is the same."""
    one, two = clock(old), clock(new)
    if one.split(" ")[0] == two.split(" ")[0]:
        one, two = one.split(" ")[1], two.split(" ")[1]
    return f"{signed(by_ns)} ({one} → {two})"
