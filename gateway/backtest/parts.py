"""What a backtest is made of: tasks, what one came to, and the alerts in it."""

from __future__ import annotations

import msgspec

from gateway.backtest.variants import Variant
from gateway.replaying.labels import Span, Window


class Group(msgspec.Struct, frozen=True):
    """Files that are replayed in one go: a day of a gateway, or all of it.

    `day` is the local date of its first message, `files` are absolute paths, `from_ns` and `to_ns` the times of the
    first and last message; `configs`: the texts of the configurations in them. `key` is a fingerprint of the files.
    """

    gateway: str
    day: str
    timezone: str
    files: tuple[str, ...]
    bytes: int
    from_ns: int
    to_ns: int
    key: str
    configs: tuple[str, ...] = ()


class Task(msgspec.Struct, frozen=True):
    """A group through a configuration. `key` hashes both and this version of the program."""

    key: str
    group: Group
    variant: Variant


class Alert(msgspec.Struct, frozen=True):
    """One alert over all its changes; `severity` is the highest that it reached.

    `raised`: in this recording; else it was open before its beginning. `returned_ns`: when its condition held again,
    while it was still open.
    """

    span: Span
    class_: str
    severity: str
    shadow: bool
    raised: bool
    returned_ns: tuple[int, ...] = ()


class Done(msgspec.Struct, frozen=True):
    """What a task came to. `windows`: the labels that the recording itself holds; `error`: why there is no result."""

    key: str
    gateway: str
    variant: str
    day: str
    timezone: str
    from_ns: int
    to_ns: int
    bytes: int
    messages: int = 0
    took_s: float = 0.0
    alerts: tuple[Alert, ...] = ()
    windows: tuple[Window, ...] = ()
    holes: tuple[str, ...] = ()
    error: str = ""


def failed(task: Task, why: str) -> Done:
    """A task without a result."""
    group = task.group
    return Done(
        task.key, group.gateway, task.variant.name, group.day, group.timezone, group.from_ns, group.to_ns, group.bytes,
        error=why,
    )  # fmt: skip
