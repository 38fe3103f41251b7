"""What the store says of itself while it runs: that it had to drop series, and that it no longer has to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import Health

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.outbox.store import Outbox
    from gateway.ports import Clock

QUIET_S = 3600.0  # a drop an hour is one trouble, not one an hour
WHY = {
    "budget": "`outbox.budget` is spent; the oldest went. Give it more, or see why its sink is away",
    "age": "they were older than `outbox.age`. See why their sink is away",
    "disk": "the disk is full; the oldest went to make room. Free some room on it",
    "memory": "there is no disk, and memory for what waits is spent; the oldest went. See why the disk failed",
}
FULL = "the disk is full, or nearly: there is no room for the ballast that helps over a full one. Free some room on it"


async def tell_drops(
    outbox: Outbox, clock: Clock, report: Callable[[Health], Awaitable[None]], *, dropping: bool
) -> None:
    """Report `dropped` of the store, on change only, until cancelled; `dropping`: it was so at the last stop."""
    told = outbox.stats().dropped_rows
    if not dropping:
        await report(_health(well=True, detail=""))  # an alert of long ago ends, where there is one
    while True:
        if not dropping:
            rows, why = await outbox.dropped(told)
            points = outbox.stats().dropped_points
            first = f"{points} points in {rows - told} rows that no sink will get were dropped first"
            await report(_health(well=False, detail=f"series are dropped: {WHY[why]}. {first}; `outbox stat` has all"))
        while True:
            told = outbox.stats().dropped_rows
            await clock.sleep(QUIET_S)
            if outbox.stats().dropped_rows == told:
                break
        dropping = False
        await report(_health(well=True, detail=""))


async def tell_room(outbox: Outbox, report: Callable[[Health], Awaitable[None]]) -> None:
    """Report `room` of the store, first and on every change, until cancelled."""
    cramped = outbox.cramped
    while True:
        await report(Health("disk/outbox", "room", not cramped, FULL if cramped else ""))
        cramped = await outbox.cramped_changed(known=cramped)


async def tell_spoiled(outbox: Outbox, report: Callable[[Health], Awaitable[None]]) -> None:
    """Report rows that were damaged on the disk, whenever some are found, until cancelled.

    It ends with the next start, as with any other damage.
    """
    count = 0
    while True:
        count, said = await outbox.spoiled_rows(count)
        await report(Health("disk/outbox", "sound", ok=False, detail=said))


def _health(*, well: bool, detail: str) -> Health:
    return Health("disk/outbox", "dropped", well, detail)
