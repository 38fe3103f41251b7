"""What a commit promises: order, times, durability, receipts."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from gateway.clock import WallClock
from gateway.door import Door
from gateway.door.stepper import DELTAS_AT_MOST, Stepper
from gateway.errors import OutboxError
from gateway.events import Configured, Health, Message, Restart, Stepped, Tick
from gateway.outbox import Checkpoint, Outbox
from tests.door.echo import EchoCore, messages
from tests.door.until import until

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.events import Cut
    from tests.door.conftest import Open, Opened

PATIENCE_S = 60.0  # a linger that no test lives to see


async def test_a_commit_is_stored_when_it_returns(opened: Open) -> None:
    """Given a batch, when commit returns, then its output is in the file and its numbers are contiguous."""
    async with opened() as at:
        await at.door.commit(messages("a", "b"))
        await at.door.commit(messages("c"))
        assert await at.series() == (b"t,c=1 v=1 1\nt body=a\nt,c=2 v=2 2\nt body=b\nt,c=3 v=3 3\nt body=c\n")
        assert [cut.n0 for cut in at.core.cuts] == [0, 1, 3]
        assert isinstance(at.core.cuts[0].inputs[0], Restart)


async def test_who_only_listens_cannot_stop_the_door(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Given a listener that raises, then it is told nothing more, the others are, and what is committed is stored."""
    heard: list[int] = []
    told: list[int] = []

    def broken(cut: Cut) -> None:
        heard.append(cut.n0)
        raise ValueError("a bug of its own")

    async with opened() as at:
        at.door.on_admitted(broken)
        at.door.on_admitted(lambda cut: told.append(cut.n0))
        await at.door.commit(messages("a"))
        await at.door.commit(messages("b"))
        assert (await at.series()).endswith(b"t body=b\n")
    assert (len(heard), len(told)) == (1, 2)
    assert "told nothing more" in caplog.text


async def test_a_restart_goes_on_where_it_left_off(opened: Open) -> None:
    """Given state, an alert and a stop, when the door opens again, then counts, numbers, seq and epoch go on."""
    async with opened() as at:
        await at.door.commit(messages("a", "alert", "b"))
        epoch = at.outbox.epoch
    async with opened() as at:
        restart = at.core.cuts[0].inputs[0]
        assert restart == Restart(checkpoint="n4", epoch=epoch, next_seq=2)
        assert (at.core.count, at.core.length) == (3, 7)
        await at.door.commit(messages("c"))
        assert (await at.series()).endswith(b"t,c=4 v=8 5\nt body=c\n")


def test_who_begins_from_a_state_does_not_put_off_the_next_stored_one() -> None:
    """Given as many deltas as may pile up, when a recorder is given the state at the start, a snapshot is still due.

    Else a gateway that is killed again and again would never store one, and its journal would grow.
    """
    core = EchoCore()
    stepper = Stepper(core)
    stepper.resume([Checkpoint(None, [core.snapshot()] * DELTAS_AT_MOST)])
    assert stepper.snapshot_due()
    assert stepper.state() == core.snapshot()
    assert stepper.snapshot_due()
    assert stepper.changed()
    stepper.snapshot()
    assert not stepper.snapshot_due()


async def test_a_batch_lingers_until_someone_asks(opened: Open) -> None:
    """Given a long linger, when nobody asks the commit waits; when its source asks, it returns."""
    async with opened(linger_s=PATIENCE_S) as at, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(at.door.commit(messages("a")))
        await until(lambda: at.core.count >= 1)
        assert not waiting.done()
        at.door.seal()
        await waiting


async def test_an_alert_does_not_linger_and_takes_others_with_it(opened: Open) -> None:
    """Given a long linger, when an alert comes, then it and what came before are stored at once, in order."""
    order: list[str] = []

    async def commit(name: str, at: Opened) -> None:
        await at.door.commit(messages(name, source=name))
        order.append(name)

    async with opened(linger_s=PATIENCE_S) as at, asyncio.TaskGroup() as tasks:
        tasks.create_task(commit("first", at))
        await asyncio.sleep(0)
        tasks.create_task(commit("second", at))
        await asyncio.sleep(0)
        tasks.create_task(commit("alert", at))
    assert order == ["first", "second", "alert"]


async def test_a_large_group_is_sealed(opened: Open) -> None:
    """Given a long linger, when 256 kB wait, then they are stored."""
    async with opened(linger_s=PATIENCE_S) as at:
        await at.door.commit(messages("x" * 300_000))


async def test_linger_ends_by_itself(opened: Open) -> None:
    """Given a short linger, when nothing else comes, then the commit returns all the same."""
    async with opened(linger_s=0.05) as at:
        await at.door.commit(messages("a"))


async def test_a_tick_without_output_writes_no_transaction(opened: Open) -> None:
    """Given ticks that change state but put nothing out, when they are committed, then nothing is written for them."""
    async with opened(linger_s=PATIENCE_S) as at:
        before = at.outbox.stats().transactions
        for _ in range(20):
            await at.door.commit([Tick()])
        assert at.outbox.stats().transactions == before
        assert at.core.count == 20
    async with opened() as at:
        assert at.core.count == 20, "a clean stop stores what ticks changed"


async def test_ticks_alone_go_on_for_hours(opened: Open) -> None:
    """Given nothing but ticks, when they are many, then a few transactions are written and no tick waits for ever."""
    async with opened(linger_s=0.01) as at:
        before = at.outbox.stats().transactions
        async with asyncio.timeout(30):
            for _ in range(1300):
                await at.door.commit([Tick()])
        assert 2 <= at.outbox.stats().transactions - before <= 4


async def test_receipts_of_one_source_come_in_order(opened: Open) -> None:
    """Given many batches of two sources at once, when they are stored, then each source's receipts are in order."""
    done: list[tuple[str, int]] = []

    async def commit(at: Opened, source: str, number: int) -> None:
        await at.door.commit(messages(*["x" * (number * 37 % 3000)] * (1 + number % 7), source=source))
        done.append((source, number))

    async with opened(linger_s=0.001) as at, asyncio.TaskGroup() as tasks:
        for number in range(200):
            for source in ("one", "two"):
                tasks.create_task(commit(at, source, number))
            if number % 20 == 0:
                await asyncio.sleep(0.002)
    for source in ("one", "two"):
        assert [number for who, number in done if who == source] == list(range(200))
    numbers = [cut.n0 for cut in at.core.cuts]
    assert numbers[1:] == [cut.n0 + len(cut.inputs) for cut in at.core.cuts[:-1]]


async def test_urgent_inputs_go_before_a_large_batch(opened: Open) -> None:
    """Given a flood from one source, when a health input comes, then it does not wait for the flood's end."""
    core = EchoCore(slow_s=0.01)
    async with opened(core=core) as at, asyncio.TaskGroup() as tasks:
        flood = tasks.create_task(at.door.commit(messages(*["x" * 1000] * 3000)))
        await asyncio.sleep(0)
        await at.door.commit([Health("camera/gate", "frozen", ok=False)])
        stepped_before = at.core.count
        await flood
    assert stepped_before < 3000


async def test_a_source_does_not_overtake_what_came_with_its_own_health(opened: Open) -> None:
    """Given a backlog behind the word that its broker is there, when a message comes, then it comes after it all."""
    core = EchoCore(slow_s=0.005)
    async with opened(core=core) as at, asyncio.TaskGroup() as tasks:
        connected = Health("source/here", "connected", ok=True)
        tasks.create_task(at.door.commit([connected, *messages(*["x" * 1000] * 3000)]))
        await asyncio.sleep(0)
        await at.door.commit(messages("y"))
    bodies = [one.body for cut in core.cuts for one in cut.inputs if isinstance(one, Message)]
    assert bodies.index(b"y") == 3000


async def test_a_small_source_is_not_starved_by_a_large_one(opened: Open) -> None:
    """Given a flood from one source, when another sends one message, then it is stored before the flood's end."""
    core = EchoCore(slow_s=0.005)
    async with opened(core=core) as at, asyncio.TaskGroup() as tasks:
        flood = tasks.create_task(at.door.commit(messages(*["x" * 1000] * 3000, source="flood")))
        await asyncio.sleep(0)
        await at.door.commit(messages("y", source="small"))
        assert not flood.done()


async def test_cuts_shrink_to_what_fits_into_their_time(opened: Open) -> None:
    """Given a core that needs long for a message, when a flood comes, then cuts become small."""

    class Slow(EchoCore):
        def step(self, cut: Cut) -> Stepped:
            until = time.thread_time() + 0.0005 * len(cut.inputs)
            while time.thread_time() < until:
                pass
            return super().step(cut)

    async with opened(core=Slow()) as at:
        await at.door.commit(messages(*["x"] * 1000))
        sizes = [len(cut.inputs) for cut in at.core.cuts]
    assert min(sizes[2:-1]) <= 20


async def test_an_input_that_makes_the_core_raise_is_set_aside_alone(opened: Open) -> None:
    """Given one poisonous message among many, when it raises, then the others are stored as if it had not been."""
    async with opened() as at:
        await at.door.commit(messages(*"abcd", "raise!", *"efg", "raise?", "h"))
        bodies = [line for line in (await at.series()).splitlines() if b"body=" in line]
        assert bodies == [b"t body=" + body.encode() for body in "abcdefgh"]
        assert (at.core.count, at.core.length) == (8, 8)
        letters = await at.outbox.letters()
        assert [(one.letter.body, one.letter.reason, one.source) for one in letters] == [
            (b"raise?", "ValueError: asked to raise", "here"),
            (b"raise!", "ValueError: asked to raise", "here"),
        ]
        assert at.door.stats().raised == 2
    async with opened() as at:
        assert (at.core.count, at.core.length) == (8, 8)


async def test_a_configuration_that_makes_the_core_raise_is_told_to_who_committed_it(opened: Open) -> None:
    """Given a Configured that the core refuses, when it is committed, then the commit raises and the door goes on."""
    async with opened() as at:
        with pytest.raises(ValueError, match="this configuration raises"):
            await at.door.commit([Configured("sha", "raise")])
        await at.door.commit(messages("a"))


async def test_what_the_core_cannot_use_is_kept_and_stepped_again_when_asked(opened: Open) -> None:
    """Given a dead letter of the core, when people ask for it again, then its message is stepped once more."""
    async with opened() as at, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(at.door.run())
        await at.door.commit([Configured("sha", "")])
        await at.door.commit(messages("a", "bad one"))
        assert [one.letter.reason for one in await at.outbox.letters()] == ["it says bad"]
        assert await at.outbox.retry() == 1
        await until(lambda: at.core.count >= 3)
        while len(letters := await at.outbox.letters()) != 1 or letters[0].retry:  # noqa: ASYNC110 - see until
            await asyncio.sleep(0.001)
        await at.door.stop()
        await running


async def test_live_outputs_are_told_after_they_are_durable(opened: Open) -> None:
    """Given a listener, when an alert is stored, then the listener gets it, in the event loop."""
    heard: list[tuple[int, str, int]] = []
    async with opened() as at:
        at.door.on_stepped(
            lambda steps: heard.extend(
                (row.seq, threading.current_thread().name, at.outbox.last("alerts")) for s in steps for row in s.alerts
            )
        )
        await at.door.commit(messages("alert"))
        assert heard == [(1, "MainThread", 1)]


async def test_every_cut_is_recorded_before_it_is_stepped(opened: Open) -> None:
    """Given a recorder's hook, when inputs are admitted, then it sees them in order with their stamps."""
    async with opened() as at:
        seen: list[tuple[int, int]] = []
        at.door.on_admitted(lambda cut: seen.append((cut.n0, len(cut.inputs))))
        await at.door.commit(messages("a", "b"))
        await at.door.commit([Tick()])
        assert seen == [(1, 2), (3, 1)]


async def test_a_closed_door_says_so(tmp_path: Path) -> None:
    """Given a door not started or stopped, when something is committed, then the error says which."""
    outbox = Outbox.open(tmp_path, WallClock())
    door = Door(EchoCore(), outbox, WallClock())
    with pytest.raises(OutboxError, match="before the door was started"):
        await door.commit(messages("a"))
    await door.start()
    await door.stop()
    with pytest.raises(OutboxError, match="stopping"):
        await door.commit(messages("a"))
    await outbox.close()


async def test_stop_finishes_what_was_committed(opened: Open) -> None:
    """Given commits that linger, when the door stops, then they are stored and answered."""
    async with opened(linger_s=PATIENCE_S) as at, asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(at.door.commit(messages(f"m{i}"))) for i in range(50)]
        await asyncio.sleep(0)
        await at.door.stop()
        await asyncio.wait(waiting)
    async with opened() as at:
        assert at.core.count == 50


async def test_redelivered_messages_are_acknowledged_and_not_stepped(opened: Open) -> None:
    """Given messages that were stepped, when they come again as DUP, also after a restart, then none is stepped."""
    first = [Message("here", "t", b"a", packet_id=7), Message("here", "t", b"b", packet_id=8)]
    again = [Message("here", "t", b"a", duplicate=True, packet_id=7)]
    other = [Message("here", "t", b"other", duplicate=True, packet_id=8)]
    async with opened() as at:
        await at.door.commit(first)
        await at.door.commit(again)
        assert (at.core.count, at.door.stats().redelivered) == (2, 1)
    async with opened() as at:
        await at.door.commit(again)
        assert at.core.count == 2
        await at.door.commit([Message("there", "t", b"a", duplicate=True, packet_id=7)])
        assert at.core.count == 3, "another session's packet id is another message"
        await at.door.commit(other)
        assert at.core.count == 4, "another body under the same packet id is another message"
        at.door.session_lost("here")
        await at.door.commit([Message("here", "t", b"a", duplicate=True, packet_id=7)])
        assert at.core.count == 5, "a lost session's marks are void"
    async with opened() as at:
        await at.door.commit([Message("here", "t", b"b", duplicate=True, packet_id=8)])
        assert at.core.count == 6, "and stay void"
        await at.door.commit([Message("here", "t", b"a", duplicate=True, packet_id=7)])
        assert at.core.count == 6


async def test_a_redelivered_message_waits_for_the_first_to_be_durable(opened: Open) -> None:
    """Given a message that lingers, when its DUP is committed, then both receipts come with the same transaction."""
    async with opened(linger_s=PATIENCE_S) as at, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(at.door.commit([Message("here", "t", b"a", packet_id=7)]))
        await asyncio.sleep(0)
        again = tasks.create_task(at.door.commit([Message("here", "t", b"a", duplicate=True, packet_id=7)]))
        await until(lambda: at.door.stats().redelivered == 1)
        assert not first.done()
        assert not again.done()
        at.door.seal()
    assert at.core.count == 1
