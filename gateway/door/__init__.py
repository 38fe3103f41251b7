"""The door: order, times, cuts, group commit and receipts. Everything that can change a decision comes through it."""

from gateway.door.clocks import RELEASED_NS, wait_for_clock
from gateway.door.door import Door, DoorStats

__all__ = ["RELEASED_NS", "Door", "DoorStats", "wait_for_clock"]
