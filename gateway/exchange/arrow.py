"""Apache Arrow, which only the extra `analysis` brings: loaded when it is needed, missed in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from types import ModuleType


def arrow() -> Any:
    """The module pyarrow. Raises GatewayError where it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and only where tables are read or written
    except ImportError as error:
        raise missing(error) from error
    return pa


def parquet() -> Any:
    """The module pyarrow.parquet. Raises GatewayError where it is not installed."""
    try:
        import pyarrow.parquet as module  # noqa: PLC0415 - as above
    except ImportError as error:
        raise missing(error) from error
    found: ModuleType = module
    return found


def missing(error: ImportError) -> GatewayError:
    """What to say."""
    return GatewayError(f"Parquet needs {error.name or 'pyarrow'}: pip install 'zhiwang[analysis]'")
