"""`zhiwang watch` beside a running gateway, and on a broker."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiomqtt
import msgspec
import pytest

from gateway.clock import WallClock
from gateway.config.box import HistoryConfig
from gateway.console.alert import Alert, Shelf
from gateway.console.board import Board, Wanted, severity_of
from gateway.console.feeds import Heard, Login
from gateway.console.terminal import FIRST_LINE, line
from gateway.errors import RefusedError
from gateway.events import Command
from gateway.sinks.history import History
from gateway.sinks.mqtt_client import Incoming
from gateway.sinks.mqtt_inbox import Inbox
from gateway.sinks.outward import Topics
from gateway.sources.local import NAME, LocalSocket
from tests.console import memory
from tests.console.memory import NOW_NS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

WATCH = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "watch"]
ENGLISH = {
    **os.environ,
    "LC_ALL": "C.UTF-8",
    "USER": "chief",
    "TERM": "xterm-256color",
    "COLUMNS": "140",
    "LINES": "40",
}
BASE = "zhiwang/v1/330383017/lg-017-02"


@asynccontextmanager
async def running(folder: Path, view: memory.MemoryView) -> AsyncIterator[Path]:
    """A gateway's local socket over `view`; yields its configuration's file."""
    config = folder / "gateway.yaml"
    config.write_text(f"gateway: lg-017-02\nstate: {folder}/state\n", encoding="utf-8")

    async def commit(batch: Sequence[object]) -> None:
        del batch

    async with asyncio.TaskGroup() as tasks:
        socket = tasks.create_task(LocalSocket(folder / "state" / NAME, view, WallClock()).run(commit))
        async with asyncio.timeout(10):
            while not (folder / "state" / NAME).exists():  # noqa: ASYNC110 - a file that appears has no event
                await asyncio.sleep(0.01)
        yield config
        socket.cancel()


async def watch(*words: str | Path) -> tuple[int, str, str]:
    """Run the verb to its end: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *WATCH, *words, env=ENGLISH, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out.decode(), err.decode()


async def test_what_is_open_now_in_lines_and_as_json(tmp_path: Path) -> None:
    """Given three open alerts, --once prints them worst first; filters leave the others out."""
    view = memory.corner()
    async with running(tmp_path, view) as config:
        code, out, err = await watch(config, "--once")
        assert (code, err) == (0, "")
        assert [text.count("LG17-4K2M") for text in out.splitlines()] == [1, 0, 0]
        assert "River level 3.32 m" in out
        assert "acknowledged by 王工" in out
        _, out, _ = await watch(config, "--once", "--json", "--severity", "orange")
        assert [json.loads(text)["id"] for text in out.splitlines()] == ["flood-7d1c"]
        _, out, _ = await watch(config, "--once", "--json", "--class", "equipment")
        assert [json.loads(text)["id"] for text in out.splitlines()] == ["health-c0de"]
        _, out, _ = await watch(config, "--once", "--json", "--rule", "dust")
        assert [json.loads(text)["id"] for text in out.splitlines()] == ["dust-91aa"]


async def test_acknowledge_and_shelve_by_code(tmp_path: Path) -> None:
    """Given a code, the command reaches the gateway with the person's name; an unknown code is exit 3."""
    view = memory.corner()
    async with running(tmp_path, view) as config:
        assert await watch(config, "--ack", "lg17-4k2m", "--who", "王工") == (0, "lg17-4k2m: Acknowledged\n", "")
        code, _, _ = await watch(config, "--shelve", "LG17-9QX3", "--for", "2 h", "--note", "mended tomorrow")
        assert code == 0
        code, _, err = await watch(config, "--ack", "LG17-0000")
        assert (code, err) == (3, "zhiwang: LG17-0000: no open alert has this id or code\n")
    ack, shelve = view.commands
    assert (ack.target, ack.verb, ack.who) == ("flood-7d1c", "acknowledge", "王工")
    assert (shelve.target, shelve.verb, shelve.who, shelve.note) == ("dust-91aa", "shelve", "chief", "mended tomorrow")


async def test_right_and_wrong_by_code_also_of_an_alert_that_has_closed(tmp_path: Path) -> None:
    """Given an open alert and one that closed, each is judged by its code or id; of an unknown one exit 3 says why."""
    view = memory.corner()
    view.past[0] |= {"id": "flood-5ca1ab1e00c0ffee", "code": "LG17-0LD1"}
    async with running(tmp_path, view) as config:
        said = await watch(config, "--wrong", "lg17-9qx3", "--who", "王工", "--note", "fog")
        assert said == (0, "lg17-9qx3: Marked as false\n", "")
        assert await watch(config, "--right", "lg17-0ld1") == (0, "lg17-0ld1: Marked as real\n", "")
        assert await watch(config, "--unmark", "flood-5ca1ab1e00c0ffee") == (
            0,
            "flood-5ca1ab1e00c0ffee: Mark taken back\n",
            "",
        )
        code, _, err = await watch(config, "--right", "LG17-0000")
        assert (code, "no open alert has this id or code" in err) == (3, True)
        _, out, _ = await watch(config, "--once")
        assert "acknowledged by 王工 · marked false by 王工" in out
    wrong, right, unmark, _ = view.commands
    assert (wrong.target, wrong.verb, wrong.who, wrong.note) == ("dust-91aa", "wrong", "王工", "fog")
    assert (right.target, right.verb, unmark.target, unmark.verb) == (
        *("LG17-0LD1", "right"),
        *("flood-5ca1ab1e00c0ffee", "unmark"),
    )


async def test_shelving_says_until_when_and_when_that_is_less_than_was_wanted(tmp_path: Path) -> None:
    """Given two hours, the time they end; given 99 days, when the gateway's most ends, and that it is that."""
    view = memory.corner()
    view.now = WallClock().now_ns()
    async with running(tmp_path, view) as config:
        wanted_ns = view.now + 2 * 3600 * memory.NS
        _, out, _ = await watch(config, "--shelve", "LG17-9QX3", "--for", "2 h")
        told = out.removeprefix("LG17-9QX3: Shelved until ").strip()
        near = {memory.iso(wanted_ns + late * memory.NS)[11:16] for late in (0, 60)}
        assert told[-5:] in near
        _, out, _ = await watch(config, "--shelve", "LG17-4K2M", "--for", "99 d")
        assert out.endswith(": the gateway allows no longer (commands.shelve_at_most)\n")
        assert memory.iso(view.now + 8 * 3600 * memory.NS)[11:16] in out


async def test_no_gateway_is_exit_1_and_a_bad_word_exit_2(tmp_path: Path) -> None:
    """Given nobody at the socket, the reason; given a colour that is none, what is allowed."""
    config = tmp_path / "gateway.yaml"
    config.write_text(f"gateway: lg-017-02\nstate: {tmp_path}/state\n", encoding="utf-8")
    code, _, err = await watch(config, "--once")
    assert code == 1
    assert "no gateway" in err
    code, _, err = await watch(config, "--severity", "purple")
    assert code == 2
    assert "a severity is one of minor" in err


async def test_in_a_pipe_each_change_is_a_line(tmp_path: Path) -> None:
    """Given a pipe, what is open is printed, then what changes, as it changes."""
    view = memory.corner()
    async with running(tmp_path, view) as config:
        process = await asyncio.create_subprocess_exec(
            *WATCH, config, "--class", "city", env=ENGLISH, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(30):
                opened = {(await process.stdout.readline()).decode() for _ in range(2)}
                assert any("LG17-9QX3" in text for text in opened)
                view.alerts["bank-03fe"] = memory.bank() | {"seq": 900}
                assert "People on the bank 3" in (await process.stdout.readline()).decode()
        finally:
            process.terminate()
            await process.wait()


async def test_on_a_terminal_keys_acknowledge_and_judge(tmp_path: Path) -> None:
    """Given a terminal, A acknowledges the chosen alert, X and V judge it, the same key takes it back; Q leaves."""
    view = memory.corner()
    async with running(tmp_path, view) as config:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        try:
            process = await asyncio.create_subprocess_exec(
                *WATCH, config, env=ENGLISH, stdin=theirs, stdout=theirs, stderr=theirs
            )
            seen = await shown(ours, "LG17-4K2M", "not acknowledged")
            assert "Send someone to close" in seen
            os.write(ours, b"a")
            await shown(ours, "LG17-4K2M: Acknowledged", "acknowledged by chief")
            os.write(ours, b"x")
            await shown(ours, "LG17-4K2M: Marked as false", "marked false by chief")
            os.write(ours, b"v")
            await shown(ours, "LG17-4K2M: Marked as real", "marked real by chief")
            os.write(ours, b"v")
            await shown(ours, "LG17-4K2M: Mark taken back")
            os.write(ours, b"q")
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            os.close(ours)
            os.close(theirs)
    assert [(c.target, c.verb, c.if_seq) for c in view.commands] == [
        ("flood-7d1c", verb, seq) for seq, verb in enumerate(("acknowledge", "wrong", "right", "unmark"), 812)
    ]


async def shown(terminal: int, *wanted: str) -> str:
    """Read the terminal until all of it has been shown."""
    seen = ""
    async with asyncio.timeout(30):
        while not all(text in seen for text in wanted):
            try:
                seen += os.read(terminal, 65_536).decode(errors="replace")
            except BlockingIOError:
                await asyncio.sleep(0.02)
    return seen


@asynccontextmanager
async def publishing(broker: Mosquitto, view: memory.MemoryView, folder: Path) -> AsyncIterator[None]:
    """A gateway on the broker: retained open alerts, and commands read as our sink reads them."""
    history = History(folder / "history.sqlite", HistoryConfig(), WallClock())
    inbox = Inbox("city", Topics("330383017", "lg-017-02"), ("chief",), history, lambda: "")

    async def obey(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = str(message.topic)
            incoming = Incoming(topic, bytes(message.payload), retain=False, answer_on="", correlation=b"")
            asked = inbox.command(topic.rpartition("/")[2], incoming)
            if isinstance(asked, Command):
                asked = inbox.reply(asked.reply_to, msgspec.json.encode(await view.command(asked)))
            if asked is not None:
                await client.publish(asked.topic, asked.payload, qos=1)

    try:
        async with aiomqtt.Client(broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe(f"{BASE}/command/+", qos=1)
            for alert in view.alerts.values():
                body = msgspec.json.encode(alert | {"gateway": "lg-017-02"})
                await client.publish(f"{BASE}/open/{alert['id']}", body, qos=1, retain=True)
            async with asyncio.TaskGroup() as tasks:
                obeying = tasks.create_task(obey(client))
                yield
                obeying.cancel()
            for alert in view.alerts:
                await client.publish(f"{BASE}/open/{alert}", b"", qos=1, retain=True)
    finally:
        await history.aclose()


async def test_on_a_broker_it_sees_every_gateway_and_commands_by_topic(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Given retained open alerts, they are listed; an allowed name is obeyed, another one is told why not."""
    view = memory.corner()
    view.now = WallClock().now_ns()
    async with publishing(own_mosquitto, view, tmp_path):
        code, out, _ = await watch(own_mosquitto.url, "--once")
        assert code == 0
        assert "lg-017-02 Longgang Ave / Renmin Rd" in out
        assert (await watch(own_mosquitto.url, "--shelve", "LG17-4K2M", "--for", "30 min"))[0] == 0
        code, _, err = await watch(own_mosquitto.url, "--ack", "LG17-9QX3", "--who", "stranger")
        assert code == 3
        assert "commands.mqtt does not name them" in err
    (shelve,) = view.commands
    assert (shelve.target, shelve.verb, shelve.who) == ("flood-7d1c", "shelve", "chief")


def heard(**changes: object) -> Heard:
    """A change of an alert."""
    body = memory.flood() | changes
    alert = msgspec.convert(body, Alert)
    return Heard(alert.id, alert, body, change=True)


def test_what_comes_twice_or_late_changes_nothing() -> None:
    """Given the same seq on two topics, and an older one after it, only the first is news."""
    board = Board(Wanted())
    assert board.take(heard(seq=5))
    assert not board.take(heard(seq=5))
    assert not board.take(heard(seq=4, state="active_acknowledged"))
    assert board.take(heard(seq=1, epoch="new"))
    assert board.take(heard(seq=6, epoch="new", change="closed", state="normal"))
    assert board.shown() == []


def test_whoever_heard_it_rise_hears_it_fall() -> None:
    """Given a filter by severity, an alert that had reached it is still shown when it has fallen."""
    board = Board(Wanted(severity_of("orange")))
    assert not board.take(heard(seq=1, severity="moderate", severity_max="moderate"))
    assert board.take(heard(seq=2, severity="severe", severity_max="severe"))
    assert board.take(heard(seq=3, severity="moderate", severity_max="severe"))


@pytest.mark.parametrize(
    ("url", "login"),
    [
        ("mqtt://broker", Login("broker", 1883, None, "kept", tls=False, ca=None)),
        ("mqtts://me@broker", Login("broker", 8883, "me", "kept", tls=True, ca=None)),
        ("mqtt://me:p%40ss@broker:1884", Login("broker", 1884, "me", "p@ss", tls=False, ca=None)),
    ],
)
def test_a_brokers_address_is_read(url: str, login: Login) -> None:
    """Given a URL, host, port, user, password and TLS."""
    assert Login.parse(url, "kept", None) == login


def test_another_scheme_is_refused_with_what_is_expected() -> None:
    """Given http://, what was found and what is allowed."""
    with pytest.raises(RefusedError, match="found 'http://x'; expected mqtt://host"):
        Login.parse("http://x", None, None)


def test_a_line_says_it_all_in_140_characters() -> None:
    """Given a shelved alert with a long title, the line holds its state words up to the limit."""
    body = memory.flood() | {"title": {"zh": "水" * 200}}
    assert len(line("zh", msgspec.convert(body, Alert))) == FIRST_LINE
    shelved = msgspec.convert(memory.dust() | {"state": "shelved"}, Alert)
    shelved = msgspec.structs.replace(shelved, shelved=Shelf("王工", "", memory.iso(NOW_NS)))
    assert line("zh", shelved).endswith("王工搁置至 02:16")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, " River level 3.32 m"),
        ({"subject": "water.level{site=s42}"}, " River level s42 3.32 m"),
        ({"subject": "water.level{site=s%2C4%25}"}, " River level s,4% 3.32 m"),
        (
            {"subject": "water.level{site=s42}", "title": {"en": "water.level{site=s42}"}},
            " water.level{site=s42} 3.32 m",
        ),
        (
            {
                "class": "equipment",
                "subject": "source/here{condition=connected}",
                "title": {"en": "source/here: not connected"},
            },
            " source/here: not connected 3.32 m",
        ),
        (
            {"class": "equipment", "subject": "water{site=s42}", "title": {"en": "water{site=s42} is silent"}},
            " water{site=s42} is silent 3.32 m",
        ),
    ],
    ids=["one", "a rule's title", "a comma in it", "a subject as title", "equipment", "silence"],
)
def test_which_one_it_is_is_said_once(changes: dict[str, object], told: str) -> None:
    """Given a title that names the device, it is not said again; given one that is a rule's, it is."""
    alert = msgspec.convert(memory.flood() | changes, Alert)
    assert line("en", alert).partition(" · ")[0].endswith(alert.code + told)
