"""What a configuration names beyond fixed keys: transports, codecs, rules and sinks, by the key that is their type.

`app` fills a Registry from the kinds' own files and from entry points, and hands it to `config.load`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of thing.

    `key` is the configuration key that names it (`mqtt`, `json`, `threshold`, `v2`). `struct` is a frozen msgspec
    Struct with a field of that name and the kind's further keys beside it; Python keywords carry a trailing underscore
    and are renamed (`for_` → `for`). `build` makes the part from its decoded struct; who calls it says with what else.
    """

    key: str
    struct: type[msgspec.Struct]
    build: Callable[..., Any]


class Registry(msgspec.Struct, frozen=True):
    """Every kind this program knows: how a sensor's payloads come (transports) and read (codecs), rules, sinks.

    `models()`: the labels of each shipped model, by name; only asked where there are cameras.
    """

    transports: dict[str, Kind]
    codecs: dict[str, Kind]
    rules: dict[str, Kind]
    sinks: dict[str, Kind]
    models: Callable[[], dict[str, tuple[str, ...]]] = dict
