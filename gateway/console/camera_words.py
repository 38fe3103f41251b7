"""What the view of one camera says, in Chinese and English; `TOOLS` goes to the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.console.words import Language

TEXTS: dict[str, tuple[str, str]] = {
    "all_cameras": ("全部摄像头", "All cameras"),
    "heat": ("热力图", "Heat map"),
    "edit": ("画区域和线", "Draw zones and lines"),
    "heat_legend": (
        "目标站过的地方,自 {since} 起(最多一小时,重启后重新累计)· 最热处:{share} % 的画面里有目标",
        "Where things stood since {since} (an hour at most, anew at a restart) · hottest: in {share} % of the looks",
    ),
    "no_heat": ("最近一小时没有看到目标", "Nothing was seen in the last hour"),
    "kept": ("已写入 local.yaml,重启后生效", "Written to local.yaml; it holds after the next start"),
    "pending": (
        (
            "local.yaml 里的区域和线与正在运行的不同,网关重启后生效:systemctl restart zhiwang"
            "(或重新执行 zhiwang run)。\ngateway.yaml 没有改动。"
        ),
        (
            "local.yaml has other zones and lines than those that run. They hold once the gateway is started again: "
            "systemctl restart zhiwang (or zhiwang run anew).\ngateway.yaml was not touched."
        ),
    ),
    "not_from_here": (
        "这里不能改:配置文件有错误(见 zhiwang check),或网关不是从文件启动的。",
        "They cannot be changed from here: the configuration has errors (zhiwang check), or came from no file.",
    ),
    "last_hour": ("最近一小时 · ± 可能数错的", "LAST HOUR · ± may be miscounted"),
    "no_places": ("这台摄像头还没有区域和线", "This camera has no zones or lines yet"),
    "nothing_counted": ("还没有计数", "nothing counted yet"),
    "there_now": ("现在 {n}", "{n} now"),
    "watched": ("看了 {share} %", "watched {share} %"),
    "entered": ("走进", "came in"),
    "appeared": ("在里面出现", "first seen inside"),
    "left": ("走出", "went out"),
    "in": ("进", "in"),
    "out": ("出", "out"),
    "at_once": ("同时:平均 / 最多", "at once: mean / most"),
}

TOOLS: dict[str, tuple[str, str]] = {
    "new_zone": ("新区域", "New zone"),
    "new_line": ("新线", "New line"),
    "undo": ("撤销", "Undo"),
    "name": ("名字", "Name"),
    "turn": ("调换方向", "Turn round"),
    "add_point": ("加点", "Add point"),
    "remove_point": ("删点", "Remove point"),
    "remove_shape": ("删除", "Delete"),
    "done": ("画好了", "Done"),
    "save": ("保存到 local.yaml", "Save to local.yaml"),
    "cancel": ("取消", "Cancel"),
    "choose_hint": (
        "点选一个区域或线来修改,或新画一个。画在脚站的地方。",
        "Choose a zone or line, or draw a new one. Draw where feet are.",
    ),
    "place_hint": (
        "在画面上逐点点击;区域点回第一个点,或按“画好了”结束。",
        "Tap the picture point by point; close a zone at its first point, or end with Done.",
    ),
    "edit_hint": (
        "拖动圆点或整个图形;拖动边上的小圈加点。键盘:Tab 选点,方向键移动(Shift 更远),+ 加点,Delete 删点。",
        (
            "Drag points, or the whole; drag a small ring to add one. Keys: Tab chooses, arrows move (Shift: farther), "
            "+ adds, Delete removes."
        ),
    ),
    "line_hint": (
        "箭头方向算“进”。拖动圆点或整条线;拖动小圈加点。键盘:Tab 选点,方向键移动,+ 加点,Delete 删点。",
        (
            "Who goes along the arrow goes in. Drag points, or the whole; drag a small ring to add one. "
            "Keys: Tab chooses, arrows move, + adds, Delete removes."
        ),
    ),
    "bad_name": ("名字只用 a-z 0-9 _ -,以字母或数字开头", "a name is of a-z 0-9 _ - and begins with a letter or digit"),
    "taken": ("这个名字已经用了", "this name is taken"),
    "few_zones": ("区域至少要三个点", "a zone has at least three points"),
    "few_lines": ("线至少要两个点", "a line has at least two points"),
    "crosses": ("它和自己相交", "it crosses itself"),
}


def tell(language: Language, key: str, **values: object) -> str:
    """The text `key` in `language`, its places filled."""
    return TEXTS[key][language == "en"].format(**values)
