"""The bus on Redis >= 6.2 or Valkey."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar

import redis.asyncio as aioredis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    InvalidResponse,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

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
_AWAY = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)


class RedisBus(Bus):
    """Redis Streams through redis.asyncio.

    redis-py's own retries are off: a call that failed may have been carried out or not, and the
    server may have come back without its data, so the worker above has to look before it goes on.
    """

    def __init__(self, url: str) -> None:
        """Connect lazily to ``url``: redis://, rediss:// or unix://."""
        self.url = url
        self._epoch = 0
        self._run_id: str | None = None
        self._client = aioredis.Redis.from_url(
            url,
            socket_connect_timeout=2.0,
            socket_timeout=5.0,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._on_connect,
        )
        self._lease_scripts = LeaseScripts(self._client)

    @property
    def epoch(self) -> int:
        return self._epoch

    async def _on_connect(self, connection: Any) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        info = await connection.read_response()
        text = info.decode() if isinstance(info, bytes) else str(info)
        run_id = next((line for line in text.splitlines() if line.startswith("run_id:")), "")
        if self._run_id is not None and run_id != self._run_id:
            self._epoch += 1
            _log.warning("bus.server_restarted", url=redact(self.url))
        self._run_id = run_id

    async def call(self, command: Awaitable[_T]) -> _T:
        """Await a redis-py command; raise BusUnavailable where the server is away."""
        try:
            return await command
        except _AWAY as error:
            raise BusUnavailable(
                f"the bus at {redact(self.url)} does not answer: {redact(str(error))}; "
                "is Redis or Valkey running there?"
            ) from error
        except InvalidResponse as error:
            # A proxy's excuse, while the server behind it restarts; or a wrong port.
            raise BusUnavailable(
                f"what answers at {redact(self.url)} is neither Redis nor Valkey: {error}"
            ) from error
        except ResponseError as error:
            # MASTERDOWN, READONLY, OOM, CLUSTERDOWN: the server lives but cannot serve now.
            raise BusUnavailable(f"the bus at {redact(self.url)} refuses: {error}") from error

    async def publish(
        self, key: str, message: Message, *, maxlen: int, payload: bytes | None = None
    ) -> str:
        fields: dict[Any, Any] = {MESSAGE: encode(message)}
        if payload is not None:
            fields[PAYLOAD] = payload
        entry_id = await self.call(
            self._client.xadd(key, fields, maxlen=maxlen, approximate=maxlen > 256)
        )
        return _text(entry_id)

    def reader(self, key: str, position: str = START) -> Reader:
        undecodable.labels(key=key)  # seen as 0 from the start: rates need a first value
        return _RedisReader(self, self._client, key, position)

    async def last(self, key: str) -> Entry | None:
        # Junk at the end is rare, and each entry may carry a picture: ask for one first.
        for count in (1, 16):
            for raw in await self.call(self._client.xrevrange(key, count=count)) or []:
                if (entry := _entry(key, raw)) is not None:
                    return entry
        return None

    async def entry(self, key: str, entry_id: str) -> Entry | None:
        found = await self.call(self._client.xrange(key, entry_id, entry_id, count=1))
        return _entry(key, found[0]) if found else None

    async def length(self, key: str) -> int:
        return int(await self.call(self._client.xlen(key)))

    async def put(
        self, key: str, message: Message, *, ttl_s: float | None = None, absent: bool = False
    ) -> None:
        ttl_ms = None if ttl_s is None else max(1, round(ttl_s * 1000))
        await self.call(self._client.set(key, encode(message), px=ttl_ms, nx=absent))

    async def get(self, key: str) -> Message | None:
        data: Any = await self.call(self._client.get(key))
        return None if data is None else decode_value(key, data)

    async def ttl_s(self, key: str) -> float | None:
        left_ms = int(await self.call(self._client.pttl(key)))
        return left_ms / 1000 if left_ms >= 0 else None

    def lease(self, key: str, *, ttl_s: float) -> Lease:
        return RedisLease(self.call, self._lease_scripts, key, ttl_s)

    async def term(self, lease_key: str) -> int:
        # redis-py types hashes for both of its clients at once.
        found: Any = await self.call(self._client.hget(term_key(lease_key), "term"))
        return int(found or 0)

    async def beat(self, key: str, member: str, *, ttl_s: float) -> int:
        ttl_ms = max(1, round(ttl_s * 1000))
        return int(await self.call(self._client.eval(_BEAT, 1, key, member, ttl_ms)))

    async def leave(self, key: str, member: str) -> None:
        await self.call(self._client.zrem(key, member))

    async def ping(self) -> None:
        await self.call(self._client.ping())

    async def memory_bytes(self) -> int:
        info = await self.call(self._client.info("memory"))
        return int(info["used_memory"])

    async def close(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()


class _RedisReader(Reader):
    def __init__(self, bus: RedisBus, client: Any, key: str, position: str) -> None:
        self.position = position
        self._bus, self._client, self._key = bus, client, key

    async def read(self, *, count: int = 64, block_s: float = 1.0) -> list[Entry]:
        found = await self._bus.call(
            self._client.xread({self._key: self.position}, count=count, block=block_ms(block_s))
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
            self._client.xrevrange(self._key, min=f"({self.position}", count=1)
        )
        if not found:
            arrived = await self._bus.call(
                self._client.xread({self._key: self.position}, count=1, block=block_ms(block_s))
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
