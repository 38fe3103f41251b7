"""Alerts on the ops centre's broker: every change in order, chains, retained state, status, commands, requests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import aiomqtt
import msgspec
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.clock import WallClock
from gateway.config.box import Commands, HistoryConfig
from gateway.config.common import Secret
from gateway.config.model import Broker
from gateway.errors import LoginRefused, TransientError, Unreachable
from gateway.events import Command, Health, RequestRow
from gateway.ports import Row
from gateway.sinks import mqtt_link
from gateway.sinks.history import History
from gateway.sinks.mqtt import Mqtt, MqttAlerts, MqttReplies
from gateway.sinks.surroundings import Surroundings
from tests.conftest import free_port
from tests.sinks.alerts import alert, rows
from tests.sources.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from tests.servers.mosquitto import Mosquitto

BASE = "zhiwang/v1/330383017/lg-1"
Json = dict[str, Any]


class Gateway:
    """The sink under test with what the app gives it. `commands` holds what came in."""

    def __init__(self, broker: Broker, folder: Path, allowed: tuple[str, ...] = ("chief",)) -> None:
        self.history = History(folder / "history.sqlite", HistoryConfig(), WallClock())
        self.commands: asyncio.Queue[Command] = asyncio.Queue()
        self.said: list[Health] = []
        self.durable = True
        self.kind = Mqtt(mqtt="city")
        self.around = Surroundings(
            gateway="lg-1",
            community="330383017",
            zone=ZoneInfo("Asia/Shanghai"),
            base=folder,
            brokers={"city": broker},
            clock=WallClock(),
            history=self.history,
            status=lambda: {"version": "0.1.0", "sources": "3/4"},
            durable=lambda: self.durable,
            command=self.commands.put,
            report=self._report,
            commands=Commands(mqtt=allowed),
        )
        self.alerts = MqttAlerts("city", self.around, self.kind)
        self.replies = MqttReplies(self.alerts, WallClock())

    async def _report(self, health: Health) -> None:
        self.said.append(health)


@asynccontextmanager
async def running(broker: Broker, folder: Path, *, allowed: tuple[str, ...] = ("chief",)) -> AsyncIterator[Gateway]:
    """A gateway's sink, kept running as the app does."""
    gateway = Gateway(broker, folder, allowed)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(gateway.alerts.run())
        try:
            yield gateway
        finally:
            await gateway.alerts.aclose()
    await gateway.history.aclose()


class Centre:
    """A subscriber of everything below the gateway's topics."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client

    async def next(self, wanted: str, where: Callable[[Json], bool] = lambda _: True) -> Json:
        """The payload of the next message on a topic that ends so, of which `where` holds; empty: {}."""
        async with asyncio.timeout(20):
            while True:
                message = await anext(self.client.messages)
                payload: Json = json.loads(bytes(message.payload) or b"{}")
                if str(message.topic).endswith(wanted) and where(payload):
                    return {**payload, "_topic": str(message.topic), "_retain": message.retain}

    async def send(self, topic: str, payload: object, answer_on: str = "", correlation: bytes = b"") -> None:
        """Publish below the gateway's topics, in MQTT 5's way of asking where `answer_on` is given."""
        properties = None
        if answer_on:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = answer_on
            properties.CorrelationData = correlation
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        await self.client.publish(f"{BASE}/{topic}", body, qos=1, properties=properties)


@asynccontextmanager
async def centre(broker: Mosquitto, *filters: str) -> AsyncIterator[Centre]:
    """An ops centre with its subscription in place."""
    async with aiomqtt.Client(broker.host, broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        for topic in filters or (f"{BASE}/#",):
            await client.subscribe(topic, qos=1)
        yield Centre(client)


async def retained(broker: Mosquitto, wanted: str) -> dict[str, Json]:
    """What a new subscriber finds retained, by the topics' last level."""
    found: dict[str, Json] = {}
    async with centre(broker, f"{BASE}/{wanted}", "sync/me") as someone:
        await someone.client.publish("sync/me", b"{}", qos=1)
        while (message := await someone.next(""))["_topic"] != "sync/me":
            if message["_retain"]:
                found[message["_topic"].rpartition("/")[2]] = message
    return found


@pytest.fixture
async def gateway(own_mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A connected gateway on a broker of its own."""
    async with running(Broker(url=own_mosquitto.url), tmp_path) as made:
        yield made


async def test_every_change_is_published_in_order_on_the_topics_of_its_severities(
    own_mosquitto: Mosquitto, gateway: Gateway
) -> None:
    """250 changes: seq rises, `prev` is the one before on the same topic, and the body is the core's."""
    changes = [alert(n, f"flood-{n}", ("moderate", "severe") if n % 3 == 0 else ("moderate",)) for n in range(1, 251)]
    async with centre(own_mosquitto, f"{BASE}/alert/#") as ops:
        for start in range(0, 250, 125):
            assert list(await gateway.alerts.deliver(rows(changes[start : start + 125]))) == []
        moderate, severe = [], []
        while len(moderate) + len(severe) < 250 + 83:
            got = await ops.next("/flood")
            (severe if "/city/severe/" in got["_topic"] else moderate).append(got)
    assert [a["seq"] for a in moderate] == list(range(1, 251))
    assert [a["prev"] for a in moderate] == [None, *range(1, 250)]
    assert [(a["seq"], a["prev"]) for a in severe] == [(n, n - 3 or None) for n in range(3, 251, 3)]
    first = moderate[0]
    assert first["status"] == "actual"
    assert first["published"].endswith("+08:00")
    assert {k: first[k] for k in json.loads(changes[0].body)} == json.loads(changes[0].body)
    assert not first["_retain"]
    assert "durable" not in first


async def test_the_same_changes_delivered_again_say_the_same_prev(own_mosquitto: Mosquitto, gateway: Gateway) -> None:
    """At least once: a duplicate is recognisable and breaks no chain."""
    changes = [alert(n, f"flood-{n}") for n in range(5, 8)]
    async with centre(own_mosquitto, f"{BASE}/alert/#") as ops:
        await gateway.alerts.deliver(rows(changes))
        await gateway.alerts.deliver(rows(changes[1:]))
        got = [await ops.next("/flood") for _ in range(5)]
    assert [(a["seq"], a["prev"]) for a in got] == [(5, None), (6, 5), (7, 6), (6, 5), (7, 6)]


async def test_the_state_of_open_alerts_is_retained_until_they_close(
    own_mosquitto: Mosquitto, gateway: Gateway
) -> None:
    """A late subscriber finds exactly what is open, at its last change; shadow alerts are nowhere."""
    await gateway.alerts.deliver(
        rows(
            [
                alert(1, "flood-1"),
                alert(2, "dust-1"),
                alert(3, "bank-1", shadow=True),
                alert(4, "flood-1", ("moderate", "severe"), "raised_level"),
                alert(5, "dust-1", change="closed", open_=False),
            ]
        )
    )
    found = await retained(own_mosquitto, "open/+")
    assert {name: state["seq"] for name, state in found.items()} == {"flood-1": 4}
    assert await retained(own_mosquitto, "alert/#") == {}


async def test_on_connecting_what_is_no_longer_open_is_emptied_and_what_is_is_republished(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Given retained leftovers and a broker that forgot an alert: both are put right before the backlog."""
    history = History(tmp_path / "history.sqlite", HistoryConfig(), WallClock())
    await history.store_alerts([alert(1, "flood-1"), alert(2, "dust-1"), alert(3, "bank-1", shadow=True)])
    await history.aclose()
    async with centre(own_mosquitto, "nothing") as ops:
        for leftover in ("gone-1", "gone-2", "dust-1"):
            await ops.client.publish(f"{BASE}/open/{leftover}", b'{"seq":0}', qos=1, retain=True)
        await ops.client.publish("zhiwang/v1/330383017/lg-2/open/other-1", b"{}", qos=1, retain=True)
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
        await gateway.alerts.deliver(rows([alert(4, "flood-2")]))
        found = await retained(own_mosquitto, "open/+")
        assert {name: state["seq"] for name, state in found.items()} == {"flood-1": 1, "dust-1": 2, "flood-2": 4}


async def test_a_backlog_does_not_bring_back_the_state_of_an_alert_that_has_closed_since(
    own_mosquitto: Mosquitto, gateway: Gateway
) -> None:
    """The history is ahead after an outage: changes are published as they were, retained state is the newest."""
    changes = [alert(1, "flood-1"), alert(2, "flood-1", change="closed", open_=False), alert(3, "dust-1")]
    await gateway.history.store_alerts(changes)
    async with centre(own_mosquitto, f"{BASE}/alert/#", f"{BASE}/open/+") as ops:
        await gateway.alerts.deliver(rows(changes[:1]))
        assert (await ops.next("/flood"))["seq"] == 1
        assert "flood-1" not in await retained(own_mosquitto, "open/+")
        await gateway.alerts.deliver(rows(changes[1:]))
        assert (await ops.next("/flood"))["change"] == "closed"
    assert set(await retained(own_mosquitto, "open/+")) == {"dust-1"}


async def test_what_is_said_of_a_closed_alert_is_published_and_brings_it_not_back(
    own_mosquitto: Mosquitto, gateway: Gateway
) -> None:
    """Given an alert that closed and was then marked wrong: its topic says so, in its chain, and it is not open."""
    changes = [
        alert(1, "flood-1"),
        alert(2, "flood-1", change="closed", open_=False),
        alert(3, "flood-1", change="labelled", open_=False, label="wrong"),
    ]
    async with centre(own_mosquitto, f"{BASE}/alert/#") as ops:
        await gateway.alerts.deliver(rows(changes))
        got = [await ops.next("/flood") for _ in changes]
    assert [(a["change"], a["prev"]) for a in got] == [("raised", None), ("closed", 1), ("labelled", 2)]
    assert got[-1]["label"]["verdict"] == "wrong"
    assert await retained(own_mosquitto, "open/+") == {}
    assert [row.seq for row in await gateway.history.past_alerts(5)] == [3]
    async with centre(own_mosquitto, "nothing") as ops:
        await ops.send("command/flood-1", {"id": "r", "verb": "right", "who": "chief", "note": "seen on site"})
    command = await _soon(gateway.commands)
    assert (command.target, command.verb, command.note) == ("flood-1", "right", "seen on site")


async def test_the_status_is_retained_online_and_a_crash_turns_it_offline(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Online with the table's row; closed in order: offline; killed: the will says it."""
    async with running(Broker(url=own_mosquitto.url), tmp_path / "a") as gateway:
        await gateway.alerts.deliver(rows([alert(1)]))
        status = (await retained(own_mosquitto, "status"))["status"]
        assert (status["status"], status["gateway"], status["sources"]) == ("online", "lg-1", "3/4")
    assert (await retained(own_mosquitto, "status"))["status"]["status"] == "offline"
    async with centre(own_mosquitto, f"{BASE}/status") as ops:
        code = (
            "import asyncio, sys; from pathlib import Path; from gateway.config.model import Broker\n"
            "from tests.sinks.test_mqtt import running\n"
            "async def main():\n"
            "    async with running(Broker(url=sys.argv[1]), Path(sys.argv[2])):\n"
            "        await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, own_mosquitto.url, str(tmp_path / "b"), cwd=Path(__file__).parents[2]
        )
        await ops.next("/status", lambda s: s["status"] == "online")
        process.kill()
        await process.wait()
        gone = await ops.next("/status", lambda s: s["status"] == "offline")
    assert gone["gateway"] == "lg-1"


async def test_a_cancelled_sink_says_goodbye_too(own_mosquitto: Mosquitto, tmp_path: Path) -> None:
    """However it ends, if it can still speak the retained status says offline."""
    gateway = Gateway(Broker(url=own_mosquitto.url), tmp_path)
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(gateway.alerts.run())
        await gateway.alerts.deliver(rows([alert(1)]))
        run.cancel()
    await gateway.history.aclose()
    assert (await retained(own_mosquitto, "status"))["status"]["status"] == "offline"


async def test_a_broker_that_goes_and_comes_back_gets_everything(own_mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Down: Unreachable, and the same rows again until it is back; nothing is missing and chains hold."""
    changes = [alert(n, f"flood-{n}") for n in range(1, 41)]
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
        await gateway.alerts.deliver(rows(changes[:10]))
        own_mosquitto.kill()
        with pytest.raises(Unreachable):
            await gateway.alerts.deliver(rows(changes[10:20]))
        own_mosquitto.start()
        async with centre(own_mosquitto, f"{BASE}/alert/#") as ops:
            for start in range(10, 40, 10):
                await _deliver(gateway, rows(changes[start : start + 10]))
            seen = {}
            while 40 not in seen:
                got = await ops.next("/flood")
                seen[got["seq"]] = got["prev"]
    assert seen == {n: n - 1 for n in range(11, 41)}


async def test_a_broker_with_a_small_window_is_not_overrun(tmp_path: Path) -> None:
    """Many brokers take 20 unanswered messages, this one 3, and hang up at the next (MQTT 5: Receive Maximum)."""
    waiting: list[bytes] = []
    most = 0

    def published(_: bytes, answer: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        waiting.append(answer)
        most = max(most, len(waiting))
        asyncio.get_running_loop().call_later(0.01, lambda: writer.write(waiting.pop(0) + b"\x00"))

    async with _scripted_broker(published, window=3) as url, running(Broker(url=url), tmp_path) as gateway:
        assert list(await gateway.alerts.deliver(rows(alert(n, f"flood-{n}") for n in range(1, 21)))) == []
    assert most == 3


async def test_a_broker_that_hangs_is_left(
    own_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and never answers: Unreachable after the bound (10 s; less here); later everything arrives."""
    assert mqtt_link.ANSWER_S == 10
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.5)
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
        await gateway.alerts.deliver(rows([alert(1)]))
        own_mosquitto.pause()
        for _ in range(2):
            with pytest.raises(Unreachable):
                await gateway.alerts.deliver(rows([alert(2)]))
        own_mosquitto.resume()
        await _deliver(gateway, rows([alert(2)]))


async def test_connections_that_never_answer_are_closed_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself aiomqtt leaves the socket of an unanswered connection open: after four attempts we hold at most one."""
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.1)
    monkeypatch.setattr(mqtt_link, "_LONGEST_S", 0.01)
    monkeypatch.setattr(mqtt_link, "_FIRST_S", 0.01)
    opened, closed, fifth = [], [], asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)
        if len(opened) == 5:
            fifth.set()
        await reader.read()
        closed.append(writer)
        writer.close()

    async with _listening(handle) as url:
        async with running(Broker(url=url), tmp_path):
            await fifth.wait()
            assert len(closed) >= 4
        assert len(closed) >= 4


async def test_a_broker_that_is_away_is_told_though_no_alert_waits_and_so_is_its_return(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Given no alerts at all, when the broker is away from the start, comes, and goes: each is said once, with why."""
    own_mosquitto.stop()
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
        await until(lambda: gateway.said)
        own_mosquitto.start()
        await until(lambda: len(gateway.said) == 2)
        own_mosquitto.stop()
        await until(lambda: len(gateway.said) == 3)
        own_mosquitto.start()
        await until(lambda: len(gateway.said) == 4)
    assert [(h.component, h.condition, h.ok) for h in gateway.said] == [
        ("sink/city", "connected", ok) for ok in (False, True, False, True)
    ]
    assert "refused" in gateway.said[0].detail


async def test_a_door_that_takes_no_news_keeps_no_alert_from_the_broker(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Given a full outbox, which admits nothing until this very sink has delivered, then it delivers."""
    gateway = Gateway(Broker(url=own_mosquitto.url), tmp_path)
    full = asyncio.Event()

    async def report(_: Health) -> None:
        full.set()
        await asyncio.Event().wait()

    sink = MqttAlerts("city", gateway.around._replace(report=report), gateway.kind)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sink.run())
        await full.wait()
        assert list(await sink.deliver(rows([alert(1)]))) == []
        await sink.aclose()
    await gateway.history.aclose()


async def test_nobody_listening_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is in the error."""
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.5)
    async with running(Broker(url=f"mqtt://127.0.0.1:{free_port()}"), tmp_path) as gateway:
        with pytest.raises(Unreachable, match="refused"):
            await gateway.alerts.deliver(rows([alert(1)]))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_a_wrong_password_is_a_refused_login(
    own_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: Any
) -> None:
    """Told apart from an outage, so that it is tried rarely; the right password goes through."""
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 2)
    _lock(own_mosquitto, tmp_path)
    (tmp_path / "secret").write_text("wrong\n", encoding="utf-8")
    broker = Broker(url=own_mosquitto.url, password=Secret(file="secret"), version=version)
    async with running(broker, tmp_path) as gateway:
        with pytest.raises(LoginRefused, match=r"(?i)not authorized|bad user"):
            await gateway.alerts.deliver(rows([alert(1)]))
    (tmp_path / "secret").write_text("right\n", encoding="utf-8")
    async with running(broker, tmp_path) as gateway:
        assert list(await gateway.alerts.deliver(rows([alert(1)]))) == []


@pytest.mark.parametrize(("inline", "let_in"), [("lg-1:right", True), ("lg-1:wr0ng%40", False)])
async def test_a_login_in_the_url_is_used_and_told_to_nobody(
    own_mosquitto: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, inline: str, *, let_in: bool
) -> None:
    """In no error, log or Health; the place is."""
    _lock(own_mosquitto, tmp_path)
    async with running(Broker(url=own_mosquitto.url.replace("://", f"://{inline}@")), tmp_path) as gateway:
        await until(lambda: gateway.said)
        assert gateway.said[0].ok == let_in
        if not let_in:
            with pytest.raises(LoginRefused, match=f"^{own_mosquitto.url} refuses") as refused:
                await gateway.alerts.deliver(rows([alert(1)]))
            assert "wr0ng" not in f"{refused.value}{gateway.said}{caplog.text}"


async def test_a_topic_that_the_broker_lets_us_not_write_is_said_and_nothing_counts_as_delivered(
    tmp_path: Path,
) -> None:
    """Aiomqtt takes any PUBACK for success; one that says `not authorized` is not. (mosquitto 2.0.11 just hangs up.)"""

    def published(topic: bytes, answer: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer + (b"\x87" if b"/alert/" in topic else b"\x00"))

    async with _scripted_broker(published) as url, running(Broker(url=url), tmp_path) as gateway:
        with pytest.raises(LoginRefused, match=r"(?i)not authorized.*access control"):
            await gateway.alerts.deliver(rows([alert(1)]))


async def test_a_broker_that_hangs_up_on_what_it_forbids_does_not_count_as_delivery_either(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Mosquitto with an ACL that lacks the alert topics: the rows stay where they are."""
    _lock(own_mosquitto, tmp_path, acl=f"user lg-1\ntopic readwrite {BASE}/status\ntopic readwrite {BASE}/open/#\n")
    (tmp_path / "secret").write_text("right\n", encoding="utf-8")
    async with running(Broker(url=own_mosquitto.url, password=Secret(file="secret")), tmp_path) as gateway:
        with pytest.raises((Unreachable, LoginRefused)):
            await gateway.alerts.deliver(rows([alert(1)]))


async def test_a_command_reaches_the_door_and_its_reply_the_person(own_mosquitto: Mosquitto, gateway: Gateway) -> None:
    """On the command's own reply topic, and in MQTT 5's way with the correlation it came with, over a restart."""
    await gateway.alerts.deliver(rows([alert(1)]))
    asked = {"id": "c1", "verb": "shelve", "who": "chief", "note": "rain", "if_seq": 1, "until": "2026-08-14T03:00:00Z"}
    async with centre(own_mosquitto, f"{BASE}/command/#", "answers/me") as ops:
        await ops.send("command/flood-1", asked)
        command = await _soon(gateway.commands)
        assert (command.id, command.target, command.verb, command.who) == ("c1", "flood-1", "shelve", "chief")
        assert (command.note, command.if_seq, command.until_ns) == ("rain", 1, 1_786_676_400 * 10**9)
        await gateway.replies.deliver([_reply(command)])
        assert (await ops.next("command/flood-1/reply"))["result"] == "ok"
        await ops.send("command/flood-1", {**asked, "id": "c2"}, "answers/me", b"\x00#7")
        await gateway.replies.deliver([_reply(await _soon(gateway.commands))])
        message = await anext(ops.client.messages)
        while str(message.topic) != "answers/me":
            message = await anext(ops.client.messages)
        assert message.properties is not None
        assert message.properties.CorrelationData == b"\x00#7"  # type: ignore[attr-defined]  # set by name
        assert json.loads(bytes(message.payload))["id"] == "c2"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"id": "c", "verb": "acknowledge", "who": "stranger"}, "commands.mqtt does not name them"),
        ({"id": "c", "verb": "delete", "who": "chief"}, "Invalid enum value 'delete'"),
        ({"verb": "acknowledge", "who": "chief"}, "missing required field `id`"),
        ({"id": "c", "verb": "shelve", "who": "chief", "until": "2026-08-14T03:00:00"}, "needs an offset"),
        (b"\xff{", "malformed"),
        (b'"' + b"x" * 70_000 + b'"', "at most"),
    ],
)
async def test_a_command_that_cannot_be_obeyed_is_refused_with_its_reason(
    own_mosquitto: Mosquitto, gateway: Gateway, payload: Json | bytes, reason: str
) -> None:
    """Nothing of it reaches the door."""
    await gateway.alerts.deliver(rows([alert(1)]))
    async with centre(own_mosquitto, f"{BASE}/command/+/reply") as ops:
        await ops.send("command/flood-1", payload)
        reply = await ops.next("flood-1/reply")
    assert (reply["result"], reply["target"]) == ("refused", "flood-1")
    assert reason in reply["reason"]
    assert gateway.commands.empty()


async def test_without_names_in_the_configuration_nobody_commands_over_mqtt(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The topic is not even subscribed; a request behind the command is answered."""
    async with running(Broker(url=own_mosquitto.url), tmp_path, allowed=()) as gateway:
        await gateway.alerts.deliver(rows([alert(1)]))
        async with centre(own_mosquitto) as ops:
            await ops.send("command/flood-1", {"id": "c1", "verb": "acknowledge", "who": "chief"})
            await ops.send("request", {"open": True})
            await ops.next("request/reply")
        assert gateway.commands.empty()


async def test_replies_to_others_and_expired_ones_are_not_published(own_mosquitto: Mosquitto, gateway: Gateway) -> None:
    """A command from the page or another sink has its reply there; a late one is of no use to anybody."""
    forever = 2**62
    requests = [
        RequestRow("a", "reply", "local/7", forever, b"{}"),
        RequestRow("b", "reply", "mqtt/another/x/reply#", forever, b"{}"),
        RequestRow("c", "look", "mqtt/city/x/reply#", forever, b"{}"),
        RequestRow("d", "reply", "mqtt/city/x/reply#", 5, b"{}"),
        RequestRow("e", "reply", "mqtt/city/x/reply#", forever, b'{"id":"e"}'),
    ]
    async with centre(own_mosquitto, "x/reply", "+/7") as ops:
        bad = Row(9, 0, "", 1, b"\xc1")
        rejected = await gateway.replies.deliver([*(_row(n, r) for n, r in enumerate(requests)), bad])
        assert (await ops.next(""))["id"] == "e"
    assert [r.row for r in rejected] == [bad]


async def test_who_missed_changes_gets_them_and_rebuilds_the_list(own_mosquitto: Mosquitto, gateway: Gateway) -> None:
    """From `open` and `since_seq` alone a subscriber knows exactly what the history knows, in several messages."""
    changes = [alert(n, f"flood-{n % 70}", ("minor",), open_=n % 70 > 9, change="c") for n in range(1, 141)]
    changes.append(alert(141, "bank-1", shadow=True))
    await gateway.alerts.deliver(rows(changes))
    async with centre(own_mosquitto, "answers/me", f"{BASE}/request/reply") as ops:
        await ops.send("request", {"since_seq": 20, "id": "r1"}, "answers/me", b"c")
        got, more = [], True
        while more:
            page = await ops.next("answers/me")
            assert (page["id"], page["epoch"], page["schema"]) == ("r1", "e1", 1)
            got += page["alerts"]
            more = page["more"]
        assert [(a["seq"], a["prev"]) for a in got] == [(n, n - 1) for n in range(21, 141)]
        assert got[0]["topics"] == ["city/minor"]
        await ops.send("request", {"since_seq": 20, "epoch": "another"})
        assert (await ops.next("request/reply"))["since_seq"] == 0
        while (await ops.next("request/reply"))["more"]:
            pass
        await ops.send("request", {"open": True})
        open_, more = [], True
        while more:
            page = await ops.next("request/reply")
            open_ += page["alerts"]
            more = page["more"]
        expected = [(a.id, a.seq) for a in await gateway.history.open_alerts() if not a.shadow]
        assert [(a["id"], a["seq"]) for a in open_] == expected
        for wrong in ({}, {"since_seq": 1, "open": True}, [1], {"since_seq": "x"}):
            await ops.send("request", wrong)
            assert (await ops.next("request/reply"))["result"] == "refused"


async def test_a_stranger_cannot_make_us_write_where_only_we_may(own_mosquitto: Mosquitto, gateway: Gateway) -> None:
    """A response topic inside our own tree, other than a reply, gets no answer; the next request does."""
    await gateway.alerts.deliver(rows([alert(1)]))
    async with centre(own_mosquitto) as ops:
        for where in (f"{BASE}/open/flood-1", f"{BASE}/status", "zhiwang/v1/330383017/lg-2/open/x", "$SYS/x"):
            await ops.send("request", {"open": True}, where)
        await ops.send("request", {"open": True, "id": "last"}, f"{BASE}/request/mine/reply")
        async with asyncio.timeout(10):
            async for message in ops.client.messages:
                payload = json.loads(bytes(message.payload) or b"{}")
                assert "alerts" not in payload or payload["id"] == "last"
                if payload.get("id") == "last" and "alerts" in payload:
                    break


async def test_alerts_go_out_though_the_history_cannot_be_used(
    own_mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken disk costs durability, never alerting: chains go on in memory, and `durable: false` says so."""
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway, centre(own_mosquitto) as ops:
        await gateway.alerts.deliver(rows([alert(1, "flood-1")]))

        async def broken(*_: object) -> None:
            raise Unreachable("disk I/O error")

        monkeypatch.setattr(gateway.history, "note", broken)
        gateway.durable = False
        await gateway.alerts.deliver(rows([alert(2, "flood-2"), alert(3, "flood-3")]))
        got = [await ops.next("/flood") for _ in range(3)]
    assert [(a["seq"], a["prev"], a.get("durable")) for a in got] == [(1, None, None), (2, 1, False), (3, 2, False)]


@asynccontextmanager
async def _scripted_broker(
    published: Callable[[bytes, bytes, asyncio.StreamWriter], None], window: int = 65_535
) -> AsyncIterator[str]:
    """The URL of an MQTT 5 broker that lets nobody subscribe.

    published: called with each message's topic, its PUBACK up to the reason code, and where to write it.
    """

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind = (await reader.readexactly(1))[0] >> 4
                length = shift = 0
                while True:
                    (byte,) = await reader.readexactly(1)
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                body = await reader.readexactly(length)
                if kind == 1:
                    writer.write(b"\x20\x06\x00\x00\x03\x21" + window.to_bytes(2))
                elif kind == 8:
                    writer.write(b"\x90\x04" + body[:2] + b"\x00\x87")  # one code, however many were asked for
                elif kind == 3:
                    size = int.from_bytes(body[:2])
                    published(body[2 : 2 + size], b"\x40\x03" + body[2 + size : 4 + size], writer)
                elif kind == 14:
                    break
                await writer.drain()
        writer.close()

    async with _listening(handle) as url:
        yield url


@asynccontextmanager
async def _listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]],
) -> AsyncIterator[str]:
    """The URL of a server whose connections `handle` serves, until the last one has ended."""
    async with asyncio.TaskGroup() as tasks:

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.create_task(handle(reader, writer))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            yield f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()


def _lock(broker: Mosquitto, folder: Path, acl: str = "") -> None:
    """Restart the broker so that it asks for the password `right` of lg-1."""
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "lg-1", "right"], check=True)
    extra = f"password_file {passwords}\n"
    if acl:
        (folder / "acl").write_text(acl, encoding="utf-8")
        extra += f"acl_file {folder / 'acl'}\n"
    broker.configure(extra)
    conf = broker.folder / "mosquitto.conf"
    conf.write_text(
        conf.read_text(encoding="utf-8").replace("allow_anonymous true", "allow_anonymous false"), encoding="utf-8"
    )
    broker.restart()


def _row(position: int, request: RequestRow) -> Row:
    return Row(position, 0, "", 1, msgspec.msgpack.encode(request))


def _reply(command: Command) -> Row:
    body = msgspec.json.encode({"id": command.id, "result": "ok"})
    return _row(1, RequestRow(command.id, "reply", command.reply_to, 2**62, body))


async def _soon(queue: asyncio.Queue[Command]) -> Command:
    async with asyncio.timeout(10):
        return await queue.get()


async def _deliver(gateway: Gateway, batch: list[Row]) -> None:
    """As the delivery loop does: again until it works."""
    async with asyncio.timeout(60):
        while True:
            try:
                await gateway.alerts.deliver(batch)
            except TransientError:
                await asyncio.sleep(0.05)
            else:
                return
