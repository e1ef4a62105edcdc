"""The bus on Redis >= 6.2 or Valkey: one server, a cluster, or a primary that Sentinels name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog
from redis.exceptions import NoPermissionError, ReadOnlyError

from posewire.shared.bus.address import parse
from posewire.shared.bus.base import (
    START,
    Bus,
    Entry,
    Lease,
    Reader,
    block_ms,
    decode_entry,
    decode_value,
    undecodable,
)
from posewire.shared.bus.connect import connect
from posewire.shared.bus.faults import PASSING, explain
from posewire.shared.bus.identity import AnotherServerError, guard
from posewire.shared.bus.lease import MESSAGE, PAYLOAD, LeaseScripts, RedisLease, term_key
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import Message, encode
from posewire.shared.redact import redact

_log = structlog.get_logger(__name__)
_BEAT = """
-- Members by the server's time until which they live.
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
-- Nobody lives for more than 60 s without a beat: these are older than a step back of the clock.
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 120000, '+inf')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""
_T = TypeVar("_T")


class RedisBus(Bus):
    """Redis Streams through redis.asyncio."""

    def __init__(self, url: str) -> None:
        """Connect lazily to ``url``, in one of the forms of ``posewire.shared.bus.address``.

        Raises ValueError where it is none of them.
        """
        self.url = url
        self._servers = connect(parse(url), redact(url))
        self._client = self._servers.client
        self._lease_scripts = LeaseScripts(self._client)

    def epoch_of(self, key: str) -> int:
        return self._servers.epoch(key)

    async def call(self, command: Awaitable[_T], key: str = "", epoch: int | None = None) -> _T:
        """Await a redis-py command; raise BusUnavailable where the server is away.

        With ``epoch``, also where ``key`` is served by another server than it was then: nothing
        was sent.
        """
        guarding = guard.set(lambda: epoch is None or self.epoch_of(key) == epoch)
        try:
            try:
                await self._servers.ready()
                if epoch is not None and self.epoch_of(key) != epoch:
                    raise AnotherServerError
            except BaseException:
                if asyncio.iscoroutine(command):
                    command.close()
                raise
            return await command
        except PASSING as error:
            if isinstance(error, ReadOnlyError):
                await self._servers.forget()
            raise explain(self.url, error) from error
        finally:
            guard.reset(guarding)
            self.epoch_of(key)  # who serves it now is seen now: it may be somebody else soon

    async def publish(
        self, key: str, message: Message, *, maxlen: int, payload: bytes | None = None
    ) -> str:
        fields: dict[Any, Any] = {MESSAGE: encode(message)}
        if payload is not None:
            fields[PAYLOAD] = payload
        entry_id = await self.call(
            self._client.xadd(key, fields, maxlen=maxlen, approximate=maxlen > 256), key
        )
        return _text(entry_id)

    def reader(self, key: str, position: str = START) -> Reader:
        undecodable.labels(key=key)  # seen as 0 from the start: rates need a first value
        return _RedisReader(self, self._client, key, position)

    async def last(self, key: str) -> Entry | None:
        # Junk at the end is rare, and each entry may carry a picture: ask for one first.
        for count in (1, 16):
            for raw in await self.call(self._client.xrevrange(key, count=count), key) or []:
                if (entry := _entry(key, raw)) is not None:
                    return entry
        return None

    async def entry(self, key: str, entry_id: str) -> Entry | None:
        found = await self.call(self._client.xrange(key, entry_id, entry_id, count=1), key)
        return _entry(key, found[0]) if found else None

    async def length(self, key: str) -> int:
        return int(await self.call(self._client.xlen(key), key))

    async def put(
        self, key: str, message: Message, *, ttl_s: float | None = None, absent: bool = False
    ) -> None:
        ttl_ms = None if ttl_s is None else max(1, round(ttl_s * 1000))
        await self.call(self._client.set(key, encode(message), px=ttl_ms, nx=absent), key)

    async def get(self, key: str) -> Message | None:
        data: Any = await self.call(self._client.get(key), key)
        return None if data is None else decode_value(key, data)

    async def ttl_s(self, key: str) -> float | None:
        left_ms = int(await self.call(self._client.pttl(key), key))
        return left_ms / 1000 if left_ms >= 0 else None

    def lease(self, key: str, *, ttl_s: float) -> Lease:
        return RedisLease(self.call, self._lease_scripts, key, ttl_s)

    async def term(self, lease_key: str) -> int:
        # redis-py types hashes for both of its clients at once.
        found: Any = await self.call(self._client.hget(term_key(lease_key), "term"), lease_key)
        return int(found or 0)

    async def beat(self, key: str, member: str, *, ttl_s: float) -> int:
        ttl_ms = max(1, round(ttl_s * 1000))
        return int(await self.call(self._client.eval(_BEAT, 1, key, member, ttl_ms), key))

    async def leave(self, key: str, member: str) -> None:
        await self.call(self._client.zrem(key, member), key)

    async def ping(self) -> None:
        await self.call(self._client.ping())

    async def memory_bytes(self) -> int | None:
        infos = await self.memory()
        return None if infos is None else sum(int(info["used_memory"]) for info in infos)

    async def memory(self) -> list[dict[str, Any]] | None:
        """Return what INFO says about the memory of each server that holds data.

        None where the user of the bus may not ask. Raises BusUnavailable.
        """
        try:
            return await self.call(self._servers.info("memory"))
        except BusUnavailable as error:
            if isinstance(error.__cause__, NoPermissionError):
                return None
            raise

    async def close(self) -> None:
        await self._servers.close()


class _RedisReader(Reader):
    def __init__(self, bus: RedisBus, client: Any, key: str, position: str) -> None:
        self.position = position
        self._bus, self._client, self._key = bus, client, key

    async def read(self, *, count: int = 64, block_s: float = 1.0) -> list[Entry]:
        found = await self._bus.call(
            self._client.xread({self._key: self.position}, count=count, block=block_ms(block_s)),
            self._key,
        )
        entries = []
        for raw in _stream_entries(found):
            self.position = _text(raw[0])
            if (entry := _entry(self._key, raw)) is not None:
                entries.append(entry)
        return entries

    async def newest(self, *, block_s: float = 1.0) -> Entry | None:
        # What is there is fetched once; where nothing is, the next one to come is the newest.
        found = await self._bus.call(
            self._client.xrevrange(self._key, min=f"({self.position}", count=1), self._key
        )
        if not found:
            arrived = await self._bus.call(
                self._client.xread({self._key: self.position}, count=1, block=block_ms(block_s)),
                self._key,
            )
            found = _stream_entries(arrived)
        if not found:
            return None
        self.position = _text(found[0][0])
        return _entry(self._key, found[0])


def _text(entry_id: Any) -> str:
    return entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)


def _stream_entries(found: Any) -> list[Any]:
    """Return the entries in XREAD's answer for one stream (RESP2: list of pairs, RESP3: dict)."""
    if not found:
        return []
    if isinstance(found, dict):
        (entries,) = found.values()
        # redis-py nests RESP3's entries in one more list.
        nested = bool(entries) and isinstance(entries[0], list)
        return list(entries[0]) if nested else list(entries)
    return list(found[0][1])


def _entry(key: str, raw: Any) -> Entry | None:
    entry_id, fields = _text(raw[0]), raw[1] or {}
    return decode_entry(key, entry_id, fields.get(MESSAGE), fields.get(PAYLOAD))
