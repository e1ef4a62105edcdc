"""The bus as services see it; see ``redis.py`` for the real one.

Delivery. There are no consumer groups: one worker holds a camera (a lease), and where it goes on
after a crash follows from what it has published or committed, so a position kept in the bus would
only be a second truth. ``epoch_of`` tells that the server of a key has restarted or that a replica
has taken its place: streams may be empty or shorter than remembered, and positions must be derived
anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog
from prometheus_client import Counter

from posewire.shared.causes import Causes
from posewire.shared.errors import LeaseLost, MessageError
from posewire.shared.messages import Message, decode

START = "0-0"
"""Position before the first entry of a stream."""

_log = structlog.get_logger(__name__)
undecodable = Counter(
    "posewire_bus_undecodable_total", "Entries dropped because they are no message of ours", ["key"]
)
_causes = Causes()


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a stream.

    ``payload`` holds bytes that travel beside the message: a frame's JPEG.
    """

    id: str
    message: Message
    payload: bytes | None = None


class Reader(Protocol):
    """Reads one stream onwards from a position, which it moves past everything it has seen."""

    position: str

    async def read(self, *, count: int = 64, block_s: float = 1.0) -> list[Entry]:
        """Return up to ``count`` entries after ``position``, oldest first.

        Waits up to ``block_s`` (at most 2) for the first one; empty where none came. Entries that
        cannot be decoded are counted, logged once per cause, and skipped.

        Raises BusUnavailable.
        """

    async def newest(self, *, block_s: float = 1.0) -> Entry | None:
        """Return the newest entry after ``position`` and skip those in between."""


class Lease(Protocol):
    """The right to work on a camera, kept alive in the background until it is released or lost.

    What its holder writes goes through it: the server writes nothing for a worker whose lease
    another one has, or has had since. A lease that ran out, or that a restarted server does not
    know, is taken anew as long as nobody else has had it.
    """

    @property
    def held(self) -> bool:
        """Whether it is ours for certain at this moment."""

    @property
    def term(self) -> int:
        """Number of this holding: higher than every one before on the same camera and role."""

    @property
    def owner(self) -> str:
        """Host and process that hold it, as far as ``acquire`` has found out."""

    async def acquire(self) -> bool:
        """Try once; return whether it is ours now. Raises BusUnavailable."""

    async def release(self) -> None:
        """Give it back, whoever cancels meanwhile; raises nothing but such a cancellation."""

    async def publish(
        self,
        key: str,
        message: Message,
        *,
        maxlen: int,
        payload: bytes | None = None,
        epoch: int | None = None,
    ) -> str:
        """Append to a stream of the same camera as ``Bus.publish`` does, if the lease is ours.

        ``epoch``: the stream's when its writer looked last at what is in it, where that matters.

        Raises BusUnavailable, also where the lease had to be taken anew, or where the stream is
        served by another server than at ``epoch``: nothing was written.
        Raises LeaseLost where another worker has the lease or has had it.
        """

    async def put(self, key: str, message: Message, *, ttl_s: float | None = None) -> None:
        """Set a value of the same camera, if the lease is ours; raises as ``publish`` does."""


class Bus(Protocol):
    """Streams, values and leases. Every call raises BusUnavailable when the server is away."""

    def epoch_of(self, key: str) -> int:
        """Return a number that grows when ``key`` turns out to be served by another server.

        A restarted process is another one, too. Of a cluster, only the keys of the shard concerned
        are.
        """

    async def publish(
        self, key: str, message: Message, *, maxlen: int, payload: bytes | None = None
    ) -> str:
        """Append to a stream, trim it to ``maxlen`` entries, return the new entry's id.

        For those who hold no lease; who holds one publishes through it.
        """

    def reader(self, key: str, position: str = START) -> Reader:
        """Return a reader of the stream ``key`` that starts after ``position``."""

    async def last(self, key: str) -> Entry | None:
        """Return the newest decodable entry among a stream's last 16."""

    async def entry(self, key: str, entry_id: str) -> Entry | None:
        """Return one entry, None where it was trimmed."""

    async def length(self, key: str) -> int:
        """Return how many entries a stream holds."""

    async def put(
        self, key: str, message: Message, *, ttl_s: float | None = None, absent: bool = False
    ) -> None:
        """Set a value, which vanishes after ``ttl_s`` unless it is set again.

        ``absent``: only where there is none.
        """

    async def get(self, key: str) -> Message | None:
        """Return a value, None where there is none or it cannot be decoded."""

    async def ttl_s(self, key: str) -> float | None:
        """Return in how many seconds a value vanishes by the server's own clock.

        None where it does not, or there is none.
        """

    def lease(self, key: str, *, ttl_s: float) -> Lease:
        """Return a lease that others can take ``ttl_s`` after this process stopped renewing it."""

    async def term(self, lease_key: str) -> int:
        """Return the newest term of a lease, 0 where the server knows of none."""

    async def beat(self, key: str, member: str, *, ttl_s: float) -> int:
        """Say that ``member`` lives for ``ttl_s`` more; return how many of ``key`` live."""

    async def leave(self, key: str, member: str) -> None:
        """Say that ``member`` is gone."""

    async def ping(self) -> None:
        """Return when the server answers."""

    async def memory_bytes(self) -> int | None:
        """Return how much memory the servers use for all they hold; None where that is secret."""

    async def close(self) -> None:
        """Close all connections."""


def decode_entry(
    key: str, entry_id: str, data: bytes | None, payload: bytes | None
) -> Entry | None:
    """Return the entry, or None (counted, logged once per cause) where it is no message."""
    try:
        if data is None:
            raise MessageError("entry without a message field")
        return Entry(entry_id, decode(data), payload)
    except MessageError as error:
        undecodable.labels(key=key).inc()
        if times := _causes.due(key, error):
            _log.warning("bus.undecodable", key=key, entry=entry_id, error=str(error), times=times)
        return None


def decode_value(key: str, data: bytes) -> Message | None:
    """Return a value, or None (counted, logged once per cause) where it is no message."""
    try:
        return decode(data)
    except MessageError as error:
        undecodable.labels(key=key).inc()
        if times := _causes.due(key, error):
            _log.warning("bus.undecodable_value", key=key, error=str(error), times=times)
        return None


def no_lease(key: str) -> LeaseLost:
    """Return the error for a worker that does not hold the lease ``key``."""
    return LeaseLost(f"the lease {key} is not held any more; another worker may have it")


def block_ms(block_s: float) -> int:
    """Return ``block_s`` in whole milliseconds: at least 1 (0 blocks for ever), at most 2000."""
    return max(1, min(2000, round(block_s * 1000)))
