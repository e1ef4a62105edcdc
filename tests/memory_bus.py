"""The bus within one process: the double of ``RedisBus`` for tests that need no server.

It keeps the same promises; ``tests/integration/shared/test_bus.py`` holds both to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from dataclasses import dataclass

from posewire.shared.bus import keys
from posewire.shared.bus.base import (
    START,
    Bus,
    Entry,
    Lease,
    Reader,
    block_ms,
    decode_entry,
    decode_value,
    no_lease,
)
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import Message, encode

_Raw = tuple[tuple[int, int], bytes | None, bytes | None]


@dataclass(slots=True)
class _Holding:
    """Who holds a lease, or was the last to; until when, on the bus's clock."""

    holder: object
    until: float
    term: int


class MemoryBus(Bus):
    """Streams, values and leases in dictionaries.

    ``away = True`` makes every call raise BusUnavailable; ``restart(keep_data=...)`` does what a
    server's restart does.
    """

    def __init__(self) -> None:
        self.away = False
        self._epoch = 0
        self._streams: dict[str, deque[_Raw]] = defaultdict(deque)
        self._values: dict[str, tuple[bytes, float]] = {}
        self._holdings: dict[str, _Holding] = {}
        self._last_id = (0, 0)
        self._waiting: set[asyncio.Future[None]] = set()
        self._ahead_ms = 0
        self._members: dict[str, dict[str, float]] = defaultdict(dict)

    def epoch_of(self, key: str) -> int:
        return self._epoch

    def restart(self, *, keep_data: bool) -> None:
        """Come back as a new server process, with or without what was stored."""
        self._epoch += 1
        self.away = False
        if not keep_data:
            self._streams.clear()
            self._values.clear()
            self._holdings.clear()
            self._members.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass: for entries from now on, for values, and for leases."""
        self._ahead_ms += round(seconds * 1000)

    @property
    def clock(self) -> float:
        """Seconds on the clock by which values and leases run out."""
        return time.monotonic() + self._ahead_ms / 1000

    def check(self) -> None:
        """Raise BusUnavailable while the double is away."""
        if self.away:
            raise BusUnavailable("the in-memory bus is away")

    async def inject(self, key: str, data: bytes | None, payload: bytes | None = None) -> str:
        """Append raw bytes, as a foreign program could."""
        now = time.time_ns() // 1_000_000 + self._ahead_ms
        last_ms, count = self._last_id
        self._last_id = (now, 0) if now > last_ms else (last_ms, count + 1)
        self._streams[key].append((self._last_id, data, payload))
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        return _text(self._last_id)

    async def publish(
        self, key: str, message: Message, *, maxlen: int, payload: bytes | None = None
    ) -> str:
        self.check()
        entry_id = await self.inject(key, encode(message), payload)
        stream = self._streams[key]
        while len(stream) > maxlen:
            stream.popleft()
        return entry_id

    def reader(self, key: str, position: str = START) -> Reader:
        return _MemoryReader(self, key, position)

    def after(self, key: str, position: str) -> list[_Raw]:
        """Return the raw entries of ``key`` after ``position``, oldest first."""
        self.check()
        start = _parse(position)
        return [raw for raw in self._streams[key] if raw[0] > start]

    async def wait(self, key: str, position: str, block_s: float) -> list[_Raw]:
        """Like ``after``, waiting for the first entry."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + block_ms(block_s) / 1000
        while not (found := self.after(key, position)) and loop.time() < deadline:
            arrival: asyncio.Future[None] = loop.create_future()
            self._waiting.add(arrival)
            try:
                # Not wait_for: before Python 3.12 it can swallow a cancellation.
                await asyncio.wait({arrival}, timeout=deadline - loop.time())
            finally:
                self._waiting.discard(arrival)
        return found

    async def last(self, key: str) -> Entry | None:
        self.check()
        for raw in list(self._streams[key])[:-17:-1]:
            if (entry := _entry(key, raw)) is not None:
                return entry
        return None

    async def entry(self, key: str, entry_id: str) -> Entry | None:
        self.check()
        wanted = _parse(entry_id)
        return next((_entry(key, raw) for raw in self._streams[key] if raw[0] == wanted), None)

    async def length(self, key: str) -> int:
        self.check()
        return len(self._streams[key])

    async def put(
        self, key: str, message: Message, *, ttl_s: float | None = None, absent: bool = False
    ) -> None:
        self.check()
        if absent and self.clock < self._values.get(key, (b"", 0.0))[1]:
            return
        until = self.clock + ttl_s if ttl_s is not None else float("inf")
        self._values[key] = (encode(message), until)

    async def get(self, key: str) -> Message | None:
        self.check()
        data, until = self._values.get(key, (b"", 0.0))
        return decode_value(key, data) if self.clock < until else None

    async def ttl_s(self, key: str) -> float | None:
        self.check()
        left_s = self._values.get(key, (b"", 0.0))[1] - self.clock
        return left_s if 0 <= left_s < float("inf") else None

    def lease(self, key: str, *, ttl_s: float) -> Lease:
        return _MemoryLease(self, self._holdings, key, ttl_s)

    async def term(self, lease_key: str) -> int:
        self.check()
        holding = self._holdings.get(lease_key)
        return 0 if holding is None else holding.term

    async def beat(self, key: str, member: str, *, ttl_s: float) -> int:
        self.check()
        now = self.clock
        members = self._members[key]
        members[member] = now + ttl_s
        for gone in [name for name, until in members.items() if until <= now]:
            del members[gone]
        return len(members)

    async def leave(self, key: str, member: str) -> None:
        self.check()
        self._members[key].pop(member, None)

    async def ping(self) -> None:
        self.check()

    async def memory_bytes(self) -> int:
        self.check()
        entries = (raw for stream in self._streams.values() for raw in stream)
        return sum(len(data or b"") + len(payload or b"") for _id, data, payload in entries)

    async def close(self) -> None:
        return None


class _MemoryReader(Reader):
    def __init__(self, bus: MemoryBus, key: str, position: str) -> None:
        self.position = position
        self._bus, self._key = bus, key

    async def read(self, *, count: int = 64, block_s: float = 1.0) -> list[Entry]:
        found = (await self._bus.wait(self._key, self.position, block_s))[:count]
        if found:
            self.position = _text(found[-1][0])
        return [entry for raw in found if (entry := _entry(self._key, raw)) is not None]

    async def newest(self, *, block_s: float = 1.0) -> Entry | None:
        found = await self._bus.wait(self._key, self.position, block_s)
        if not found:
            return None
        self.position = _text(found[-1][0])
        return _entry(self._key, found[-1])


async def hold(bus: Bus, camera: str, role: str, *, ttl_s: float = 30) -> Lease:
    """Return a lease that is held."""
    lease = bus.lease(keys.lease(camera, role), ttl_s=ttl_s)
    assert await lease.acquire()
    return lease


class _MemoryLease(Lease):
    def __init__(
        self, bus: MemoryBus, holdings: dict[str, _Holding], key: str, ttl_s: float
    ) -> None:
        self._bus, self._holdings, self._key, self._ttl_s = bus, holdings, key, ttl_s
        self._token = object()
        self._renewal: asyncio.Task[None] | None = None
        self._held = False
        self._valid_until = 0.0
        self._term = 0
        self._owner = ""

    @property
    def held(self) -> bool:
        return self._held and self._bus.clock < self._valid_until

    @property
    def term(self) -> int:
        return self._term

    @property
    def owner(self) -> str:
        return self._owner

    async def acquire(self) -> bool:
        self._bus.check()
        last = self._holdings.get(self._key)
        if last is not None and self._bus.clock < last.until:
            self._owner = "this process"
            return False
        self._token = object()
        self._take(1 if last is None else last.term + 1)
        self._held = True
        self._renewal = asyncio.create_task(self._keep_renewing(), name=f"lease {self._key}")
        return True

    def _take(self, term: int) -> None:
        self._term, self._valid_until = term, self._bus.clock + self._ttl_s
        self._holdings[self._key] = _Holding(self._token, self._valid_until, term)

    async def _keep_renewing(self) -> None:
        while self._held:
            await asyncio.sleep(self._ttl_s / 3)
            with contextlib.suppress(BusUnavailable):
                self._renew()

    def _renew(self) -> None:
        self._bus.check()
        last = self._holdings.get(self._key)
        if last is None:
            self._take(self._term + 1)
        elif last.holder is not self._token:
            self._held = False
        else:
            self._take(self._term if self._bus.clock < last.until else self._term + 1)

    def _check(self) -> None:
        if not self._held:
            raise no_lease(self._key)
        self._bus.check()
        last = self._holdings.get(self._key)
        if last is not None and last.holder is self._token and self._bus.clock < last.until:
            return
        self._renew()
        if self._held:
            raise BusUnavailable(f"the bus did not know the lease {self._key}; it is taken anew")
        raise no_lease(self._key)

    async def publish(
        self,
        key: str,
        message: Message,
        *,
        maxlen: int,
        payload: bytes | None = None,
        epoch: int | None = None,
    ) -> str:
        if epoch is not None and self._bus.epoch_of(key) != epoch:
            raise BusUnavailable("the in-memory bus is another server than before")
        self._check()
        return await self._bus.publish(key, message, maxlen=maxlen, payload=payload)

    async def put(self, key: str, message: Message, *, ttl_s: float | None = None) -> None:
        self._check()
        await self._bus.put(key, message, ttl_s=ttl_s)

    async def release(self) -> None:
        held, self._held = self._held, False
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        last = self._holdings.get(self._key)
        if held and last is not None and last.holder is self._token:
            last.until = 0.0


def _parse(entry_id: str) -> tuple[int, int]:
    milliseconds, _, counter = entry_id.partition("-")
    return int(milliseconds), int(counter or 0)


def _text(parsed: tuple[int, int]) -> str:
    return f"{parsed[0]}-{parsed[1]}"


def _entry(key: str, raw: _Raw) -> Entry | None:
    return decode_entry(key, _text(raw[0]), raw[1], raw[2])
