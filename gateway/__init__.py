"""zhiwang (智网): a city-sensing edge gateway. Streams and cameras in; detections, alerts and time series out.

From Python: `gateway.replay(files, config=None, *, from_=None, to=None) -> alerts, series`, as Arrow tables
(gateway.backtest.arrow); it is looked up when it is asked for, and importing `gateway` loads nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.backtest.arrow import replay

__version__ = "0.1.0"
__all__ = ["__version__", "replay"]


def __getattr__(name: str) -> object:
    """`replay`, from where it is: PEP 562."""
    if name != "replay":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gateway.backtest.arrow import replay  # noqa: PLC0415 - the core, and pyarrow with it

    globals()[name] = replay
    return replay
