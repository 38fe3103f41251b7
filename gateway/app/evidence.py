"""The evidence of a running gateway: which cameras give some, where it lies, and who reads it."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from gateway.config.box import EvidenceConfig
from gateway.errors import TransientError, Unreachable
from gateway.events import Health

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from gateway.app.running import Running
    from gateway.config.manifest import Manifest
    from gateway.config.model import Config, Rule
    from gateway.events import Input, Stepped
    from gateway.outbox import Outbox
    from gateway.ports import Clock
    from gateway.sinks.history import History
    from gateway.vision.evidence import Evidencer


class Evidences(NamedTuple):
    """Who makes it, `read(alert, sha256, most)` for those who send it on, and what there is to say at the start."""

    maker: Evidencer
    read: Callable[[str, str, int], Awaitable[bytes | None]]
    notices: list[Health]


async def evidence_of(
    config: Config,
    manifests: Mapping[str, Manifest],
    outbox: Outbox,
    history: History,
    running: Running,
    clock: Clock,
    live: bool,
) -> Evidences | None:
    """The maker for the cameras whose pictures go with some rule's alerts; None where there are none, or not live."""
    settings = config.evidence
    wanted = {camera for rule in config.rules.values() if (camera := pictured(rule, manifests)) in manifests}
    if not isinstance(settings, EvidenceConfig) or not wanted or not live:
        return None
    from gateway.vision.evidence import Evidencer  # noqa: PLC0415 - a ground-only gateway loads no vision
    from gateway.vision.evidence_store import Store  # noqa: PLC0415 - as above

    store = Store(config.state, int(settings.budget))
    seen: dict[str, bool] = {}

    def stepped(held: Sequence[Stepped]) -> None:
        for row in (row for one in held for row in one.alerts):
            if row.open:
                seen[row.id] = True
            else:
                seen.pop(row.id, None)

    async def open_alerts() -> set[str]:
        try:
            return {*seen, *(row.id for row in await history.open_alerts())}
        except TransientError:
            return {kept.alert for _, kept in store.files()}  # nothing may go while nobody knows whose it is

    async def commit(batch: Sequence[Input]) -> None:
        if running.closing:
            raise Unreachable("the gateway ends; it is done after the next start")
        await running.commit(batch)

    seen.update(dict.fromkeys(await open_alerts(), True))
    running.door.on_stepped(stepped)
    recordings = outbox.spare
    outbox.spare = partial(_spare, lambda size: store.free(size, set(seen)), recordings)
    maker = Evidencer(
        {name: camera for name, camera in config.cameras.items() if name in wanted},
        manifests,
        settings,
        store,
        ZoneInfo(config.timezone),
        clock,
        commit,
        running.report,
        open_alerts,
    )
    running.read_evidence = maker.read
    running.parts.append(("evidence", "", lambda: {f"{what}_total": count for what, count in maker.stats().items()}))
    seals = settings.privacy != "sealed" or find_spec("nacl") is not None
    lacks = "" if seals else "sealing clips needs PyNaCl: pip install 'zhiwang[evidence]'; until then there are none"
    return Evidences(maker, maker.read, [Health("disk/evidence", "sealing", seals, lacks)])


def pictured(rule: Rule, cameras: Collection[str]) -> str | None:
    """The camera whose picture goes with a rule's alerts."""
    picture, where = rule.common.picture, getattr(rule.kind, "in_", None)
    if picture == "off" or rule.common.mode == "off":
        return None
    if picture is not None or not isinstance(where, str):
        return picture
    return where if where in cameras else where.rpartition(".")[0]


def _spare(first: Callable[[int], int], then: Callable[[int], int], wanted: int) -> int:
    """Free so many bytes of a full disk: of evidence first, then of recordings."""
    freed = first(wanted)
    return freed + (then(wanted - freed) if freed < wanted else 0)
