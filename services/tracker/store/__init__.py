"""The tracker's database."""

from services.tracker.store.store import Checkpoint, Rows, Store

__all__ = ["Checkpoint", "Rows", "Store"]
