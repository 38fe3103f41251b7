"""The pure core: no clock, no I/O, no threads, no chance."""

from gateway.core.core import Core

__all__ = ["Core"]
