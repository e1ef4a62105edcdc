"""A camera's lease on Redis or Valkey, and what may be written only by the one who holds it.

Everything here happens on the server, in one script and one round trip, because only the server
knows who holds the lease at the moment of writing::

    worker                                        server, slot {door}
    ──────                                        ──────────────────────────────────────────
    acquire ───────────── SET NX, next term ────▶ lease:capture       = token of the worker
                                                  lease:capture:term  = {term, holder}
    publish ── GET lease = token? then XADD ────▶ frames
    put ────── GET lease = token? then SET  ────▶ state

The keys of a script share their camera's slot, so the scripts work on a cluster as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import structlog

from posewire.shared.bus.base import Lease, no_lease
from posewire.shared.clock import boottime
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import Message, encode
from posewire.shared.tasks import finish

_log = structlog.get_logger(__name__)
Caller: TypeAlias = Callable[[Awaitable[Any], str, "int | None"], Awaitable[Any]]
MESSAGE, PAYLOAD = b"m", b"j"
_RELEASE_S = 2.0
"""A bus that is away must not hold up a service that ends: the lease runs out by itself."""

ACQUIRE = """
-- KEYS: lease, its term. ARGV: token, milliseconds.
-- Returns the new term, or the token of the one who holds it.
local owner = redis.call('GET', KEYS[1])
-- Leases are for 60 s at most: one that is left for longer is older than a step back of the clock.
if owner and redis.call('PTTL', KEYS[1]) <= 120000 then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'holder', ARGV[1])
return redis.call('HINCRBY', KEYS[2], 'term', 1)
"""
RENEW = """
-- KEYS: lease, its term. ARGV: token, milliseconds, term.
-- Returns the term, or 0 where somebody else holds the lease or has held it since.
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(ARGV[3])
end
local last = redis.call('HGET', KEYS[2], 'holder')
if owner or (last and last ~= ARGV[1]) then return 0 end
-- It ran out and nobody has had it since, or the server came back empty: it is taken anew.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if not last then redis.call('HSET', KEYS[2], 'holder', ARGV[1], 'term', ARGV[3]) end
return redis.call('HINCRBY', KEYS[2], 'term', 1)
"""
RELEASE = """
-- KEYS: lease. ARGV: token.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
PUBLISH = """
-- KEYS: lease, stream. ARGV: token, '~' or '=', most entries, then fields and values.
-- Returns the entry's id, or nil where the lease is not the caller's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
return redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[2], ARGV[3], '*', unpack(ARGV, 4))
"""
PUT = """
-- KEYS: lease, value. ARGV: token, data, then SET's options.
-- Returns OK, or nil where the lease is not the caller's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
return redis.call('SET', KEYS[2], ARGV[2], unpack(ARGV, 3))
"""


def term_key(lease_key: str) -> str:
    """Return the key of the hash that counts a lease's terms and names its last holder."""
    return f"{lease_key}:term"


class LeaseScripts:
    """The scripts as redis-py registers them: sent whole once, by their digest from then on."""

    def __init__(self, client: Any) -> None:
        """``client``: redis.asyncio.Redis or RedisCluster."""
        self.acquire = client.register_script(ACQUIRE)
        self.renew = client.register_script(RENEW)
        self.release = client.register_script(RELEASE)
        self.publish = client.register_script(PUBLISH)
        self.put = client.register_script(PUT)


class RedisLease(Lease):
    """A lease that is renewed every third of its time to live."""

    def __init__(self, call: Caller, scripts: LeaseScripts, key: str, ttl_s: float) -> None:
        """``call`` awaits a command and raises BusUnavailable where the server is away."""
        self._call, self._scripts = call, scripts
        self._key, self._ttl_s = key, ttl_s
        self._keys = [key, term_key(key)]
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._token = ""
        self._renewal: asyncio.Task[None] | None = None
        self._held = False
        self._valid_until = 0.0
        self._term = 0
        self._owner = ""

    @property
    def held(self) -> bool:
        # A process that slept through its lease must not believe in it before the renewal ran.
        return self._held and boottime() < self._valid_until

    @property
    def term(self) -> int:
        return self._term

    @property
    def owner(self) -> str:
        return self._owner

    async def acquire(self) -> bool:
        self._token = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}"
        asked = boottime()
        answer = await self._call(
            self._scripts.acquire(self._keys, [self._token, self._ttl_ms]), self._key, None
        )
        if not isinstance(answer, int):
            self._owner = _readable(answer)
            return False
        self._term, self._owner = answer, _readable(self._token)
        self._held, self._valid_until = True, asked + self._ttl_s
        self._renewal = asyncio.create_task(self._keep_renewing(), name=f"lease {self._key}")
        return True

    async def _keep_renewing(self) -> None:
        while self._held:
            await asyncio.sleep(self._ttl_s / 3)
            # ``held`` turns False by itself when the time is over.
            with contextlib.suppress(BusUnavailable):
                await self._renew()

    async def _renew(self) -> None:
        asked = boottime()
        term = await self._call(
            self._scripts.renew(self._keys, [self._token, self._ttl_ms, self._term]),
            self._key,
            None,
        )
        if term == 0:
            self._held = False
            _log.warning("bus.lease_lost", key=self._key, term=self._term)
            return
        if term != self._term:
            _log.warning("bus.lease_taken_anew", key=self._key, term=term)
        self._term, self._valid_until = term, asked + self._ttl_s

    async def publish(
        self,
        key: str,
        message: Message,
        *,
        maxlen: int,
        payload: bytes | None = None,
        epoch: int | None = None,
    ) -> str:
        exactness = "~" if maxlen > 256 else "="
        args: list[Any] = [self._token, exactness, maxlen, MESSAGE, encode(message)]
        if payload is not None:
            args += [PAYLOAD, payload]
        entry_id = await self._fenced(self._scripts.publish, key, args, epoch)
        return str(entry_id.decode())

    async def put(self, key: str, message: Message, *, ttl_s: float | None = None) -> None:
        args: list[Any] = [self._token, encode(message)]
        if ttl_s is not None:
            args += ["PX", max(1, round(ttl_s * 1000))]
        await self._fenced(self._scripts.put, key, args)

    async def _fenced(
        self, script: Any, key: str, args: list[Any], epoch: int | None = None
    ) -> Any:
        """Write where the lease is ours; raise LeaseLost where it is not.

        Raises BusUnavailable where the lease had run out, or the server has come back without it,
        and it could be taken anew: nothing was written, and the worker must look before it goes
        on.
        """
        if not self._held:
            raise no_lease(self._key)
        answer = await self._call(script([self._key, key], args), key, epoch)
        if answer is not None:
            return answer
        await self._renew()
        if self._held:
            raise BusUnavailable(f"the bus did not know the lease {self._key}; it is taken anew")
        raise no_lease(self._key)

    async def release(self) -> None:
        await finish(self._release())

    async def _release(self) -> None:
        held, self._held = self._held, False
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})
            self._renewal = None
        if held:
            script = self._scripts.release([self._key], [self._token])
            release = asyncio.ensure_future(self._call(script, self._key, None))
            await asyncio.wait({release}, timeout=_RELEASE_S)
            release.cancel()
            with contextlib.suppress(BusUnavailable, asyncio.CancelledError):
                await release


def _readable(token: str | bytes) -> str:
    """Return who a token belongs to: host and process."""
    text = token.decode(errors="replace") if isinstance(token, bytes) else token
    host, _, rest = text.partition(":")
    return f"{host}, process {rest.partition(':')[0]}" if rest else text
