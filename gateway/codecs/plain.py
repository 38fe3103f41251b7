"""A payload that is one value: `plain: level`. The route's `kinds:` says whether a number, true/false or a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.codecs.rows import Rows, assemble, fields_of, name_problems
from gateway.codecs.times import zone_of
from gateway.codecs.values import stored
from gateway.config.common import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from gateway.config.model import SensorCommon
    from gateway.config.names import Names
    from gateway.ports import Decoded, Field


class Plain(Struct, frozen=True):
    """The name of the value that the whole payload is."""

    plain: str

    def values(self) -> tuple[str, ...]:
        """The value it takes out of a payload."""
        return (self.plain,)

    def check(self, names: Names) -> list[tuple[str, str]]:
        """What is wrong with the name: (key, problem)."""
        del names
        return name_problems("plain", self.values())


def build(config: Plain, common: SensorCommon, timezone: str) -> PlainDecoder:
    """The decoder of a checked route."""
    return PlainDecoder(fields_of({config.plain: config.plain}, common), zone_of(common.zone or timezone))


class PlainDecoder:
    """Fulfils ports.Decoder. The payload is text in UTF-8; white space around it does not count, save for kind str."""

    pure = True

    def __init__(self, fields: tuple[Field, ...], zone: tzinfo) -> None:
        self.fields = fields
        self._zone = zone

    def decode(self, bodies: Sequence[bytes]) -> Decoded:
        """Payloads to rows."""
        rows = Rows(1)
        kind = self.fields[0].kind
        for place, body in enumerate(bodies):
            try:
                text = body.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                rows.problem(place, f"the payload is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}")
                continue
            if not text.strip():
                rows.problem(place, "the payload is empty")
                continue
            try:
                rows.add(place, None, (stored(text, kind),))
            except ValueError as error:
                rows.problem(place, f"{self.fields[0].name}: {error}")
        return assemble(self.fields, rows, self._zone)
