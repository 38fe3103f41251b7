"""`zhiwang schema`: the JSON Schema of the configuration, for editors, or of an alert, for subscribers."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

EXAMPLE = "zhiwang schema config > gateway.schema.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "what", choices=("config", "alert"), help="config: gateway.yaml; alert: what subscribers receive"
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema. Exit code 0."""
    if args.what == "alert":
        print(files("gateway.cli").joinpath("schema_alert.json").read_text(encoding="utf-8"), end="")
        return 0
    from gateway.config.schema import schema_text  # noqa: PLC0415 - loads only when it is asked for
    from gateway.registry import registry  # noqa: PLC0415 - as above

    print(schema_text(registry()), end="")
    return 0
