"""A diff as a picture: a row a rule and subject, the alerts of A above those of B, coloured by severity.

A time at which only one of them has an alert is outlined and has a sign: + in B, − in A. A thin line leads from where
an alert was raised in A to where it was in B. Rows with differences come first.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from gateway.replaying.drawing import Box, Picture, Shape, Stroke, Word
from gateway.replaying.shown import Words, clock, lasting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.language import Language
    from gateway.replaying.diff import Diff, Pair
    from gateway.replaying.lives import Life, Span

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1200.0, 250.0, 24.0, 84.0, 40.0  # px; a page's width
LANE, ROW = 13.0, 44.0  # px: a bar, and a row of two
LEAST = 3.0  # px: so wide is the shortest alert
MOST_ROWS = 60  # more are no picture any more; the table and --json have all
FILL = {"minor": "#3b7ddd", "moderate": "#f2c200", "severe": "#f07c1c", "extreme": "#d4262c"}
GREY, RULE, APPEARED, VANISHED = "#777777", "#e4e4e4", "#1a8f3c", "#9a1f3d"
TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800, 2592000)
MOST_TICKS = 9


class _Scale(NamedTuple):
    """Time to px."""

    from_ns: int
    to_ns: int
    zone_ns: int

    def x(self, at_ns: int) -> float:
        share = (at_ns - self.from_ns) / (self.to_ns - self.from_ns)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> tuple[list[int], int]:
        """(times at whole steps of the gateway's own day, ns of a step)."""
        span_s = (self.to_ns - self.from_ns) / 1e9
        step = next((step for step in TICKS_S if span_s / step <= MOST_TICKS), TICKS_S[-1]) * 10**9
        first = -(-(self.from_ns + self.zone_ns) // step) * step - self.zone_ns
        return list(range(first, self.to_ns + 1, step)), step

    def words(self, at_ns: int) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=(at_ns + self.zone_ns) // 1000)


def timeline(diff: Diff, path: Path, language: Language = "en") -> None:
    """Draw a diff to a file: .svg, or .png (needs the extra `analysis`; in English).

    Raises ConfigError for another ending, GatewayError where it cannot be written.
    """
    picture(diff, "en" if path.suffix == ".png" else language).save(path)


def picture(diff: Diff, language: Language = "en") -> Picture:
    """The diff drawn."""
    say, rows = Words(language), _rows(diff.pairs)
    shown = rows[:MOST_ROWS]
    height = TOP + ROW * max(1, len(shown)) + BOTTOM
    shapes: list[Shape] = _head(diff, say)
    if not rows:
        shapes.append(
            Word(
                WIDTH / 2,
                TOP + ROW / 2,
                say("no alerts in A, none in B", "A 与 B 都没有告警"),
                GREY,
                14,
                anchor="middle",
            )
        )
        return Picture(WIDTH, height, shapes)
    scale = _scale(diff.pairs)
    shapes += _grid(scale, height)
    for place, pairs in enumerate(shown):
        shapes += _row(pairs, TOP + ROW * place, scale, diff.within_ns, say)
    if len(rows) > len(shown):
        left = len(rows) - len(shown)
        words = say(
            f"… and {left} more rows: the table and --json have all", f"…… 还有 {left} 行：表格与 --json 可看全部"
        )
        shapes.append(Word(WIDTH - RIGHT, height - 8, words, GREY, 11, anchor="end"))
    return Picture(WIDTH, height, shapes)


def _rows(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """By rule and subject; those with differences first."""
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.rule, pair.subject), []).append(pair)
    return sorted(groups.values(), key=lambda row: (all(p.kind == "same" for p in row), row[0].rule, row[0].subject))


def _scale(pairs: Sequence[Pair]) -> _Scale:
    """From the first alert to the last end, with a little around; in the gateway's own zone."""
    both = [life for pair in pairs for life in (pair.a, pair.b) if life]
    begin = min(life.raised_ns for life in both)
    end = max(
        max(span.to_ns or span.from_ns for span in life.spans or ()) if life.spans else life.raised_ns for life in both
    )
    span = max(end - begin, 10 * 10**9)
    offset = datetime.fromisoformat(both[0].raised).utcoffset() or timedelta()
    return _Scale(begin - span // 40, end + span // 20, offset // timedelta(microseconds=1) * 1000)


def _head(diff: Diff, say: Words) -> list[Shape]:
    shapes: list[Shape] = []
    for y, name, side in ((24.0, "A", diff.a), (44.0, "B", diff.b)):
        of = " · ".join(part for part in (side.gateway, side.version, side.config_sha[:12]) if part)
        shapes.append(Word(20, y, name, bold=True, size=14))
        shapes.append(Word(40, y, f"{say.many(side.alerts, 'alert', '条告警')}{'  ' if of else ''}{of}", size=13))
    x = WIDTH - RIGHT
    for text, fill, edge in reversed(_legend(say)):
        shapes.append(Word(x, 24, text, "#444444", 11.5, anchor="end"))
        x -= 7.2 * len(text) + 8 if say.language == "en" else 12.5 * len(text) + 8
        shapes.append(Box(x - 14, 14, 14, 11, fill, edge=edge))
        x -= 30
    return shapes


def _legend(say: Words) -> list[tuple[str, str, str]]:
    legend = [(say.colour(name), fill, "") for name, fill in FILL.items()]
    return [*legend, (say("appeared", "新增"), "#ffffff", APPEARED), (say("vanished", "消失"), "#ffffff", VANISHED)]


def _grid(scale: _Scale, height: float) -> list[Shape]:
    shapes: list[Shape] = []
    times, step = scale.ticks()
    day = None
    for at_ns in times:
        at, x = scale.words(at_ns), scale.x(at_ns)
        shapes.append(Stroke(x, TOP - 8, x, height - BOTTOM + 4, RULE))
        if step < 86_400 * 10**9:
            shapes.append(
                Word(
                    x,
                    height - BOTTOM + 18,
                    f"{at:%H:%M:%S}" if step % (60 * 10**9) else f"{at:%H:%M}",
                    GREY,
                    11,
                    anchor="middle",
                )
            )
        if at.date() != day:
            day = at.date()
            shapes.append(Word(x, height - BOTTOM + 32, f"{at:%Y-%m-%d}", GREY, 11, anchor="middle"))
    return shapes


def _row(pairs: Sequence[Pair], y: float, scale: _Scale, within_ns: int, say: Words) -> list[Shape]:
    rule, subject = pairs[0].rule, pairs[0].subject
    shapes: list[Shape] = [
        Stroke(20, y - 4, WIDTH - RIGHT, y - 4, RULE),
        Word(20, y + 13, rule, bold=True, size=13),
        Word(20, y + 29, subject if len(subject) <= 34 else f"{subject[:33]}…", GREY, 11.5),
        Word(LEFT - 10, y + 12, "A", GREY, 10, anchor="end"),
        Word(LEFT - 10, y + 28, "B", GREY, 10, anchor="end"),
    ]
    drawn: set[Shape] = set()  # of many short alerts beside one another only those that can be told apart
    for pair in pairs:
        a_y, b_y = y + 2, y + 2 + LANE + 3
        own: list[Shape] = []
        if pair.a and pair.b and "raised" in pair.fields:
            ends = scale.x(pair.a.raised_ns), scale.x(pair.b.raised_ns)
            own.append(Stroke(ends[0], a_y + LANE, ends[1], b_y, "#333333", 1.2))
        for life, top in ((pair.a, a_y), (pair.b, b_y)):
            if life is not None:
                own += _bars(pair, life, top, scale, within_ns, say)
        shapes += [shape for shape in own if _anew(shape, drawn)]
    return shapes


def _anew(shape: Shape, drawn: set[Shape]) -> bool:
    """Whether nothing like it stands on the same pixels."""
    if isinstance(shape, Box):
        like: Shape = shape._replace(x=round(shape.x), width=round(shape.width), title="")
    elif isinstance(shape, Word):
        like = shape._replace(x=round(shape.x))
    else:
        like = shape._replace(x1=round(shape.x1), x2=round(shape.x2))
    return like not in drawn and not drawn.add(like)


def _bars(pair: Pair, life: Life, y: float, scale: _Scale, within_ns: int, say: Words) -> list[Shape]:
    """The times at which one side's alert was active. A time at which the other's was not stands out."""
    title, other = _title(pair, life, say), pair.b if life is pair.a else pair.a
    edge, sign = (VANISHED, "−") if life is pair.a else (APPEARED, "+")
    shapes: list[Shape] = []
    last: int | None = None
    for span in life.spans:
        x, end = scale.x(span.from_ns), scale.x(scale.to_ns if span.to_ns is None else span.to_ns)
        alone = other is None or not any(_overlap(span, one, within_ns) for one in other.spans)
        shapes.append(Box(x, y, max(LEAST, end - x), LANE, FILL.get(span.severity, GREY), title, edge if alone else ""))
        if alone and last != span.from_ns:
            shapes.append(Word(x - 3, y + LANE - 2, sign, edge, 14, bold=True, anchor="end"))
        last = span.to_ns
    return shapes


def _overlap(a: Span, b: Span, within_ns: int) -> bool:
    before = a.to_ns is not None and a.to_ns + within_ns < b.from_ns
    return not before and (b.to_ns is None or b.to_ns + within_ns >= a.from_ns)


def _title(pair: Pair, life: Life, say: Words) -> str:
    ended = say("still active", "仍在") if life.ended_ns is None else lasting(life.ended_ns - life.raised_ns)
    lines = [
        f"{life.rule} {life.subject} {life.code}",
        f"{clock(life.raised)} · {ended} · {say.colour(life.severity_max)}",
    ]
    lines += [f"{name}: {old} → {new}" for name, (old, new) in pair.fields.items()]
    if pair.cause is not None:
        lines += [str(key) for key in pair.cause.keys] or [
            pair.cause.kind + (f": {pair.cause.what}" if pair.cause.what else "")
        ]
    return "\n".join(lines)
