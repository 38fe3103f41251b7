"""The page as an operator's browser shows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.ports import Judged
from tests.console import memory
from tests.console.serving import TOKEN, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

pytest.importorskip("nicegui", reason="the console extra is not installed")
expect = pytest.importorskip("playwright.async_api", reason="playwright is not installed").expect


async def look(browser: Browser, url: str, language: str = "zh-CN", width: int = 1280, height: int = 720) -> Page:
    """A new browser's page, laid out."""
    context = await browser.new_context(viewport={"width": width, "height": height}, locale=language)
    page = await context.new_page()
    await page.goto(url)
    await expect(page.locator(".zw-clock")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    return page


@pytest.fixture
async def corner() -> AsyncIterator[tuple[memory.MemoryView, str]]:
    """The street corner of experience.md, served."""
    view = memory.corner(memory.jpeg())
    async with serving(view) as url:
        yield view, url


async def test_the_first_screen_says_what_to_do_and_what_is_blind(
    browser: Browser, corner: tuple[memory.MemoryView, str]
) -> None:
    """Given two open alerts and a frozen camera, one screen without scrolling tells them apart."""
    page = await look(browser, corner[1])

    await expect(page.locator(".zw-sum")).to_contain_text("2 件事要处理")
    await expect(page.locator(".zw-sum")).to_contain_text("1 处看不见")
    first = page.locator(".zw-row").first
    await expect(first).to_contain_text("河道水位")
    await expect(first).to_contain_text("3.32 m")
    await expect(first).to_contain_text("14 分钟 · 未确认")
    await expect(page.locator(".zw-row").nth(1)).to_contain_text("王工已确认")
    await expect(page.locator(".zw-blind")).to_contain_text("画面冻结")
    await expect(page.locator(".zw-right")).to_contain_text("派人封闭人民路下穿通道")
    await expect(page.locator(".zw-right .zw-code")).to_have_text("LG17-4K2M")
    await expect(page.locator(".zw-echart svg path").first).to_be_attached()
    scrolls = (
        "[document.documentElement.scrollHeight <= innerHeight, document.documentElement.scrollWidth <= innerWidth]"
    )
    assert await page.evaluate(scrolls) == [True, True]


async def test_acknowledging_reaches_the_gateway_with_what_the_person_saw(
    browser: Browser, corner: tuple[memory.MemoryView, str]
) -> None:
    """Given an unacknowledged alert, the button sends its id, its seq and who it was."""
    view, url = corner
    page = await look(browser, url)
    await page.locator(".zw-who").click()
    await page.locator(".zw-dialog input").fill("李工")
    await page.locator(".zw-dialog .zw-do").click()

    await page.locator(".zw-right .zw-do", has_text="确认").click()

    await expect(page.locator(".zw-row").first).to_contain_text("李工已确认")
    (command,) = view.commands
    assert (command.target, command.verb, command.who, command.if_seq) == ("flood-7d1c", "acknowledge", "李工", 812)


async def test_the_keyboard_acknowledges_and_shelves(browser: Browser, corner: tuple[memory.MemoryView, str]) -> None:
    """Given the first alert chosen, A acknowledges it; S asks for how long, and the answer shelves it."""
    view, url = corner
    page = await look(browser, url)

    await page.keyboard.press("a")
    await expect(page.locator(".zw-row").first).to_contain_text("已确认")
    await page.keyboard.press("s")
    await page.locator(".zw-dialog input").fill("在修")
    await page.locator(".zw-dialog .zw-do", has_text="1 小时").click()

    await expect(page.locator(".zw-left")).to_contain_text("已搁置")
    await expect(page.locator(".zw-sum")).to_contain_text("1 件事要处理")
    shelve = view.commands[-1]
    assert (shelve.verb, shelve.note, shelve.until_ns) == ("shelve", "在修", memory.NOW_NS + 3600 * memory.NS)


async def test_one_key_says_that_an_alert_was_real_or_false(
    browser: Browser, corner: tuple[memory.MemoryView, str]
) -> None:
    """Given an open alert and one that ended, X and V judge the chosen one, the same again takes that back."""
    view, url = corner
    view.said_of = [Judged("flood", 12, 7, 2, 30, 4), Judged("dust", 3, 0, 0, 0, 0)]
    page = await look(browser, url)
    await expect(page.locator(".zw-facts")).to_contain_text("本月 12 起,判断过 9 起,误报 2 起")

    await page.keyboard.press("x")
    await expect(page.locator(".zw-row").first).to_contain_text("未确认 · 标为误报")
    await expect(page.locator(".zw-verdict[aria-pressed=true]")).to_contain_text("误报")
    await page.keyboard.press("x")
    await expect(page.locator(".zw-row").first).not_to_contain_text("标为误报")

    await page.locator(".zw-row", has_text="积尘").click()
    await expect(page.locator(".zw-detail-title")).to_contain_text("积尘")
    await expect(page.locator(".zw-facts")).not_to_contain_text("本月")
    await page.locator(".zw-recent .zw-row").first.click()
    await page.locator(".zw-verdict", has_text="属实").click()
    await expect(page.locator(".zw-recent .zw-row").first).to_contain_text("标为属实")
    assert [(c.target, c.verb, c.if_seq) for c in view.commands] == [
        ("flood-7d1c", "wrong", 812),
        ("flood-7d1c", "unmark", 813),
        ("flood-old", "right", 812),
    ]


async def test_a_value_that_moved_on_meanwhile_is_no_conflict_but_a_worse_level_is(
    browser: Browser, corner: tuple[memory.MemoryView, str]
) -> None:
    """Given an alert that changed after it was shown: the same level is acknowledged, a higher one is shown first."""
    view, url = corner
    page = await look(browser, url)
    view.alerts["flood-7d1c"]["seq"] = 830
    await page.keyboard.press("a")
    await expect(page.locator(".zw-row").first).to_contain_text("已确认")

    view.alerts["flood-7d1c"] |= {"state": "active_unacknowledged", "change": "raised_level", "seq": 840}
    view.now += 2 * memory.NS
    await expect(page.locator(".zw-row").first).to_contain_text("未确认")
    view.alerts["flood-7d1c"] |= {"severity": "extreme", "severity_max": "extreme", "seq": 841}
    # time stands still, so the page has not looked again and does not know of the red line
    await page.keyboard.press("a")

    await expect(page.locator(".q-notification").last).to_contain_text("别人刚刚改过")
    await expect(page.locator(".zw-row").first).to_contain_text("红")
    assert view.alerts["flood-7d1c"]["state"] == "active_unacknowledged"


async def test_the_language_follows_the_browser_and_the_switch(
    browser: Browser, corner: tuple[memory.MemoryView, str]
) -> None:
    """Given an English browser the page is English; the switch makes it Chinese, and it stays so."""
    page = await look(browser, corner[1], "en-GB")
    await expect(page.locator(".zw-sum")).to_contain_text("2 to deal with")
    await expect(page.locator(".zw-right")).to_contain_text("Send someone to close the Renmin Rd underpass")

    await page.locator(".zw-lang").click()
    await expect(page.locator(".zw-sum")).to_contain_text("2 件事要处理")
    await page.reload()
    await expect(page.locator(".zw-sum")).to_contain_text("2 件事要处理")
    assert await page.evaluate("document.documentElement.lang") == "zh"


async def test_news_appears_by_itself(browser: Browser, corner: tuple[memory.MemoryView, str]) -> None:
    """Given an open page, an alert that is raised and a camera that sees again show without a reload."""
    view, url = corner
    page = await look(browser, url)
    view.alerts["bank-03fe"] = memory.bank()
    del view.alerts["health-c0de"]
    view.parts = [part for part in view.parts if part.ok]
    view.now += 2 * memory.NS

    await expect(page.locator(".zw-sum")).to_contain_text("3 件事要处理")
    await expect(page.locator(".zw-sum")).to_contain_text("看得见 100 %")
    await page.locator(".zw-row", has_text="河岸有人").click()
    await expect(page.locator(".zw-figure image, .zw-figure img")).to_be_attached()
    await expect(page.locator(".zw-figure svg rect").first).to_be_attached()
    await expect(page.locator(".zw-figure .zw-zone")).to_be_attached()


async def test_with_nothing_open_it_says_so_and_when_the_last_was(browser: Browser) -> None:
    """Given no alert and everything seen: no empty table."""
    view = memory.corner()
    view.alerts.clear()
    view.parts = [part for part in view.parts if part.ok]
    async with serving(view) as url:
        page = await look(browser, url)
        await expect(page.locator(".zw-sum")).to_contain_text("没有要处理的事 · 上一件 3 小时前")
        await expect(page.locator(".zw-left")).to_contain_text("都看得见")


async def test_a_phone_shows_the_left_column_alone(browser: Browser, corner: tuple[memory.MemoryView, str]) -> None:
    """Given 390 × 844, the list fills the width; a tap opens the detail, which acts and goes back."""
    page = await look(browser, corner[1], width=390, height=844)
    await expect(page.locator(".zw-right")).to_be_hidden()
    await page.locator(".zw-row").first.click()
    await expect(page.locator(".zw-right")).to_be_visible()
    await expect(page.locator(".zw-left")).to_be_hidden()
    await page.locator(".zw-back").click()
    await expect(page.locator(".zw-left")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_cameras_series_and_health_have_pages_of_their_own(
    browser: Browser, corner: tuple[memory.MemoryView, str]
) -> None:
    """Given the corner, each tab shows each thing once."""
    page = await look(browser, corner[1], "en-GB")
    await page.locator(".zw-tabs button", has_text="Cameras").click()
    await expect(page.locator(".zw-cameras figure")).to_have_count(2)
    await expect(page.locator(".zw-cameras img")).to_have_count(2)
    await page.locator(".zw-tabs button", has_text="Series").click()
    await expect(page.locator(".zw-series .zw-card")).to_have_count(3)
    await page.locator(".zw-find input").fill("pm25")
    await expect(page.locator(".zw-series .zw-card")).to_have_count(1)
    await page.locator(".zw-tabs button", has_text="Health").click()
    await expect(page.locator(".zw-health tr", has_text="picture frozen")).to_have_count(1)
    await expect(page.locator(".zw-health")).to_contain_text("config_sha")


async def test_nothing_is_asked_of_another_host(browser: Browser, corner: tuple[memory.MemoryView, str]) -> None:
    """Given every tab visited, each request went to the gateway itself."""
    context = await browser.new_context(locale="en-GB")
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    await page.goto(corner[1])
    for name in ("Cameras", "Series", "Health", "Now"):
        await page.locator(".zw-tabs button", has_text=name).click()
    await expect(page.locator(".zw-row").first).to_be_visible()

    host = corner[1].removeprefix("http://")
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((f"http://{host}", f"ws://{host}", "data:", "blob:"))] == []
    assert wrong == []


async def test_a_token_in_the_address_logs_in_and_leaves_it(browser: Browser) -> None:
    """Given a token: without it a form, with it the page; the address keeps no token; the form works too."""
    async with serving(memory.corner(), TOKEN) as url:
        context = await browser.new_context(locale="en-GB")
        page = await context.new_page()
        await page.goto(url)
        await page.locator("#token").fill("wrong")
        await page.locator("button").click()
        await expect(page.locator(".wrong")).to_have_text("That is not the token")
        await page.locator("#token").fill(TOKEN)
        await page.locator("button").click()
        await expect(page.locator(".zw-sum")).to_contain_text("2 to deal with")

        other = await (await browser.new_context(locale="en-GB")).new_page()
        await other.goto(f"{url}?token={TOKEN}")
        await expect(other.locator(".zw-sum")).to_contain_text("2 to deal with")
        assert other.url == url


async def test_titles_from_sensors_are_text_not_markup(browser: Browser) -> None:
    """Given names with markup, the page shows the characters and runs nothing."""
    view = memory.corner()
    view.alerts["flood-7d1c"]["title"] = {"zh": "<img src=x onerror='window.hurt=1'>"}
    async with serving(view) as url:
        page = await look(browser, url)
        await expect(page.locator(".zw-row").first).to_contain_text("<img src=x")
        assert await page.evaluate("window.hurt") is None
