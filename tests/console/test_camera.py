"""One camera, large, as an operator's browser shows it: drawing zones and lines, counts, and where things stood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.app.pen import Pen
from gateway.ports import Counted, Heat
from gateway.registry import registry
from tests.console import memory
from tests.console.serving import serving
from tests.console.test_page import look

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Locator, Page

pytest.importorskip("nicegui", reason="the console extra is not installed")
expect = pytest.importorskip("playwright.async_api", reason="playwright is not installed").expect

CONFIG = """
gateway: lg-017-02
cameras:
  river:
    detect: river.mp4
    zones: {bank: [[0.0, 0.6], [1.0, 0.5], [1.0, 1.0], [0.0, 1.0]]}
    lines: {path: [[0.2, 0.55], [0.7, 0.75]]}
rules:
  bank: {count: person, in: river.bank, levels: {yellow: 3}}
"""
KNOWN = registry()


def counts() -> list[Counted]:
    """An hour of one zone and one line."""
    return [
        Counted(
            "zones",
            "bank",
            "person",
            {"entered": 12, "appeared": 1, "left": 11},
            {"entered": 2, "left": 1},
            1.42,
            5,
            0.96,
        ),
        Counted("lines", "path", "person", {"in": 31, "out": 28}, {"in": 2, "out": 2}, 0.0, 0, 0.62),
    ]


def heat() -> Heat:
    """A path across the picture, and somebody who stands."""
    cells = np.zeros((27, 48), np.int64)
    for column in range(6, 44):
        cells[20 - column // 8, column] = 12 + column % 5
        cells[21 - column // 8, column] = 5
    cells[17, 30] = 90
    return Heat(cells, 300, memory.NOW_NS - 42 * memory.MIN)


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[tuple[memory.MemoryView, str, Path]]:
    """The corner, whose camera `river` is in a configuration's file."""
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    view = memory.corner(memory.jpeg())
    view.pen = Pen(path, KNOWN)
    view.counts = {"river": counts()}
    view.heats = {"river": heat()}
    drawing = await view.pen.read("river")
    assert drawing is not None
    picture = view.pictures["river"]
    view.pictures["river"] = picture._replace(zones=list(drawing.zones.items()), lines=list(drawing.lines.items()))
    async with serving(view) as url:
        yield view, url, path


async def opened(browser: Browser, url: str, language: str = "en-GB", width: int = 1280, height: int = 720) -> Page:
    """The page with the camera `river`, large."""
    page = await look(browser, url, language, width, height)
    await page.locator(".zw-tabs button").nth(1).click()
    await page.locator(".zw-cameras figure").nth(1).locator("button").click()
    await expect(page.locator(".zw-one-stage .zw-picture img")).to_be_visible()
    return page


async def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the picture is on the screen."""
    return tuple(
        await page.evaluate(
            """([x, y]) => { const svg = document.querySelector(".zw-over svg"), box = svg.viewBox.baseVal;
            const p = new DOMPoint(x * box.width, y * box.height).matrixTransform(svg.getScreenCTM());
            return [p.x, p.y]; }""",
            [x, y],
        )
    )


def tool(page: Page, name: str) -> Locator:
    """A button of the drawing tools."""
    return page.locator(f".zw-tools [data-do={name}]")


async def test_counts_say_what_came_and_how_far_to_believe_it(
    browser: Browser, street: tuple[memory.MemoryView, str, Path]
) -> None:
    """Given an hour of a zone and a line, then who is there now, the sums and their doubt, and what was watched."""
    page = await opened(browser, street[1])
    zone, line = page.locator(".zw-count-card").first, page.locator(".zw-count-card").nth(1)
    await expect(zone).to_contain_text("bank")
    await expect(zone).to_contain_text("3 now")
    await expect(zone).to_contain_text("12 ± 2")
    await expect(zone).to_contain_text("watched 96 %")
    await expect(line).to_contain_text("31 ± 2")
    await expect(line.locator(".zw-count-sure.low")).to_have_text("watched 62 %")
    await expect(page.locator(".zw-one-stage .zw-picture .zw-line")).to_have_count(1)
    await expect(page.locator(".zw-one-pending")).to_be_hidden()


async def test_the_heat_map_says_since_when(browser: Browser, street: tuple[memory.MemoryView, str, Path]) -> None:
    """Given a grid, then the toggle lays it over the picture with its beginning, and takes it away again."""
    page = await opened(browser, street[1])
    toggle = page.locator(".zw-one-head button", has_text="Heat map")
    await toggle.click()
    await expect(page.locator(".zw-over image.zw-heat")).to_have_count(1)
    await expect(page.locator(".zw-one-legend")).to_contain_text("since 01:34")
    await expect(page.locator(".zw-one-legend")).to_contain_text("30 % of the looks")
    await toggle.click()
    await expect(page.locator(".zw-over image.zw-heat")).to_have_count(0)


async def test_a_dragged_point_and_a_new_line_go_into_local_yaml(
    browser: Browser, street: tuple[memory.MemoryView, str, Path]
) -> None:
    """Given a point that is dragged and a line that is tapped, then local.yaml has them, gateway.yaml is as it was."""
    view, url, path = street
    page = await opened(browser, url)
    await page.locator(".zw-one-head button", has_text="Draw").click()
    await expect(tool(page, "save")).to_be_visible()
    await page.mouse.click(*await at(page, 0.5, 0.9))
    await expect(page.locator(".zw-tools .zw-shape-name")).to_have_value("bank")
    await page.mouse.move(*await at(page, 1.0, 0.5))
    await page.mouse.down()
    await page.mouse.move(*await at(page, 0.9, 0.45), steps=3)
    await page.mouse.up()
    await tool(page, "new_line").click()
    await page.mouse.click(*await at(page, 0.3, 0.2))
    await page.mouse.click(*await at(page, 0.6, 0.25))
    await page.locator(".zw-one-head button", has_text="Draw").click()  # again: what was drawn stays
    await tool(page, "done").click()
    await page.locator(".zw-tools .zw-shape-name").fill("gate")
    await tool(page, "save").click()

    await expect(page.locator(".zw-one-pending")).to_contain_text("systemctl restart zhiwang")
    await expect(page.locator(".zw-tools")).to_be_hidden()
    drawing = await view.drawing("river")
    assert drawing is not None
    assert drawing.zones["bank"][1] == pytest.approx((0.9, 0.45), abs=0.01)
    assert drawing.zones["bank"][0] == (0.0, 0.6)
    assert drawing.lines["gate"] == (pytest.approx((0.3, 0.2), abs=0.01), pytest.approx((0.6, 0.25), abs=0.01))
    assert drawing.lines["path"] == ((0.2, 0.55), (0.7, 0.75))
    assert path.read_text() == CONFIG


async def test_the_keyboard_draws_moves_and_removes(
    browser: Browser, street: tuple[memory.MemoryView, str, Path]
) -> None:
    """Given nobody who points, then a new zone is there to be moved with arrows, given a point more, and saved."""
    view, url, _ = street
    page = await opened(browser, url)
    await page.locator(".zw-one-head button", has_text="Draw").focus()
    await page.keyboard.press("Enter")
    await tool(page, "new_zone").focus()
    await page.keyboard.press("Enter")
    await page.locator(".zw-over [data-handle='0']").focus()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("Shift+ArrowUp")
    await page.keyboard.press("+")
    await page.locator(".zw-over [data-handle='3']").focus()
    await page.keyboard.press("Delete")
    await tool(page, "save").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".zw-one-pending")).to_contain_text("gateway.yaml was not touched")
    drawing = await view.drawing("river")
    assert drawing is not None
    assert drawing.zones["zone-1"] == ((0.345, 0.3), (0.4975, 0.325), (0.65, 0.35), (0.35, 0.65))


async def test_what_cannot_be_is_said_beside_the_drawing(
    browser: Browser, street: tuple[memory.MemoryView, str, Path]
) -> None:
    """Given an outline that crosses itself, a name that is taken, or a zone that a rule needs: nothing is written."""
    _, url, path = street
    page = await opened(browser, url)
    note = page.locator(".zw-tool-note")
    await page.locator(".zw-one-head button", has_text="Draw").click()
    await tool(page, "new_zone").click()
    for x, y in ((0.2, 0.1), (0.4, 0.3), (0.4, 0.1), (0.2, 0.3)):
        await page.mouse.click(*await at(page, x, y))
    await page.mouse.click(*await at(page, 0.2, 0.1))
    await expect(note).to_have_text("zone-1: it crosses itself")
    await expect(tool(page, "save")).to_be_disabled()
    await page.locator(".zw-over [data-handle='3']").focus()
    await tool(page, "remove_point").click()
    await page.locator(".zw-tools .zw-shape-name").fill("bank")
    await expect(note).to_contain_text("this name is taken")
    await page.locator(".zw-tools .zw-shape-name").fill("Bank")
    await expect(note).to_contain_text("a-z 0-9")
    await tool(page, "remove_shape").click()
    await page.mouse.click(*await at(page, 0.5, 0.9))
    await tool(page, "remove_shape").click()
    await tool(page, "save").click()
    await expect(note).to_contain_text("rules.bank")
    assert not (path.parent / "local.yaml").exists()
    await tool(page, "undo").click()
    await expect(page.locator(".zw-over polygon.zw-edit")).to_have_count(1)


async def test_a_browser_that_sends_nonsense_is_refused(
    browser: Browser, street: tuple[memory.MemoryView, str, Path]
) -> None:
    """Given shapes outside the picture, too many, or twice of one name, sent past the tools: nothing is written."""
    _, url, path = street
    page = await opened(browser, url)
    await page.locator(".zw-one-head button", has_text="Draw").click()
    await expect(tool(page, "save")).to_be_attached()
    for shapes in (
        [{"kind": "zones", "name": "x", "points": [[2, 0], [0, 1], [1, 1]]}],
        [{"kind": "doors", "name": "x", "points": []}],
        [{"kind": "lines", "name": "x", "points": [[0, 0], [1, 1]]}] * 2,
        "much",
    ):
        await page.evaluate("shapes => emitEvent('zw_drawn', {camera: 'river', shapes})", shapes)
        await expect(page.locator(".zw-tool-note.wrong")).to_be_visible()
        await page.evaluate("document.querySelector('.zw-over').layer.editor.refused([])")
    assert not (path.parent / "local.yaml").exists()


async def test_a_finger_draws_on_a_phone_in_chinese(
    browser: Browser, street: tuple[memory.MemoryView, str, Path]
) -> None:
    """Given 390 × 844 and touch, then a tapped zone is saved, and nothing is wider than the screen."""
    view, url, _ = street
    context = await browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", has_touch=True)
    page = await context.new_page()
    await page.goto(url)
    await page.locator(".zw-tabs button", has_text="摄像头").tap()
    await page.locator(".zw-cameras figure").nth(1).locator("button").tap()
    await expect(page.locator(".zw-one-stage .zw-picture img")).to_be_visible()
    await page.locator(".zw-one-head button", has_text="画区域和线").tap()
    await tool(page, "new_zone").tap()
    for x, y in ((0.2, 0.1), (0.5, 0.1), (0.4, 0.4)):
        await page.touchscreen.tap(*await at(page, x, y))
    await tool(page, "done").tap()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await tool(page, "save").tap()
    await expect(page.locator(".zw-one-pending")).to_contain_text("gateway.yaml 没有改动")
    drawing = await view.drawing("river")
    assert drawing is not None
    assert len(drawing.zones["zone-1"]) == 3
