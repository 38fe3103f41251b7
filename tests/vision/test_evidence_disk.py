"""A full disk for evidence: what is kept stays, what comes goes out from memory, and is stored when there is room."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from gateway.errors import EvidenceError
from gateway.vision.evidence_store import SLACK, Store
from tests.outbox.mounted import fill, mounted
from tests.vision.running import eventually
from tests.vision.test_evidence_asked import Around, manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.events import Health

MB = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MB."""
    folder = tmp_path / "disk"
    with mounted(folder, "-t", "tmpfs", "-o", "size=32M", "tmpfs"):
        yield folder


def kept(store: Store) -> list[str]:
    """The alerts that have files on the disk, oldest first."""
    return [one.alert for _, one in store.files()]


def four(store: Store) -> None:
    """A megabyte of each of four alerts; `pinned` is the oldest, then `open`, `old` and `new`."""
    for age, alert in enumerate(("pinned", "open", "old", "new")):
        store.keep(alert, "video/mp4", os.urandom(MB), {"open"})
        for path in (store.folder / alert).iterdir():
            os.utime(path, (age, age))
    store.pin("pinned")


def test_room_is_made_of_the_oldest_that_nobody_needs_while_that_is_enough(disk: Path) -> None:
    store = Store(disk, 10**9)
    four(store)
    fill(disk, leave=SLACK + 500_000)

    store.keep("late", "video/mp4", os.urandom(MB), {"open"})

    assert kept(store) == ["pinned", "open", "new", "late"]


def test_where_all_that_may_go_is_not_enough_nothing_goes(disk: Path) -> None:
    store = Store(disk, 10**9)
    four(store)
    other = fill(disk)

    for kind in ("image/jpeg", "video/mp4"):
        with pytest.raises(
            EvidenceError, match=r"no room for 1000000 bytes: 4000000 .* 2000000 of them by open or pinn"
        ):
            store.keep("late", kind, os.urandom(MB), {"open"})
    with pytest.raises(EvidenceError, match="no room"):
        store.settle({"open"})

    assert kept(store) == ["pinned", "open", "old", "new"]
    other.unlink()
    assert store.keep("late", "video/mp4", os.urandom(MB), {"open"})


def test_a_picture_that_the_full_disk_did_not_take_is_stored_when_there_is_room(disk: Path) -> None:
    store = Store(disk, 10**9)
    other = fill(disk)
    with pytest.raises(EvidenceError):
        store.keep("late", "image/jpeg", b"seen", set())
    sha256 = hashlib.sha256(b"seen").hexdigest()
    assert (store.read("late", sha256), kept(store)) == (b"seen", [])
    other.unlink()

    store.settle(set())

    assert (disk / f"evidence/late/{sha256}.jpg").read_bytes() == b"seen"
    assert list((disk / "evidence/held").iterdir()) == []
    assert store.read("late", sha256) == b"seen"


def test_half_a_picture_that_is_held_is_none(disk: Path) -> None:
    store = Store(disk, 10**9)
    fill(disk, leave=SLACK + 50_000)
    store.hold("whole", b"x" * 40_000)
    store.hold("half", b"y" * 80_000)
    fill(disk)
    store.hold("none", b"z" * 10)

    assert [store.held(name) for name in ("whole", "half", "none")] == [b"x" * 40_000, None, None]


class Told(Around):
    """Remembers what was said of the disk, and which alerts are open."""

    said: list[Health]
    open: set[str]

    async def report(self, health: Health) -> None:
        """What it says."""
        self.said.append(health)

    async def open_alerts(self) -> set[str]:
        """Those."""
        return self.open


async def test_a_full_disk_is_said_pictures_go_on_and_it_is_said_when_there_is_room(disk: Path, tmp_path: Path) -> None:
    """Given alerts open, pinned and closed, when the disk is full, then a new picture is handed over and nothing goes.

    When there is room, then without a further alert that picture is on the disk, and that is said too.
    """
    around = Told(disk, manifest_of(tmp_path))
    around.said, around.open = [], {"open"}
    running = asyncio.ensure_future(around.maker.run())
    try:
        around.seen(1)
        await around.maker.deliver([around.row(alert, alert) for alert in ("open", "pinned", "closed")])
        around.store.pin("pinned")
        other = fill(disk)
        before = kept(around.store)

        around.open.add("late")
        await around.maker.deliver([around.row("late", "late")])

        made = around.inputs[-1]
        assert made.alert == "late"
        assert await around.maker.read("late", made.sha256, 0)
        assert [(one.component, one.condition, one.ok) for one in around.said] == [
            ("disk/evidence", "room", True),
            ("disk/evidence", "room", False),
        ]
        assert "free some room on it" in around.said[-1].detail
        assert sorted(kept(around.store)) == sorted(before) == ["closed", "open", "pinned"]
        assert around.maker.stats()["not_kept"] == 1

        other.unlink()
        await eventually(lambda: around.said[-1].ok, 15)

        assert (disk / f"evidence/late/{made.sha256}.jpg").is_file()
        assert len(around.said) == 3
    finally:
        running.cancel()
        await around.maker.aclose()


async def test_a_disk_that_is_full_at_the_start_is_said_before_an_alert_needs_it(disk: Path, tmp_path: Path) -> None:
    fill(disk)
    around = Told(disk, manifest_of(tmp_path))
    around.said, around.open = [], set()
    running = asyncio.ensure_future(around.maker.run())
    try:
        await eventually(lambda: around.said, 15)
        assert not around.said[0].ok
    finally:
        running.cancel()
        await around.maker.aclose()
