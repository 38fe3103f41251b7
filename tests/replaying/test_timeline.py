"""A diff as a picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest

from gateway.errors import ConfigError, GatewayError
from gateway.replaying.diff import diff
from gateway.replaying.timeline import picture, timeline
from tests.core.build import S
from tests.replaying.alert_lines import DUSTS, replayed, rows

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.replaying.diff import Diff

SVG = "{http://www.w3.org/2000/svg}"


def changed() -> Diff:
    """Of a day without flood, and with one; its dust came later."""
    later = [(second + 12, dust) for second, dust in DUSTS]
    return diff(replayed(rows(levels=())), replayed(rows(dusts=later)), 2 * S)


def test_a_row_a_rule_and_subject_with_the_bars_of_both_sides(tmp_path: Path) -> None:
    timeline(changed(), tmp_path / "day.svg")

    root = ET.fromstring((tmp_path / "day.svg").read_text(encoding="utf-8"))  # noqa: S314 - written above
    words = [text.text for text in root.iter(f"{SVG}text")]
    titles = [title.text or "" for title in root.iter(f"{SVG}title")]
    assert {"dust", "flood", "air.pm25{device=a}", "water.level{gauge=g1}", "+", "2026-05-29"} <= set(words)
    assert words.index("dust") < words.index("flood")
    assert sum(title.startswith("flood") for title in titles) == 4  # yellow, orange, yellow, and again
    assert sum(title.startswith("dust") for title in titles) == 4  # twice in each
    assert any("raised: 2026-05-29T04:27:30+08:00 → 2026-05-29T04:27:42+08:00" in title for title in titles)


def test_every_bar_is_inside_the_picture() -> None:
    drawn = picture(changed())

    root = ET.fromstring(drawn.svg())  # noqa: S314 - drawn above
    for bar in root.iter(f"{SVG}rect"):
        x, width = float(bar.get("x", "0")), float(bar.get("width", "0"))
        assert x >= 0
        assert x + width <= drawn.width


def test_names_that_are_markup_are_words() -> None:
    lines = [line.replace(b'"device=a"', b"").replace(b"device=a", b"device=<b>&$x$") for line in replayed(rows())]

    svg = picture(diff(lines, [], 0)).svg()

    assert "air.pm25{device=<b>&$x$}" in [word.text for word in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - drawn above


def test_a_png_by_matplotlib(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    timeline(changed(), tmp_path / "day.png", "zh")

    assert (tmp_path / "day.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_png_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)

    with pytest.raises(GatewayError, match=r"pip install 'zhiwang\[analysis\]', or write an \.svg"):
        timeline(changed(), tmp_path / "day.png")


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found the ending '\.jpg'; a picture is written to a \.svg or \.png"):
        timeline(changed(), tmp_path / "day.jpg")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"day\.svg: cannot be written \(No such file"):
        timeline(changed(), tmp_path / "none" / "day.svg")


def test_no_alerts_at_all_and_more_rows_than_a_picture_holds() -> None:
    line = msgspec.json.decode(replayed(rows())[0])
    many = [msgspec.json.encode({**line, "id": f"i{n}", "subject": f"water.level{{gauge=g{n:03}}}"}) for n in range(70)]

    assert "A 与 B 都没有告警" in picture(diff([], [], 0), "zh").svg()
    assert "… and 10 more rows: the table and --json have all" in picture(diff(many, [], 0)).svg()
