"""The proxy itself: a fault that did nothing would let every test here pass without the thing."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import free_port
from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.proxy import Proxy


class Echo:
    """A server that sends back what it gets, and counts the ends it was told of."""

    def __init__(self) -> None:
        self.ends = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                while got := sock.recv(65_536):
                    sock.sendall(got)
            except OSError:
                pass
        self.ends += 1

    def close(self) -> None:
        """End it; its connections end with those of the proxy."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Set up before the proxy, so that it ends after it."""
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo, proxy_to: Callable[[int], Proxy]) -> Proxy:
    return proxy_to(echo.port)


def client(proxy: Proxy) -> socket.socket:
    """Connected, and known to work."""
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    assert said(sock, b"hello") == b"hello"
    return sock


def said(sock: socket.socket, what: bytes, seconds: float = 5.0) -> bytes:
    """What comes back."""
    sock.settimeout(seconds)
    sock.sendall(what)
    got = b""
    while len(got) < len(what) and (more := sock.recv(65_536)):
        got += more
    return got


def test_without_a_fault_everything_passes_and_the_end_too(echo: Echo, proxy: Proxy) -> None:
    body = bytes(range(256)) * 2000
    with client(proxy) as sock:
        assert said(sock, body) == body
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    until(lambda: echo.ends == 1)
    assert proxy.passed == {"out": len(body) + 5, "in": len(body) + 5}


def test_a_delay_is_one_each_way(proxy: Proxy) -> None:
    with client(proxy) as sock:
        proxy.delay(0.1)
        begun = time.monotonic()
        assert said(sock, b"x") == b"x"
        assert time.monotonic() - begun >= 0.2


def test_a_stall_holds_everything_back_and_lets_it_go(proxy: Proxy) -> None:
    with client(proxy) as sock:
        proxy.stall()
        with pytest.raises(TimeoutError):
            said(sock, b"later", 0.2)
        proxy.mend()
        sock.settimeout(5)
        assert sock.recv(10) == b"later"


def test_a_cut_is_a_reset_and_the_next_connection_works(echo: Echo, proxy: Proxy) -> None:
    with client(proxy) as sock:
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    until(lambda: echo.ends == 1)
    client(proxy).close()


def test_half_open_takes_all_and_says_nothing_not_even_an_end(echo: Echo, proxy: Proxy) -> None:
    with client(proxy) as before:
        proxy.half_open()
        for sock in (before, socket.create_connection(("127.0.0.1", proxy.port), timeout=5)):
            with sock, pytest.raises(TimeoutError):
                said(sock, b"lost", 0.2)
    proxy.mend()
    with client(proxy) as after:
        assert said(after, b"well") == b"well"
    until(lambda: echo.ends == 1)  # of the one after; nobody told of the one before
    assert proxy.passed["out"] == 5 + 5 + 4


def test_corruption_flips_single_bits(proxy: Proxy) -> None:
    with client(proxy) as sock:
        proxy.corrupt(1.0)
        flipped = int.from_bytes(said(sock, bytes(100)))
        assert 1 <= flipped.bit_count() <= 4


def test_a_throttle_is_so_many_bytes_a_second(proxy: Proxy) -> None:
    with client(proxy) as sock:
        proxy.throttle(50_000)
        begun = time.monotonic()
        said(sock, bytes(10_000))
        assert 0.4 <= time.monotonic() - begun < 3


def test_refusal_resets_and_refuses_until_it_is_mended(proxy: Proxy) -> None:
    with client(proxy) as sock:
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    proxy.mend()
    client(proxy).close()


def test_a_target_that_is_away_ends_the_connection(proxy_to: Callable[[int], Proxy]) -> None:
    port = proxy_to(free_port()).port
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock, pytest.raises(ConnectionResetError):
        sock.recv(1)
