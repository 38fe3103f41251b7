"""What the page and `watch` say, in Chinese and English, and how they write times, lengths of time and numbers."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from gateway.events import COLOUR_OF
from gateway.language import Language  # noqa: TC001 - the console's other parts take it from here

if TYPE_CHECKING:
    from collections.abc import Mapping

NS = 1_000_000_000

TEXTS: dict[str, tuple[str, str]] = {
    # the bar
    "now": ("现在", "Now"),
    "cameras": ("摄像头", "Cameras"),
    "series": ("曲线", "Series"),
    "health": ("健康", "Health"),
    "exercise": ("演习", "EXERCISE"),
    "who": ("值班员", "On duty"),
    "who_hint": ("您的名字,记在每次确认和搁置上", "Your name, kept with what you acknowledge and shelve"),
    "save": ("保存", "Save"),
    "cancel": ("取消", "Cancel"),
    # the summary
    "to_do": ("{n} 件事要处理", "{n} to deal with"),
    "nothing": ("没有要处理的事", "Nothing to deal with"),
    "last_one": ("上一件 {ago}", "last one {ago}"),
    "none_yet": ("还没有过", "none so far"),
    "blind_n": ("{n} 处看不见", "{n} blind"),
    "seeing": ("看得见 {share} %", "seeing {share} %"),
    "delivered": ("已送达 {lag}", "delivered {lag}"),
    "waiting": ("待送达,最早 {lag}", "waiting to be delivered, oldest {lag}"),
    "not_durable": ("磁盘故障:断电会丢失", "disk broken: a power cut loses data"),
    "today": ("今天 {n} 起", "{n} today"),
    "lost": ("与网关失去联系", "No contact with the gateway"),
    # alerts
    "open": ("要处理", "To deal with"),
    "shelved_list": ("已搁置", "Shelved"),
    "recent": ("最近结束", "Ended lately"),
    "lasted": ("{at} 结束 · 持续 {length}", "ended {at} · lasted {length}"),
    "unacknowledged": ("未确认", "not acknowledged"),
    "acknowledged": ("{who}已确认", "acknowledged by {who}"),
    "acknowledged_plain": ("已确认", "acknowledged"),
    "shelved_until": ("{who}搁置至 {until}", "shelved by {who} until {until}"),
    "shelved_plain": ("已搁置", "shelved"),
    "cleared": ("已恢复", "back to normal"),
    "unknown": ("情况不明", "not known at present"),
    "red": ("红", "RED"),
    "orange": ("橙", "ORANGE"),
    "yellow": ("黄", "YELLOW"),
    "blue": ("蓝", "BLUE"),
    "do": ("做什么", "Do"),
    "limit": ("限值 {limit}", "limit {limit}"),
    "since": ("始于 {at}", "since {at}"),
    "highest": ("曾到{colour}", "reached {colour}"),
    "coverage": ("近一小时数据 {share} %", "last hour's data {share} %"),
    "rule": ("规则 {rule}", "rule {rule}"),
    "late": ("晚到 {lag}", "{lag} late"),
    "acknowledge": ("确认", "Acknowledge"),
    "shelve": ("搁置…", "Shelve…"),
    "unshelve": ("取消搁置", "Unshelve"),
    "right": ("属实", "Real"),
    "wrong": ("误报", "False"),
    "said_right": ("{who}标为属实", "marked real by {who}"),
    "said_wrong": ("{who}标为误报", "marked false by {who}"),
    "judged": (
        "本月 {raised} 起,判断过 {judged} 起,误报 {wrong} 起",
        "this month {raised}, judged {judged}, wrong {wrong}",
    ),
    "back": ("返回", "Back"),
    "for_how_long": ("搁置多久", "Shelve for"),
    "why": ("原因(可不填)", "Why (may be empty)"),
    "done_acknowledge": ("已确认", "Acknowledged"),
    "done_shelve": ("已搁置", "Shelved"),
    "done_shelve_until": ("已搁置至 {until}", "Shelved until {until}"),
    "done_shelve_less": (
        "已搁置至 {until}(网关最多允许这么久)",
        "Shelved until {until}: the gateway allows no longer (commands.shelve_at_most)",
    ),
    "done_unshelve": ("已取消搁置", "Unshelved"),
    "done_right": ("已标为属实", "Marked as real"),
    "done_wrong": ("已标为误报", "Marked as false"),
    "done_unmark": ("已收回判断", "Mark taken back"),
    "refused": ("没有办成:{why}", "Not done: {why}"),
    "conflict": ("别人刚刚改过,请再看一眼", "somebody has just changed it: look again"),
    # blindness
    "blind": ("看不见", "Blind"),
    "all_seen": ("都看得见", "Everything is seen"),
    "from": ("{at} 起", "since {at}"),
    "quiet": ("一切正常", "All is well"),
    "no_picture": ("还没有画面", "No picture yet"),
    "no_chart": ("这段时间没有数据", "No data for this time"),
    "picture_at": ("画面 {at}", "picture {at}"),
    "evidence_picture": ("取证画面 {at}", "picture of the alert {at}"),
    "evidence_clip": ("取证视频 {at}", "clip from {at}"),
    "evidence_sealed": ("加密视频 {at}(下载)", "sealed clip from {at} (download)"),
    "boxes": ("{n} 个目标", "{n} objects"),
    # the other pages
    "no_cameras": ("这台网关没有摄像头", "This gateway has no cameras"),
    "no_series": ("还没有收到读数", "No reading has come yet"),
    "search": ("按名字找", "Find by name"),
    "shown": ("显示 {n} / {all} 条", "{n} of {all} shown"),
    "n_well": ("{n} / {all} 正常", "{n} of {all} well"),
    "well": ("正常", "well"),
    "status": ("网关", "Gateway"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    # the terminal
    "column_severity": ("级别", "Severity"),
    "column_code": ("编号", "No."),
    "column_what": ("事情", "What"),
    "column_value": ("数值", "Value"),
    "column_where": ("地点", "Where"),
    "column_since": ("多久", "For"),
    "column_state": ("状态", "State"),
    "closed": ("已结束", "ended"),
    "not_open": ("没有这个编号的未结束告警", "no open alert has this id or code"),
    "keys": (
        "↑↓ 选择 · A 确认 · S 搁置 · U 取消搁置 · V 属实 · X 误报(再按收回) · Q 退出",
        "↑↓ choose · A acknowledge · S shelve · U unshelve · V real · X false (again: take back) · Q quit",
    ),
    "shelve_keys": (
        "搁置多久:1 = 15 分钟 · 2 = 1 小时 · 3 = 4 小时 · 4 = 8 小时",
        "shelve for: 1 = 15 min · 2 = 1 h · 3 = 4 h · 4 = 8 h",
    ),
    # kinds of component
    "camera": ("摄像头", "Camera"),
    "source": ("来源", "Source"),
    "sink": ("去向", "Sink"),
    "disk": ("磁盘", "Disk"),
    "clock": ("时钟", "Clock"),
    "recorder": ("录制", "Recorder"),
    "rule_kind": ("规则", "Rule"),
    "engine": ("推理", "Engine"),
    "sensor": ("传感器", "Sensor"),
}

CONDITIONS: dict[str, tuple[str, str]] = {
    "connected": ("连不上", "not connected"),
    "frozen": ("画面冻结", "picture frozen"),
    "black": ("画面全黑", "black"),
    "overexposed": ("画面过曝", "over-exposed"),
    "covered": ("镜头被遮挡", "covered or sprayed"),
    "blurred": ("画面模糊", "blurred"),
    "moved": ("镜头被转动", "moved"),
    "repeated": ("画面定格", "one picture repeated"),
    "frame_rate": ("帧率不足", "too few frames"),
    "clock_adrift": ("时钟不准", "clock adrift"),
    "login": ("登录被拒", "login refused"),
    "truncated": ("文件不完整", "file truncated"),
    "corrupt": ("画面损坏", "corrupt frames"),
    "ended": ("文件放完了", "file ended"),
    "absent": ("找不到", "absent"),
    "silent": ("没有数据", "silent"),
    "stuck": ("数值不动", "stuck"),
    "reachable": ("到不了", "not reachable"),
    "delivering_series": ("数据送不出去", "not delivering series"),
    "delivering_alerts": ("告警送不出去", "not delivering alerts"),
    "delivering_requests": ("答复送不出去", "not delivering replies"),
    "full": ("满了", "full"),
    "durable": ("不能落盘", "not durable"),
    "step": ("时钟跳变", "clock stepped"),
    "gap": ("有缺口", "gap"),
    "overloaded": ("忙不过来", "overloaded"),
    "quarantined": ("已停用", "quarantined"),
    "sound": ("文件坏过,已另存", "was damaged, set aside"),
    "state": ("旧状态用不了", "stored state unusable"),
    "believable": ("时钟不可信", "clock not believable"),
    "valid": ("文件有错,沿用上一份", "has errors, the last good one runs"),
    "running": ("没在运行", "not running"),
    "subscribed": ("订阅被拒", "subscription refused"),
    "model": ("模型用不了", "no usable model"),
    "engine": ("换用了另一种引擎", "another engine runs"),
    "failed": ("出错停用", "failed, set aside"),
    "series": ("序列太多", "too many series"),
    "crowded": ("读数太密", "readings come too often"),
    "labels": ("类别不认识", "counts what is not known"),
}
"""What a component's condition means where it is not well."""


def say(language: Language, key: str, **values: object) -> str:
    """The text `key` in `language`, its places filled."""
    return TEXTS[key][language == "en"].format(**values)


def condition(language: Language, name: str) -> str:
    """A component's condition in words; one that is not known stays as it is."""
    return CONDITIONS[name][language == "en"] if name in CONDITIONS else name


def verdict(language: Language, said: str, who: str) -> str:
    """Who said that an alert was right or wrong; empty where nobody did."""
    return say(language, f"said_{said}", who=who).removesuffix(" by ") if said in {"right", "wrong"} else ""


def pick(language: Language, words: Mapping[str, object] | None, otherwise: str = "") -> str:
    """The words in `language`, else in the other one, else `otherwise`."""
    for key in (language, "en" if language == "zh" else "zh"):
        text = words.get(key) if words else None
        if isinstance(text, str) and text:
            return text
    return otherwise


def of_browser(accept: str) -> Language:
    """The language a browser prefers, from its Accept-Language header: the first of zh and en, else zh."""
    for part in accept.split(","):
        tag = part.split(";")[0].strip().lower()[:2]
        if tag in {"zh", "en"}:
            return "zh" if tag == "zh" else "en"
    return "zh"


def length(language: Language, elapsed_ns: int) -> str:
    """A length of time in its largest fitting unit: `45 秒`, `14 分钟`, `3 小时`, `2 天`."""
    seconds = max(0, elapsed_ns) // NS
    for size, zh, en in ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size * (2 if size == 86_400 else 1):  # up to 48 h in hours
            return f"{seconds // size} {zh if language == 'zh' else en}"
    return f"{seconds} {'秒' if language == 'zh' else 's'}"


def ago(language: Language, elapsed_ns: int) -> str:
    """`3 小时前`."""
    return f"{length(language, elapsed_ns)}前" if language == "zh" else f"{length(language, elapsed_ns)} ago"


def lag(language: Language, seconds: float) -> str:
    """A delay: tenths of a second under ten, else its largest unit."""
    if seconds < 0.05:
        return f"< 0.1 {'秒' if language == 'zh' else 's'}"
    if seconds < 10:
        return f"{seconds:.1f} {'秒' if language == 'zh' else 's'}"
    return length(language, round(seconds * NS))


def number(value: object) -> str:
    """A value as people read it: at most three decimals, none of them trailing zeros; bools as they are."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int | float):
        if value != value or abs(value) >= 1e9:  # noqa: PLR0124 - NaN is the only one unequal to itself
            return f"{value:.3g}"
        decimals = 3 if abs(value) < 1 else 2 if abs(value) < 1000 else 0
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value)


def size(count: float) -> str:
    """A number of bytes: `82.6 GB`."""
    for name, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= of:
            return f"{count / of:.1f} {name}"
    return f"{count:.0f} B"


def unit(name: str) -> str:
    """A unit as it is printed: `ug/m3` → `µg/m³`."""
    text = re.sub(r"\bug\b", "µg", name)
    text = re.sub(r"(?<=m)2\b", "²", text)
    return re.sub(r"(?<=m)3\b", "³", text)


def quantity(value: object, of_unit: str) -> str:
    """`3.32 m`, `98%`."""
    text, printed = number(value), unit(of_unit)
    return text if not printed or not text else f"{text} {printed}"


def colour_of(severity: str) -> str:
    """The colour of a severity; one that is not known is blue."""
    return COLOUR_OF.get(severity, "blue")


def clock(ns: int, zone: tzinfo, *, seconds: bool = True) -> str:
    """The time of day, `02:14:00`."""
    return datetime.fromtimestamp(ns // NS, zone).strftime("%H:%M:%S" if seconds else "%H:%M")


def moment(ns: int, now_ns: int, zone: tzinfo) -> str:
    """The time of day, with the date before it where that is not today's."""
    then, now = datetime.fromtimestamp(ns // NS, zone), datetime.fromtimestamp(now_ns // NS, zone)
    return then.strftime("%H:%M" if then.date() == now.date() else "%m-%d %H:%M")
