"""The message bus: bounded streams, values and leases."""

from posewire.shared.bus import keys
from posewire.shared.bus.base import START, Bus, Entry, Lease, Reader
from posewire.shared.bus.redis import RedisBus

__all__ = ["START", "Bus", "Entry", "Lease", "Reader", "RedisBus", "keys"]
