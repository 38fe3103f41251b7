"""`/metrics`, `/healthz`, `/readyz` and who may ask, on both servers."""

from __future__ import annotations

import asyncio
import errno

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gateway.console.guard import Guard, Verdict, is_loopback, split_listen
from gateway.console.http import bind, serve_plain
from gateway.errors import ConfigError
from tests.conftest import free_port
from tests.console import memory
from tests.console.serving import TOKEN, is_ready, server_of, serving

both = pytest.mark.parametrize("plain", [True, False], ids=["plain", "page"])


@both
async def test_metrics_are_what_a_scraper_reads(plain: bool) -> None:
    """Given samples with odd labels, the exposition parses and keeps names, labels and values."""
    async with (
        serving(memory.corner(), plain=plain) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}metrics") as answer,
    ):
        text = await answer.text()
        assert answer.content_type == "application/openmetrics-text"
    read = {(s.name, tuple(s.labels.items())): s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert read == {
        ("zhiwang_source_messages_total", (("source", "here"),)): 41_210.0,
        ("zhiwang_component_up", (("kind", "camera"), ("name", "crossing"))): 0.0,
        ("zhiwang_sink_lag_s", (("sink", 'in"flux\\'),)): 0.25,
    }


@both
async def test_readyz_says_whether_and_why(plain: bool) -> None:
    """Given a source that was never attached: 503 with the reason; once it is: 200."""
    state: list[tuple[bool, dict[str, object]]] = [(False, {"sources": {"here": "never attached"}})]
    async with serving(memory.corner(), plain=plain, ready=lambda: state[0]) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}readyz") as answer:
            assert answer.status == 503
            assert await answer.json() == {"ready": False, "sources": {"here": "never attached"}}
        state[0] = (True, {"durable": False})
        async with session.get(f"{url}readyz") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True, "durable": False})


@both
async def test_with_a_token_only_probes_go_without(plain: bool) -> None:
    """Given a token: probes answer anybody, without reasons; all else wants it, and takes it in three ways."""
    async with serving(memory.corner(), TOKEN, plain=plain) as url, aiohttp.ClientSession() as session:

        async def status(path: str, **kept: object) -> int:
            async with session.get(url + path, allow_redirects=False, **kept) as answer:
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "'self'" in answer.headers["Content-Security-Policy"]
                assert TOKEN not in await answer.text()
                return answer.status

        assert await status("healthz") == 200
        async with session.get(f"{url}readyz") as answer:
            assert await answer.json() == {"ready": True}
        assert await status("metrics") == 401
        assert await status("metrics", headers={"Authorization": "Bearer wrong"}) == 401
        assert await status("metrics", headers={"Authorization": f"Bearer {TOKEN}"}) == 200
        assert await status(f"metrics?token={TOKEN}") == 200
        session_cookie = Guard("127.0.0.1:1", TOKEN).session
        assert await status("metrics", headers={"Cookie": f"zhiwang_session={session_cookie}"}) == 200
        assert await status("metrics", headers={"Cookie": f"zhiwang_session={TOKEN}"}) == 401


@both
async def test_another_site_cannot_reach_through_the_browser(plain: bool) -> None:
    """Given a foreign Origin, or a foreign name that resolves to us: 403."""
    async with serving(memory.corner(), plain=plain) as url, aiohttp.ClientSession() as session:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            async with session.get(f"{url}metrics", headers=headers) as answer:
                assert answer.status == 403


async def test_the_page_s_socket_is_guarded_too() -> None:
    """Given a token, NiceGUI's websocket refuses who has none, and who comes from another site."""
    async with serving(memory.corner(), TOKEN) as url, aiohttp.ClientSession() as session:
        socket = f"{url}_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(socket, headers=headers)
            assert refused.value.status == 403
        async with session.ws_connect(socket, headers={"Authorization": f"Bearer {TOKEN}"}):
            pass


async def test_the_page_serves_again_in_the_same_process_and_ends_in_order() -> None:
    """Given a server that was cancelled, its port is free and a second one shows the second gateway."""
    for name in ("first", "second"):
        view = memory.corner()
        view.said["gateway"] = name
        async with serving(view) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
            assert f"<title>{name} " in await answer.text()
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session, session.get(url):
            pass


@both
async def test_it_takes_exactly_the_port_it_was_given(plain: bool) -> None:
    """Given a port that is taken, OSError says so: the caller tries the next."""
    with bind(f"127.0.0.1:{free_port()}") as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match="in use") as refused:
            await server_of(plain=plain)(memory.corner(), listen, None, is_ready)
    assert refused.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", ":8080", "[::]:8080", "192.0.2.7:8080", "gateway.example:8080"])
def test_beyond_loopback_it_refuses_to_start_without_a_token(listen: str) -> None:
    """Given an address that others reach, no token is an error that says what to write."""
    with pytest.raises(ConfigError, match=r"http\.token: not set.*secrets/page-token"):
        Guard(listen, None)
    with pytest.raises(ConfigError):
        Guard(listen, "")
    assert Guard(listen, TOKEN).judge("/metrics", {"host": "gateway.example:8080"}) is Verdict.LOGIN


async def test_the_plain_server_refuses_too() -> None:
    """Given 0.0.0.0 without a token, nothing listens."""
    port = free_port()
    with pytest.raises(ConfigError):
        await serve_plain(memory.corner(), f"0.0.0.0:{port}", None, is_ready)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_a_bad_address_is_explained(listen: str) -> None:
    """Given no port, or none that exists: what was found and an example."""
    with pytest.raises(ConfigError, match=r"found .*127\.0\.0\.1:8080"):
        split_listen(listen)


def test_loopback_is_known_in_every_spelling() -> None:
    """Given addresses of this machine alone, no token is needed."""
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example"))
