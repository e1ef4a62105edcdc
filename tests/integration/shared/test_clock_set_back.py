"""A server's clock is set back: what ran out by the old time would live on for as long."""

from __future__ import annotations

import pytest
import redis.asyncio

from posewire.shared.bus import RedisBus, keys

HOUR_MS = 3_600_000


@pytest.fixture
async def bus(valkey_url: str) -> RedisBus:
    return RedisBus(valkey_url)


async def test_a_dead_workers_lease_is_not_waited_for(valkey_url: str) -> None:
    dead, other, bus = RedisBus(valkey_url), RedisBus(valkey_url), keys.lease("door", "tracker")
    assert await dead.lease(bus, ttl_s=3).acquire()
    lease = other.lease(bus, ttl_s=3)
    assert not await lease.acquire()
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        assert await client.pexpire(bus, HOUR_MS)  # as after a step of the clock by an hour
    assert await lease.acquire()
    await lease.release()
    for one in (dead, other):
        await one.close()


async def test_a_dead_worker_is_not_counted(valkey_url: str) -> None:
    bus = RedisBus(valkey_url)
    assert await bus.beat("workers", "dead", ttl_s=3) == 1
    async with redis.asyncio.Redis.from_url(valkey_url) as client:
        await client.zincrby("workers", HOUR_MS, "dead")
    assert await bus.beat("workers", "lives", ttl_s=3) == 1
    await bus.close()
