"""A channel beside the inputs: what people look at (video, boxes, positions) and replay does not need."""

from __future__ import annotations

import msgspec


class Beside(msgspec.Struct, frozen=True):
    """One channel by its topic, such as /camera/gate/video.

    `schema_name` empty: no schema. Encodings are MCAP's well-known ones (schema jsonschema, protobuf; message json,
    protobuf, msgpack).
    """

    topic: str
    schema_name: str = ""
    schema_encoding: str = ""
    schema: bytes = b""
    message_encoding: str = "json"
