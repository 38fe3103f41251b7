"""An alert's change as a line of JSON: what the core made of it, with `status` at its end (DESIGN.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gateway.events import AlertRow

ACTUAL, TEST = b'"status":"actual"}', b'"status":"test"}'


def alert_line(row: AlertRow, status: Literal["actual", "test"] | None = None) -> bytes:
    """The line, without a newline; by default it is a test's where the rule is a shadow."""
    test = row.shadow if status is None else status == "test"
    return row.body.rstrip()[:-1] + b"," + (TEST if test else ACTUAL)


def as_test(line: bytes) -> bytes:
    """The same line as a replay writes it."""
    return line.removesuffix(ACTUAL) + TEST if line.endswith(ACTUAL) else line
