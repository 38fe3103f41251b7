"""A line drawn on a whole gateway's page: into local.yaml, and there after the next start."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.console.test_page import look
from tests.e2e.test_evidence import SUBJECT, film
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.async_api import Browser, Page

    from tests.servers.gateway import Gateway

pytest.importorskip("nicegui", reason="the console extra is not installed")
expect = pytest.importorskip("playwright.async_api", reason="playwright is not installed").expect

CONFIG = """
gateway: drawn
cameras:
  gate: {detect: gate.mp4, model: model.onnx, rate: 5, loop: true, health: "off", motion: "off"}
evidence: "off"
recording: "off"
"""


async def camera(browser: Browser, gateway: Gateway) -> Page:
    """The camera, large, with a picture."""
    page = await look(browser, f"http://127.0.0.1:{gateway.port}/", "en-GB")
    await page.locator(".zw-tabs button", has_text="Cameras").click()
    await expect(page.locator(".zw-cameras .zw-picture img")).to_be_visible(timeout=20_000)
    await page.locator(".zw-cameras figure button").click()
    await expect(page.locator(".zw-one-stage .zw-picture img")).to_be_visible()
    return page


@pytest.mark.timeout(120)
async def test_a_line_that_is_drawn_holds_after_the_next_start(
    browser: Browser, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given a running gateway, then a drawn line waits for the next start and says so, and is there after it."""
    gateway = gateway_of(CONFIG)
    gateway.config.write_text(gateway.config.read_text().replace("page: false", "page: true"))
    film(gateway.folder / "gate.mp4", [SUBJECT])
    red_yolox(gateway.folder / "model.onnx", classes=80)
    await asyncio.to_thread(gateway.start)
    page = await camera(browser, gateway)
    await page.locator(".zw-one-head button", has_text="Heat map").click()
    await expect(page.locator(".zw-over image.zw-heat")).to_have_count(1)
    await page.locator(".zw-one-head button", has_text="Draw").click()
    await page.locator(".zw-tools [data-do=new_line]").click()
    box = await page.locator(".zw-over svg").bounding_box()
    assert box is not None
    for x in (0.4, 0.6):
        await page.mouse.click(box["x"] + x * box["width"], box["y"] + box["height"] / 2)
    await page.locator(".zw-tools [data-do=done]").click()
    await page.locator(".zw-tools [data-do=save]").click()
    await expect(page.locator(".zw-one-pending")).to_contain_text("started again")
    await expect(page.locator(".zw-one-stage .zw-line")).to_have_count(0)
    await page.close()

    assert await asyncio.to_thread(gateway.stop) == 0
    assert "line-1: [[" in (gateway.folder / "local.yaml").read_text()
    await asyncio.to_thread(gateway.start)
    page = await camera(browser, gateway)
    await expect(page.locator(".zw-one-stage .zw-picture .zw-line")).to_have_count(1)
    await expect(page.locator(".zw-one-pending")).to_be_hidden()
