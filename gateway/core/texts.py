"""An alert in words: what, where, since when, how bad against which line, how sure, what to do; Chinese and English."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from gateway.config.scalars import Duration

if TYPE_CHECKING:
    from gateway.config.model import Text
    from gateway.core.record import Times, Verdict

COLOUR_ZH = {"blue": "蓝色", "yellow": "黄色", "orange": "橙色", "red": "红色"}
CHANGE_ZH = {
    "raised": "发生",
    "raised_level": "升级",
    "lowered_level": "降级",
    "updated": "更新",
    "unknown": "情况不明",
    "known": "恢复可知",
    "cleared": "解除",
    "returned": "再次发生",
    "acknowledged": "已确认",
    "shelved": "已搁置",
    "unshelved": "取消搁置",
    "closed": "关闭",
    "labelled": "收回判断",
}
VERDICTS = {"right": ("标为属实", "marked right"), "wrong": ("标为误报", "marked wrong")}
ORDINALS = ("", "", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth")
CONDITIONS = {
    "connected": ("连接中断", "not connected"),
    "login": ("账号或密码被拒绝", "login refused"),
    "frozen": ("没有画面", "no picture"),
    "black": ("画面全黑", "the picture is black"),
    "overexposed": ("画面过曝", "the picture is over-exposed"),
    "covered": ("镜头被遮挡或喷涂", "covered or sprayed"),
    "blurred": ("画面模糊", "the picture is blurred"),
    "moved": ("镜头被转动", "moved: it no longer looks where it did"),
    "repeated": ("画面定格", "the same picture again and again"),
    "frame_rate": ("帧率不足", "too few frames"),
    "ended": ("视频已播完", "the file has ended"),
    "corrupt": ("画面损坏", "corrupt frames"),
    "delivering_series": ("数据送不出去", "cannot deliver series"),
    "delivering_alerts": ("告警送不出去", "cannot deliver alerts"),
    "delivering_requests": ("答复送不出去", "cannot deliver replies"),
    "durable": ("磁盘不能写入", "the disk cannot be written"),
    "sound": ("存储文件损坏,已另存", "the store was damaged and set aside"),
    "state": ("保存的状态用不了", "the stored state cannot be used"),
    "believable": ("时钟不可信", "its time cannot be believed"),
    "valid": ("配置文件有错,沿用上一份", "the configuration has errors; the last good one runs"),
    "running": ("没有运行", "not running"),
    "subscribed": ("订阅被拒绝", "a subscription is refused"),
    "model": ("模型用不了", "no usable model"),
    "engine": ("推理引擎用不了,已换用另一种", "an engine cannot be used; another one runs"),
    "failed": ("规则出错,已停用", "the rule failed and was set aside"),
    "crowded": ("读数太密,时间窗放不下", "readings come too often for its window"),
    "labels": ("模型不认识要数的类别", "its camera's model does not know what it counts"),
    "clock_adrift": ("时钟不可信", "its clock cannot be believed"),
    "flooding": ("发送过于频繁,超出部分不收", "it sends more than it may; the rest is not taken"),
    "step": ("系统时钟被改动", "the clock was moved"),
    "series": ("序列数超过上限", "more series than allowed"),
}
MARK = {"raised": "", "raised_level": " ↑", "lowered_level": " ↓"}
"""Changes that a sign says shorter than a word."""
OVER = frozenset({"cleared", "closed"})
SOON_MIN = 120  # a line that is further off than this is no news
VERBS = {
    "above": ("超过", "above"),
    "below": ("低于", "below"),
    "outside": ("超出", "outside"),
    "rises": ("上升超过", "rises by more than"),
    "falls": ("下降超过", "falls by more than"),
    "count": ("达到", "at least"),
    "enter": ("进入人数达到", "entered: at least"),
    "leave": ("离开人数达到", "left: at least"),
    "dwell": ("停留达到", "stayed for at least"),
    "crowd": ("人群达到", "a crowd of at least"),
    "cross": ("越线次数达到", "crossed: at least"),
    "speed": ("速度超过", "faster than"),
    "slow": ("速度低于", "slower than"),
    "wrong_way": ("逆行数达到", "going the wrong way: at least"),
    "stopped": ("停住超过", "has stood for at least"),
    "abandoned": ("无人看管超过", "left alone for at least"),
    "near_miss": ("险些相撞,碰撞时间不到", "time to a collision fell to"),
}


STAYS = frozenset({"stopped", "abandoned"})
"""Kinds whose line is a length of time, with `for:` in it."""


class Facts(NamedTuple):
    """What a text is made of.

    trend: (change, minutes) of the last minutes; coverage: share of the last hour's readings, None where that hour is
    not known; worse: the next line, (colour, limit); over: whether it is, and nothing is to be done; times: how
    it stands among those of its month, None where that is not known; verdict: what a person said of it.
    """

    kind: str
    change: str
    colour: str
    name: str
    title: Text | None
    place: Text
    detail: str
    value: float | None
    unit: str
    limit: float | None
    started_ns: int
    changed_ns: int
    hold_ns: int
    trend: tuple[float, int] | None
    coverage: float | None
    worse: tuple[str, float] | None
    do: Text | None
    code: str
    zone: str
    over: bool
    times: Times | None
    verdict: Verdict | None


def amount(value: float) -> str:
    """A number for people: at most four significant digits after the point's zeros."""
    text = f"{value:.2f}" if abs(value) < 1000 else f"{value:.0f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def clock_time(at_ns: int, zone: str) -> str:
    """Local time of day."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def stamp(at_ns: int, zone: str) -> str:
    """ISO 8601 with offset, to the millisecond where it is not whole."""
    local = datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(ZoneInfo(zone))
    text, millis = local.isoformat(), at_ns % 10**9 // 10**6
    return f"{text[:19]}.{millis:03}{text[19:]}" if millis else text


def title(facts: Facts) -> dict[str, str]:
    """The rule's title, or the subject's."""
    fallback_zh, fallback_en = facts.name, facts.name
    if facts.kind == "silent":
        fallback_zh, fallback_en = f"{facts.name} 没有数据", f"{facts.name} is silent"
    elif facts.kind == "stuck":
        fallback_zh, fallback_en = f"{facts.name} 数值不变", f"{facts.name} is stuck"
    elif facts.kind in {"health", "adrift"}:
        condition = facts.name.rpartition("condition=")[2].split(",")[0].rstrip("}")
        zh, en = CONDITIONS.get(condition, (condition, condition))
        who = facts.name.partition("{")[0]
        fallback_zh, fallback_en = f"{who} {zh}", f"{who}: {en}"
    given = facts.title
    return {
        "zh": (given and (given.zh or given.en)) or fallback_zh,
        "en": (given and (given.en or given.zh)) or fallback_en,
    }


def text(facts: Facts) -> dict[str, str]:
    """The sentences. What is not known yet is left out."""
    named = title(facts)
    return {"zh": _zh(facts, named["zh"]), "en": _en(facts, named["en"])}


def _zh(facts: Facts, named: str) -> str:
    value = "" if facts.value is None else f" {amount(facts.value)}{_unit(facts.unit)}"
    head = f"【{COLOUR_ZH[facts.colour]}{_mark(facts)[0]}】{named}{_which(facts)}{value}"
    if facts.place.zh or facts.place.en:
        head += f" · {facts.place.zh or facts.place.en}"
    when = clock_time(facts.changed_ns, facts.zone)
    parts = [f"{when} {what}" if (what := _what_zh(facts)) else when]
    if facts.trend is not None:
        change, minutes = facts.trend
        parts.append(f"{minutes} 分钟{'上涨' if change > 0 else '下降'} {amount(abs(change))}{_unit(facts.unit)}")
    if facts.coverage is not None:
        parts.append(f"近 1 小时数据完整率 {facts.coverage:.0%}")
    if (left := _minutes_left(facts)) and facts.worse:
        parts.append(
            f"照此速度约 {left} 分钟到{COLOUR_ZH[facts.worse[0]]}线 {amount(facts.worse[1])}{_unit(facts.unit)}"
        )
    parts.append(f"始于 {clock_time(facts.started_ns, facts.zone)}")
    do = f"建议:{facts.do.zh or facts.do.en}。" if facts.do and not facts.over else ""
    return f"{head}\n{';'.join(parts)}。{_again_zh(facts.times)}\n{do}编号 {facts.code}"


def _what_zh(facts: Facts) -> str:
    if facts.limit is None or not _crosses(facts):
        return _said(facts)
    hold = f"(持续 {Duration(facts.hold_ns)})" if facts.hold_ns and facts.kind not in STAYS else ""
    return f"{VERBS[facts.kind][0]}{COLOUR_ZH[facts.colour]}线 {amount(facts.limit)}{_unit(facts.unit)}{hold}"


def _en(facts: Facts, named: str) -> str:
    value = "" if facts.value is None else f" {amount(facts.value)}{_unit(facts.unit)}"
    head = f"[{facts.colour.upper()}{_mark(facts)[1]}] {named}{_which(facts)}{value}"
    if facts.place.en or facts.place.zh:
        head += f" · {facts.place.en or facts.place.zh}"
    when = clock_time(facts.changed_ns, facts.zone)
    parts = [f"{when} {what}" if (what := _what_en(facts)) else when]
    if facts.trend is not None:
        change, minutes = facts.trend
        parts.append(f"{'up' if change > 0 else 'down'} {amount(abs(change))}{_unit(facts.unit)} in {minutes} min")
    if facts.coverage is not None:
        parts.append(f"{facts.coverage:.0%} of the last hour's readings are there")
    if (left := _minutes_left(facts)) and facts.worse:
        parts.append(f"at this rate {facts.worse[0]} ({amount(facts.worse[1])}{_unit(facts.unit)}) in about {left} min")
    parts.append(f"since {clock_time(facts.started_ns, facts.zone)}")
    do = f"Do: {facts.do.en or facts.do.zh}. " if facts.do and not facts.over else ""
    return f"{head}\n{'; '.join(parts)}.{_again_en(facts.times)}\n{do}No. {facts.code}"


def _what_en(facts: Facts) -> str:
    if facts.limit is None or not _crosses(facts):
        return _said(facts)
    hold = f" for {Duration(facts.hold_ns)}" if facts.hold_ns and facts.kind not in STAYS else ""
    return f"{VERBS[facts.kind][1]} the {facts.colour} line of {amount(facts.limit)}{_unit(facts.unit)}{hold}"


def _crosses(facts: Facts) -> bool:
    """Whether the change is about a line that the value is beyond."""
    return facts.kind in VERBS and not facts.over


def _said(facts: Facts) -> str:
    """What a component says of itself; nothing for what has a value."""
    return facts.detail if facts.kind in {"health", "adrift"} else ""


def _minutes_left(facts: Facts) -> int | None:
    """How long until the next line at the rate of the last minutes; None where it is not heading there."""
    if facts.trend is None or facts.worse is None or facts.value is None or facts.over or facts.change == "unknown":
        return None
    change, minutes = facts.trend
    left = (facts.worse[1] - facts.value) / change * minutes
    return max(1, round(left)) if 0 < left <= SOON_MIN else None


def _mark(facts: Facts) -> tuple[str, str]:
    """What the head says of the change."""
    if facts.change in MARK:
        return MARK[facts.change], MARK[facts.change]
    zh, en = CHANGE_ZH[facts.change], facts.change
    if facts.change == "labelled":
        zh, en = VERDICTS[facts.verdict] if facts.verdict else (zh, "mark taken back")
    return f" {zh}", f" {en}"


def _again_zh(times: Times | None) -> str:
    """How often it came this month, and what was said of those before; nothing of the first, or of what nobody said."""
    if times is None or times.nth < 2:
        return ""
    before, words = times.nth - 1, (("属实", times.right), ("误报", times.wrong))
    all_ = "" if before == 1 else "都"
    whole = next((f",前 {before} 次{all_}{word}" for word, count in words if count == before), "")
    parts = ",".join(f"{count} 次{word}" for word, count in words if count)
    return f"本月第 {times.nth} 次{whole or (parts and f',前 {before} 次中 {parts}')}。"


def _again_en(times: Times | None) -> str:
    """The same in English."""
    if times is None or times.nth < 2:
        return ""
    nth = ORDINALS[times.nth] if times.nth < len(ORDINALS) else f"No. {times.nth}"
    before, alarm = times.nth - 1, "false alarm"
    if before == 1:
        said = "; the first was real" if times.right else f"; the first was a {alarm}" if times.wrong else ""
    elif times.right == before:
        said = f"; the {before} before were real"
    elif times.wrong == before:
        said = f"; the {before} before were {alarm}s"
    else:
        parts = [f"{times.right} real"] if times.right else []
        parts += [f"{times.wrong} {alarm}{'s' if times.wrong > 1 else ''}"] if times.wrong else []
        said = f"; of the {before} before {' and '.join(parts)}" if parts else ""
    return f" {nth} this month{said}."


def _which(facts: Facts) -> str:
    """Which of a rule's subjects, by its tags' values: two alerts of one title must not read the same."""
    if facts.title is None or facts.kind not in VERBS:
        return ""
    tags = facts.name.partition("{")[2].rstrip("}")
    return "".join(f" {tag.partition('=')[2]}" for tag in tags.split(",") if tag)


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
