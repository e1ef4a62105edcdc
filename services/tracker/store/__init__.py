"""The tracker's database."""

from posewire.tracker.store.store import Checkpoint, Drawn, Rows, Store

__all__ = ["Checkpoint", "Drawn", "Rows", "Store"]
