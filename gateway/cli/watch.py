"""`zhiwang watch`: the ops centre's terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from rich.console import Console

from gateway.cli.typed import typed
from gateway.cli.words import told
from gateway.clock import NS, WallClock
from gateway.config.scalars import Duration
from gateway.console import words
from gateway.console.alert import parse_ns
from gateway.console.board import Board, Wanted, severity_of
from gateway.console.commands import refusal
from gateway.console.feeds import BrokerFeed, LocalFeed, Login
from gateway.console.terminal import Screen, keys, line
from gateway.console.words import say
from gateway.errors import GatewayError, TransientError, Unreachable
from gateway.events import Command
from gateway.language import Language, of_environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from gateway.console.alert import Alert
    from gateway.console.feeds import Feed, Heard
    from gateway.events import Verb

EXAMPLE = "zhiwang watch gateway.yaml      zhiwang watch mqtt://broker --severity orange"
SHELVES_S = {"1": 900, "2": 3600, "3": 4 * 3600, "4": 8 * 3600}
AGAIN_S = (1.0, 5.0)  # between tries, with full jitter
READY_S = 10.0
CODE = 4  # letters and digits of a code behind its dash; an id has more
JUDGING = frozenset({"right", "wrong", "unmark"})  # also asked of alerts that have closed
SHORTER_NS = 60 * NS  # clocks of a terminal and a gateway may differ so much


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("where", metavar="CONFIG|mqtt://…", help="a gateway's configuration, or a broker")
    parser.add_argument(
        "--severity", type=typed(severity_of), default="minor", help="this one and worse, as a word or a colour"
    )
    parser.add_argument("--rule", help="only this rule's alerts")
    parser.add_argument("--class", dest="class_", choices=("city", "equipment"), help="only alerts of this class")
    parser.add_argument("--once", action="store_true", help="print what is open and end")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, as on the alert's topic")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--ack", metavar="CODE", help="acknowledge this alert (its code or id) and end")
    act.add_argument("--shelve", metavar="CODE", help="put this alert aside for --for, and end")
    act.add_argument("--unshelve", metavar="CODE", help="take it back, and end")
    act.add_argument("--right", metavar="CODE", help="say that this alert was real, also after it closed, and end")
    act.add_argument("--wrong", metavar="CODE", help="say that it was a false alarm, and end")
    act.add_argument("--unmark", metavar="CODE", help="take that back, and end")
    parser.add_argument(
        "--for",
        dest="for_",
        type=typed(Duration.parse),
        default=Duration(3600 * NS),
        metavar="1 h",
        help="how long to shelve (default 1 h)",
    )
    parser.add_argument("--who", default=os.environ.get("USER", ""), help="your name, kept with the command")
    parser.add_argument("--note", default="", help="why")
    parser.add_argument("--password-file", type=Path, help="the broker's password (or ZHIWANG_MQTT_PASSWORD)")
    parser.add_argument("--ca", help="certificates that sign the broker's, a PEM file")


def run(args: argparse.Namespace) -> int:
    """Watch, or send one command. Exit 0 done, 1 unreachable, 3 the command was refused."""
    with suppress(KeyboardInterrupt, BrokenPipeError):
        return asyncio.run(_Watch(args).run())
    return 0


def _feed(args: argparse.Namespace, clock: WallClock) -> Feed:
    where = str(args.where)
    if "://" in where:
        kept: Path | None = args.password_file
        password = kept.read_text(encoding="utf-8").rstrip("\r\n") if kept else os.environ.get("ZHIWANG_MQTT_PASSWORD")
        login = Login.parse(where, password, args.ca)
        return BrokerFeed(login, f"zhiwang-watch-{clock.token_hex(4)}")
    from gateway.config.load import load  # noqa: PLC0415 - a broker's watcher needs no configuration
    from gateway.registry import registry  # noqa: PLC0415 - as above
    from gateway.sources.local import NAME  # noqa: PLC0415 - as above

    return LocalFeed(load(Path(where), registry()).state / NAME)


class Answer(NamedTuple):
    """What came of a command: `why` it was not obeyed, or the words that it is `done`."""

    why: str
    done: str = ""


class _Watch:
    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._clock = WallClock()
        self._language: Language = of_environment()
        self._feed = _feed(args, self._clock)
        self._board = Board(Wanted(args.severity, args.rule, args.class_))
        self._known = asyncio.Event()
        self._screen: Screen | None = None
        self._pressed: asyncio.Queue[str] = asyncio.Queue(64)  # keys, and "" for news: both draw the screen anew

    async def run(self) -> int:
        """Do what was asked for."""
        args = self._args
        asked: dict[Verb, str | None] = {"acknowledge": args.ack, "shelve": args.shelve, "unshelve": args.unshelve}
        asked |= {"right": args.right, "wrong": args.wrong, "unmark": args.unmark}
        for verb, code in asked.items():
            if code:
                return await self._beside(partial(self._act, verb, code))
        if args.once:
            return await self._beside(self._print_open)
        if sys.stdout.isatty() and sys.stdin.isatty() and not args.json:
            return await self._live()
        await self._follow(lasting=True)
        return 0

    async def _beside(self, work: Callable[[], Awaitable[int]]) -> int:
        """Do `work` once what is open is known, while following goes on for its replies."""
        try:
            async with asyncio.TaskGroup() as tasks:
                follower = tasks.create_task(self._follow(lasting=False))
                try:
                    async with asyncio.timeout(READY_S):
                        await self._known.wait()
                except TimeoutError as error:
                    raise Unreachable(f"{self._args.where} did not say what is open in {READY_S:.0f} s") from error
                code = await work()
                follower.cancel()
        except ExceptionGroup as group:
            raise _first(group) from group
        return code

    async def _follow(self, *, lasting: bool) -> None:
        """Follow the feed; `lasting`: again and again, whatever breaks, and with each change told."""
        while True:
            try:
                async for heard in self._feed.follow():
                    if heard is None:
                        self._known.set()
                        self._tell("")
                    elif self._board.take(heard) and lasting:
                        self._show(heard)
            except TransientError as error:
                if not lasting:
                    raise
                self._tell(str(error))
                await self._clock.sleep(self._clock.uniform(*AGAIN_S))

    def _show(self, heard: Heard) -> None:
        if self._screen is not None:
            self._wake("")
        elif heard.alert is not None:
            print(msgspec.json.encode(heard.body).decode() if self._args.json else line(self._language, heard.alert))
            sys.stdout.flush()

    def _tell(self, text: str) -> None:
        if self._screen is not None:
            self._screen.told = text
            self._wake("")
        elif text:
            print(f"zhiwang: {told(text)}", file=sys.stderr)

    def _wake(self, key: str) -> None:
        with suppress(asyncio.QueueFull):
            self._pressed.put_nowait(key)

    async def _print_open(self) -> int:
        shown = self._board.shown()
        for alert in shown:
            print(self._board.body(alert) if self._args.json else line(self._language, alert))
        if not shown and not self._args.json:
            print(say(self._language, "nothing"))
        return 0

    async def _act(self, verb: Verb, code: str) -> int:
        alert = self._board.find(code)
        if alert is None and verb not in JUDGING:
            answer = Answer(say(self._language, "not_open"))
        else:
            answer = await self._send(verb, code, alert, int(self._args.for_))
        if answer.why:
            print(f"zhiwang: {code}: {answer.why}", file=sys.stderr)
            return 3
        print(f"{code}: {answer.done}")
        return 0

    async def _send(self, verb: Verb, code: str, alert: Alert | None, for_ns: int) -> Answer:
        """Send a command, and what came of it. Without an alert `code` is one that may have closed."""
        until_ns = self._clock.now_ns() + for_ns if verb == "shelve" else None
        command = Command(
            id=f"watch-{self._clock.token_hex(8)}",
            target=alert.id if alert else _named(code),
            verb=verb,
            who=self._args.who,
            note=self._args.note,
            if_seq=alert.seq
            if alert and not code
            else None,  # a code typed by hand means the alert, not one of its moments
            until_ns=until_ns,
        )
        try:
            reply = await self._feed.command(command, alert)
        except GatewayError as error:
            return Answer(told(str(error)))
        return Answer(refusal(reply), self._done(verb, str(reply.get("until") or ""), until_ns))

    def _done(self, verb: Verb, until: str, wanted_ns: int | None) -> str:
        """That it was done; of shelving until when, and whether that is less than was wanted."""
        given_ns = parse_ns(until)
        if wanted_ns is None or not given_ns:
            return say(self._language, f"done_{verb}")
        shown = words.moment(given_ns, self._clock.now_ns(), datetime.fromisoformat(until).tzinfo or UTC)
        less = given_ns < wanted_ns - SHORTER_NS
        return say(self._language, "done_shelve_less" if less else "done_shelve_until", until=shown)

    async def _live(self) -> int:
        console = Console()
        try:
            async with asyncio.TaskGroup() as tasks:
                with Screen(console, self._language, self._board) as self._screen, keys(self._wake):
                    follower = tasks.create_task(self._follow(lasting=True))
                    while await self._turn(self._screen):
                        pass
                    follower.cancel()
        except ExceptionGroup as group:
            raise _first(group) from group
        return 0

    async def _turn(self, screen: Screen) -> bool:
        """Draw, then wait for a key, for news, or a second; False: the person leaves."""
        screen.draw(self._clock.now_ns())
        try:
            async with asyncio.timeout(1):
                key = await self._pressed.get()
        except TimeoutError:
            return True
        alert = self._board.find(screen.chosen)
        if key == "q":
            return False
        if key in {"up", "k", "down", "j"}:
            screen.move(-1 if key in {"up", "k"} else 1)
        elif key == "s":
            screen.told = say(self._language, "shelve_keys")
        elif alert and (verb := _verb(key, alert)):
            answer = await self._send(verb, "", alert, SHELVES_S.get(key, 0) * NS)
            done = f"{alert.code}: {answer.done}"
            screen.told = say(self._language, "refused", why=answer.why) if answer.why else done
        return True


def _named(word: str) -> str:
    """A code as gateways write it, whatever was typed; an id as it is."""
    return word if len(word.rpartition("-")[2]) > CODE else word.upper()


def _verb(key: str, alert: Alert) -> Verb | None:
    """What a key asks of the chosen alert; the key of what was said of it already takes that back."""
    if key in SHELVES_S:
        return "shelve"
    if key in {"v", "x"}:
        verdict: Verb = "right" if key == "v" else "wrong"
        return "unmark" if alert.verdict == verdict else verdict
    return "acknowledge" if key == "a" else "unshelve" if key == "u" else None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended a group of tasks."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
