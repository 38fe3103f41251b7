"""An alert's pictures and clips on the page, and who gets at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.console import memory
from tests.console.serving import TOKEN, serving
from tests.console.test_page import look

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytest.importorskip("nicegui", reason="the console extra is not installed")
expect = pytest.importorskip("playwright.async_api", reason="playwright is not installed").expect


def witnessed() -> memory.MemoryView:
    """The street corner, whose flood has a picture, a clip and a sealed one."""
    view = memory.corner(memory.jpeg())
    taken = memory.iso(memory.NOW_NS)
    kinds = {"aa": "image/jpeg", "bb": "video/mp4", "cc": "application/vnd.zhiwang.sealed", "dd": "text/html"}
    view.alerts["flood-7d1c"]["evidence"] = [
        {"n": n, "kind": kind, "sha256": sha256, "topic": "…", "taken": taken}
        for n, (sha256, kind) in enumerate(kinds.items(), 1)
    ]
    view.files = {("flood-7d1c", sha256): memory.jpeg() for sha256 in kinds}
    return view


async def test_the_detail_shows_the_picture_and_links_the_clips(browser: Browser) -> None:
    async with serving(witnessed()) as url:
        page = await look(browser, url)
        await expect(page.locator(".zw-evidence img").first).to_be_attached()
        loaded = "document.querySelector('.zw-evidence img').naturalWidth"
        await page.wait_for_function(f"{loaded} > 0")
        await expect(page.locator(".zw-evidence")).to_have_attribute("href", "evidence/flood-7d1c/aa.jpg")
        clips = page.locator(".zw-evidence-clip")
        await expect(clips).to_have_count(2)
        await expect(clips.nth(1)).to_have_attribute("href", "evidence/flood-7d1c/cc.sealed")


async def test_what_is_not_kept_is_404_and_nothing_is_served_as_a_page() -> None:
    async with serving(witnessed()) as url, aiohttp.ClientSession() as session:
        for path, status in (("aa.jpg", 200), ("zz.jpg", 404), ("dd.html", 404)):
            async with session.get(f"{url}evidence/flood-7d1c/{path}") as answer:
                assert answer.status == status, path
                assert answer.content_type == ("image/jpeg" if status == 200 else "text/plain")


async def test_beyond_loopback_it_wants_the_token() -> None:
    async with serving(witnessed(), TOKEN) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}evidence/flood-7d1c/aa.jpg", allow_redirects=False) as answer:
            assert answer.status in {303, 401}
        async with session.get(
            f"{url}evidence/flood-7d1c/aa.jpg", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as answer:
            assert answer.status == 200
