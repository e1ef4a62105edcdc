"""The database: its schema, the way to it, what its errors mean; for all who ask it anything."""

from posewire.shared.database.connections import Pool, connect
from posewire.shared.database.errors import Verdict, translated, verdict
from posewire.shared.database.migrate import Schema, ensure, inspect, migrate

__all__ = [
    "Pool",
    "Schema",
    "Verdict",
    "connect",
    "ensure",
    "inspect",
    "migrate",
    "translated",
    "verdict",
]
