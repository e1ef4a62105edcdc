"""The bus within one process: the double of ``RedisBus`` for unit tests, and for ``analyze``."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque

from posewire.shared.bus.base import START, Bus, Entry, Lease, Reader, block_ms, decode_entry
from posewire.shared.errors import BusUnavailable, MessageError
from posewire.shared.messages import Message, decode, encode

_Raw = tuple[tuple[int, int], bytes | None, bytes | None]


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
        self._owners: dict[str, tuple[object, float]] = {}
        self._last_id = (0, 0)
        self._waiting: set[asyncio.Future[None]] = set()
        self._ahead_ms = 0
        self._members: dict[str, dict[str, float]] = defaultdict(dict)

    @property
    def epoch(self) -> int:
        return self._epoch

    def restart(self, *, keep_data: bool) -> None:
        """Come back as a new server process, with or without what was stored."""
        self._epoch += 1
        self.away = False
        if not keep_data:
            self._streams.clear()
            self._values.clear()
            self._owners.clear()
            self._members.clear()

    def advance(self, seconds: float) -> None:
        """Let time pass for what is put on the bus from now on."""
        self._ahead_ms += round(seconds * 1000)

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

    async def put(self, key: str, message: Message, *, ttl_s: float | None = None) -> None:
        self.check()
        until = time.monotonic() + ttl_s if ttl_s is not None else float("inf")
        self._values[key] = (encode(message), until)

    async def get(self, key: str) -> Message | None:
        self.check()
        data, until = self._values.get(key, (b"", 0.0))
        try:
            return decode(data) if time.monotonic() < until else None
        except MessageError:
            return None

    def lease(self, key: str, *, ttl_s: float) -> Lease:
        return _MemoryLease(self, self._owners, key, ttl_s)

    async def beat(self, key: str, member: str, *, ttl_s: float) -> int:
        self.check()
        now = time.monotonic()
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


class _MemoryLease(Lease):
    """Never expires by time while its holder lives: in one process nobody dies alone."""

    def __init__(
        self, bus: MemoryBus, owners: dict[str, tuple[object, float]], key: str, ttl_s: float
    ) -> None:
        self._bus, self._owners, self._key, self._ttl_s = bus, owners, key, ttl_s

    @property
    def held(self) -> bool:
        return self._owners.get(self._key, (None, 0.0))[0] is self

    async def acquire(self) -> bool:
        self._bus.check()
        return self._owners.setdefault(self._key, (self, self._ttl_s))[0] is self

    async def release(self) -> None:
        if self.held:
            del self._owners[self._key]


def _parse(entry_id: str) -> tuple[int, int]:
    milliseconds, _, counter = entry_id.partition("-")
    return int(milliseconds), int(counter or 0)


def _text(parsed: tuple[int, int]) -> str:
    return f"{parsed[0]}-{parsed[1]}"


def _entry(key: str, raw: _Raw) -> Entry | None:
    return decode_entry(key, _text(raw[0]), raw[1], raw[2])
