"""A real Chromium (Debian's), headless, one for the session; every test gets pages of its own."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from playwright.async_api import Browser

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Chromium's debugging port."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    folder = tmp_path_factory.mktemp("chromium")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary, *FLAGS, f"--user-data-dir={folder}", "about:blank"], stdout=log, stderr=subprocess.STDOUT
        )
    said = folder / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    try:
        while not (said.exists() and said.read_text(encoding="ascii").count("\n")):
            assert process.poll() is None, (folder / "log").read_text(errors="replace")
            assert time.monotonic() < deadline, "Chromium did not open its debugging port in 60 s"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{said.read_text(encoding='ascii').split()[0]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """The session's Chromium, driven by playwright in the test's own loop."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only tests with a browser pay for it

    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        yield connected
        for context in connected.contexts:
            await context.close()
