"""What a replay said otherwise than was expected: for people, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.replaying.shown import MOST, STYLE, Words, brief, clock, pair, rendered

if TYPE_CHECKING:
    from rich.text import Text

    from gateway.language import Language

FIELDS = 5  # of one changed line
TOLD = ("title", "text", "do", "recent", "late_s", "colour", "coverage_1h")  # what is written from the rest
NUMBERS = frozenset({"seq", "epoch", "id", "code"})
"""What follows from how many alerts there were before."""


class Line(msgspec.Struct, frozen=True):
    """One change of an alert, in short; `line` counts from 1 in the file or in what was replayed."""

    line: int
    rule: str
    subject: str
    change: str
    changed: str
    severity: str
    value: float | None
    unit: str | None


class Changed(msgspec.Struct, frozen=True):
    """A change that was expected otherwise: `fields` by dotted name, (expected, came)."""

    expected: Line
    line: int
    fields: dict[str, tuple[object, object]]


class Difference(msgspec.Struct, frozen=True):
    """An expectation against a replay. `expected`, `came`, `same`: how many changes of alerts.

    other_gateway: (whose the expectation is, whose the replay), where nothing can be compared; other_config: the same
    of config_sha, which by itself is no difference. gone: changes of rules that are not configured, by rule.
    renumbered: changes that differ in nothing but their numbers, which follow from how many came before. outside: how
    many of the missing are from before the first or after the last that came.
    """

    file: str
    expected: int
    came: int
    same: int = 0
    other_gateway: tuple[str, str] | None = None
    other_config: tuple[str, str] | None = None
    gone: dict[str, int] = {}
    missing: tuple[Line, ...] = ()
    unexpected: tuple[Line, ...] = ()
    changed: tuple[Changed, ...] = ()
    renumbered: tuple[Changed, ...] = ()
    outside: int = 0

    @property
    def ok(self) -> bool:
        """Whether the replay said what was expected, and nothing else."""
        return self.other_gateway is None and not self.gone and not self._details() and not self.renumbered

    def json(self) -> bytes:
        """One object: `ok`, and the fields."""
        return msgspec.json.encode({"ok": self.ok, **msgspec.structs.asdict(self)})

    def text(self, language: Language = "en", *, colour: bool = False, most: int = MOST) -> str:
        """Lines for people: what is the matter, then at most so many details."""
        return rendered(self._lines(Words(language), most), colour=colour)

    def _details(self) -> list[Line | Changed]:
        return [*self.missing, *self.unexpected, *self.changed]

    def _lines(self, say: Words, most: int) -> list[Text | str]:
        lines: list[Text | str] = [self._head(say), *self._origin(say)]
        details = sorted(self._details() or self.renumbered, key=_when)
        lines += [_detail(one, self.missing, say) for one in details[:most]]
        if len(details) > most:
            more = len(details) - most
            lines.append(say(f"  … and {more} more: --json has all", f"  …… 还有 {more} 条：--json 可看全部"))
        if self.renumbered and self._details():
            count = say.many(len(self.renumbered), "more change", "条变化")
            lines.append(
                say(
                    f"  {count} only in numbers (seq, id), which follow from these",
                    f"  另有 {count}只差编号(seq、id),随上面的差异而来",
                )
            )
        return lines

    def _head(self, say: Words) -> str:
        if self.other_gateway:
            ours, theirs = self.other_gateway
            return say(
                f"{self.file}: of gateway {ours}, the replay is of {theirs}: nothing can be compared. "
                f"It has {self.expected} changes of alerts, the replay {self.came}",
                f"{self.file}：属于网关 {ours}，而回放的是 {theirs}：无法比较。"
                f"文件中有 {self.expected} 条告警变化，回放得到 {self.came} 条",
            )
        if self.ok:
            many = say.many(self.came, "change", "条告警变化")
            return say(
                f"{self.file}: as expected, {many} of alerts" if self.came else f"{self.file}: as expected, no alert",
                f"{self.file}：与预期一致，{many}" if self.came else f"{self.file}：与预期一致，没有告警",
            )
        if not self.expected:
            return say(
                f"{self.file} is empty, so no alert is expected, and {self.came} changes of alerts came. "
                f"If it is yet to be written: zhiwang replay … --alerts {self.file}",
                f"{self.file} 是空文件，即预期没有告警，而回放得到 {self.came} 条告警变化。"
                f"如果尚未生成：zhiwang replay … --alerts {self.file}",
            )
        missing, new, otherwise = len(self.missing), len(self.unexpected), len(self.changed)
        if not self._details():
            otherwise = len(self.renumbered)
        counts = say(
            f"{missing} missing, {new} unexpected, {otherwise} changed",
            f"缺少 {missing}，多出 {new}，改变 {otherwise}",
        )
        return say(
            f"{self.file}: {counts}; {self.same} of {self.expected} changes of alerts are as expected",
            f"{self.file}：{counts}；预期的 {self.expected} 条告警变化中 {self.same} 条一致",
        )

    def _origin(self, say: Words) -> list[str]:
        """Where the expectation comes from, where that explains what differs."""
        lines: list[str] = []
        if self.other_config and not self.ok:
            ours, theirs = self.other_config
            lines.append(
                say(
                    f"  note: it was made with configuration {ours}, the replay ran with {theirs} (a version "
                    "with other settings changes it, too)",
                    f"  注意：它用配置 {ours} 生成，回放用的是 {theirs}(版本的设置不同也会改变它)",
                )
            )
        if self.outside:
            lines.append(
                say(
                    f"  note: {self.outside} of the missing are from before or after what was replayed: another span?",
                    f"  注意：缺少的有 {self.outside} 条早于或晚于全部回放内容：时间段是否不同？",
                )
            )
        for rule, count in self.gone.items():
            many = say.many(count, "change", "条变化")
            lines.append(
                say(
                    f"  no rule {rule} in this configuration: {many} of its alerts cannot come",
                    f"  此配置没有规则 {rule}：它的 {many}不会出现",
                )
            )
        return lines


def _when(detail: Line | Changed) -> tuple[str, int]:
    line = detail.expected if isinstance(detail, Changed) else detail
    return line.changed, line.line


def _detail(detail: Line | Changed, missing: tuple[Line, ...], say: Words) -> Text:
    from rich.text import Text  # noqa: PLC0415 - as in `rendered`

    if isinstance(detail, Changed):
        return Text.assemble(*_head(detail.expected, "~", say("changed", "改变"), "yellow", say), _fields(detail, say))
    if any(detail is one for one in missing):
        return Text.assemble(*_head(detail, "−", say("missing", "缺少"), "red", say), _end(detail, say("line", "行")))
    where = say("replayed line", "回放行")
    return Text.assemble(*_head(detail, "+", say("unexpected", "多出"), "green", say), _end(detail, where))


def _head(line: Line, sign: str, word: str, style: str, say: Words) -> list[tuple[str, str]]:
    value = "" if line.value is None else f" {brief(line.value)} {line.unit or ''}".rstrip()
    return [
        (f"  {sign} {word:<11}", style),
        (f"{clock(line.changed)}  ", ""),
        (f"{line.rule} {line.subject} ", "bold"),
        (f"{line.change} ", ""),
        (say.colour(line.severity), STYLE.get(line.severity, "")),
        (value, ""),
    ]


def _end(line: Line, where: str) -> str:
    return f"  ({where} {line.line})"


def _fields(changed: Changed, say: Words) -> str:
    """What differs; what is written from the rest only where nothing else does, the numbers where not even that."""
    other = say("zh", "en")  # of texts in two languages the reader's own is shown
    names = sorted(
        changed.fields, key=lambda name: (_rank(name), name.endswith(f".{other}"), not name.startswith("text"))
    )
    rank = _rank(names[0])
    shown = [name for name in names if _rank(name) == rank][: 1 if rank == 1 else FIELDS]
    parts = [f"{name} {' → '.join(pair(*changed.fields[name]))}" for name in shown]
    more = [f"… {len(names) - len(shown)} more"] if len(names) > len(shown) else []
    return ": " + "; ".join([*parts, *more])


def _rank(name: str) -> int:
    return 2 if name in NUMBERS else 1 if name.startswith(TOLD) else 0
