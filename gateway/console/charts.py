"""A series as an ECharts option: its line, its limits in their colours, its gaps left open."""

from __future__ import annotations

import math
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from gateway.console import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.console.words import Language

# Mid tones that read on a light and on a dark ground: a canvas does not know the page's CSS variables.
COLOURS = {"red": "#e5383b", "orange": "#f4811f", "yellow": "#d9a406", "blue": "#3b82f6"}
LINE = "#4f8cff"
AXIS = "#8b95a5"
GRID = "rgba(128,140,160,.18)"
FONT = "Roboto, system-ui, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
MS, NS = 1_000_000, 1_000_000_000


def points(times_ns: Sequence[int], values: Sequence[float], shift_ms: int = 0) -> list[list[float | None]]:
    """[ms + shift, value] pairs as ECharts wants them; a value that is no number is a gap."""
    return [
        [at // MS + shift_ms, round(value, 6) if math.isfinite(value) else None]
        for at, value in zip(times_ns, values, strict=True)
    ]


def scale(low: float, high: float, parts: int) -> tuple[float, float, float]:
    """A round (bottom, top, step) for an axis that holds low and high, in about `parts` steps of 1, 2 or 5 × 10^k."""
    span = high - low or abs(high) or 1.0
    rough = span * 1.15 / parts
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * of for of in (1, 2, 2.5, 5, 10) if power * of >= rough)
    margin = span * 0.05
    bottom, top = math.floor((low - margin) / step) * step, math.ceil((high + margin) / step) * step
    if low >= 0 > bottom:
        bottom = 0.0
    return round(bottom, 9), round(top, 9), round(step, 9)


def begin(times_ns: Sequence[int], from_ns: int, now_ns: int) -> int:
    """Where the time axis begins: a gateway that has just started has minutes, not hours, to show (one at least)."""
    return max(from_ns, min(times_ns[0], now_ns - 60 * NS)) if times_ns else from_ns


def limit_lines(language: Language, limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """A dashed line for each limit, named by its colour's word."""
    return [
        {
            "yAxis": limit,
            "lineStyle": {"color": COLOURS.get(colour, AXIS), "type": "dashed", "width": 1.5},
            "label": {
                "formatter": f"{words.say(language, colour)} {words.number(limit)}"
                if colour in COLOURS
                else words.number(limit),
                "color": COLOURS.get(colour, AXIS),
                "position": "insideEndTop",
                "fontSize": 11,
            },
        }
        for colour, limit in limits.items()
    ]


def option(
    language: Language,
    *,
    times_ns: Sequence[int],
    values: Sequence[float],
    limits: Mapping[str, float],
    span_ns: tuple[int, int],
    zone: tzinfo,
    unit: str = "",
    title: str = "",
    small: bool = False,
) -> dict[str, Any]:
    """The whole option. `times_ns` UTC, `values` NaN where there is none, `span_ns` what the time axis covers."""
    shown = [value for value in values if math.isfinite(value)]
    # a limit far from the values would flatten them: it is drawn once the values come near it
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    reach = max(high - low, abs(high) * 0.5, 1e-9)
    near = {c: v for c, v in limits.items() if not shown or low - 2 * reach <= v <= high + 2 * reach}
    low, high = min([low, *near.values()]), max([high, *near.values()])
    bottom, top, step = scale(low, high, 2 if small else 4)
    # ECharts knows the browser's zone and UTC: the gateway's is UTC moved by its offset
    offset = datetime.fromtimestamp(span_ns[1] // NS, zone).utcoffset()
    shift_ms = round(offset.total_seconds() * 1000) if offset else 0
    text = {"color": AXIS, "fontSize": 11, "fontFamily": FONT}
    return {
        "animation": False,
        "useUTC": True,
        "textStyle": {"fontFamily": FONT},
        "grid": {"left": 8, "right": 12, "top": 14 if small else 30, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True, "axisPointer": {"type": "line", "lineStyle": {"color": AXIS}}},
        "xAxis": {
            "type": "time",
            "min": span_ns[0] // MS + shift_ms,
            "max": span_ns[1] // MS + shift_ms,
            "splitNumber": 3 if small else 6,
            "axisLabel": {**text, "hideOverlap": True},
            "axisLine": {"lineStyle": {"color": GRID}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "name": "" if small else f"{title}  {words.unit(unit)}" if title else words.unit(unit),
            "nameTextStyle": {**text, "align": "left" if title else "right", "fontWeight": 600 if title else 400},
            "min": bottom,
            "max": top,
            "interval": step,
            "axisLabel": text,
            "splitLine": {"lineStyle": {"color": GRID}},
        },
        "series": [
            {
                "type": "line",
                "showSymbol": False,
                "connectNulls": False,
                "data": points(times_ns, values, shift_ms),
                "lineStyle": {"color": LINE, "width": 2},
                "itemStyle": {"color": LINE},
                "areaStyle": {"color": LINE, "opacity": 0.08, "origin": "start"},
                "markLine": {"symbol": "none", "silent": True, "animation": False, "data": limit_lines(language, near)},
            }
        ],
    }
