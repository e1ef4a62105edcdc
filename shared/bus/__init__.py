"""The message bus: bounded streams, values and leases."""

from shared.bus import keys
from shared.bus.base import START, Bus, Entry, Lease, Reader
from shared.bus.memory import MemoryBus
from shared.bus.redis import RedisBus

__all__ = ["START", "Bus", "Entry", "Lease", "MemoryBus", "Reader", "RedisBus", "keys"]
