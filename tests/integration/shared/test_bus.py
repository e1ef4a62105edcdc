"""The promises of the bus: on a real Valkey, a real cluster and the in-memory double alike."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import redis.asyncio as aioredis

from posewire.launcher.embedded import EmbeddedValkey
from posewire.shared.bus import START, Bus, Lease, RedisBus, keys
from posewire.shared.errors import BusUnavailable, LeaseLost
from posewire.shared.messages import FrameHeader, Progress
from posewire.shared.tasks import cancel
from posewire.shared.worker import holding
from tests.memory_bus import MemoryBus
from tests.valkey_servers import ValkeyCluster

KEY = keys.frames("door")


def header(seq: int) -> FrameHeader:
    return FrameHeader(
        camera="door", session="s", seq=seq, t=seq / 10, captured_at=1000 + seq / 10,
        width=64, height=48, source="demo",
    )  # fmt: skip


@pytest.fixture(params=["memory", "valkey", "cluster"])
async def bus(
    request: pytest.FixtureRequest, valkey_url: str, shared_cluster: ValkeyCluster
) -> AsyncIterator[Bus]:
    bus: Bus = MemoryBus()
    if request.param == "valkey":
        bus = RedisBus(valkey_url)
    elif request.param == "cluster":
        await shared_cluster.flush()
        bus = RedisBus(shared_cluster.url)
    yield bus
    await bus.close()


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """A cluster for the tests that leave it whole."""
    cluster = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    asyncio.run(cluster.start())
    yield cluster
    asyncio.run(cluster.stop())


async def test_entries_come_back_in_order_with_their_payload(bus: Bus) -> None:
    ids = [await bus.publish(KEY, header(n), maxlen=10, payload=bytes([n])) for n in range(5)]
    reader = bus.reader(KEY)
    first = await reader.read(count=3)
    rest = await reader.read(count=10)
    entries = first + rest
    assert [e.id for e in entries] == ids
    assert [e.message for e in entries] == [header(n) for n in range(5)]
    assert [e.payload for e in entries] == [bytes([n]) for n in range(5)]
    assert reader.position == ids[-1]
    assert await reader.read(block_s=0.01) == []


async def test_a_reader_waits_for_the_next_entry(bus: Bus) -> None:
    reader = bus.reader(KEY)
    waiting = asyncio.create_task(reader.read(block_s=2))
    await asyncio.sleep(0.05)
    await bus.publish(KEY, header(0), maxlen=10)
    assert [e.message for e in await waiting] == [header(0)]


async def test_a_service_may_have_many_cameras(bus: Bus) -> None:
    """Each waits for its next frame on a connection of its own; redis-py stops at 100."""
    readers = [bus.reader(keys.frames(f"camera{n}")) for n in range(150)]
    found = await asyncio.gather(*(reader.read(block_s=0.5) for reader in readers))
    assert found == [[]] * 150


async def test_newest_skips_what_lies_between(bus: Bus) -> None:
    for n in range(4):
        await bus.publish(KEY, header(n), maxlen=10)
    reader = bus.reader(KEY, START)
    newest = await reader.newest()
    assert newest is not None
    assert newest.message == header(3)
    assert await reader.newest(block_s=0.01) is None


async def test_streams_are_bounded(bus: Bus) -> None:
    for n in range(30):
        await bus.publish(KEY, header(n), maxlen=8)
    assert await bus.length(KEY) == 8


async def test_last_and_single_entries(bus: Bus) -> None:
    assert await bus.last(KEY) is None
    first = await bus.publish(KEY, header(0), maxlen=2)
    second = await bus.publish(KEY, header(1), maxlen=2, payload=b"jpeg")
    last = await bus.last(KEY)
    assert last is not None
    assert (last.id, last.message) == (second, header(1))
    found = await bus.entry(KEY, second)
    assert found is not None
    assert found.payload == b"jpeg"
    await bus.publish(KEY, header(2), maxlen=2)
    assert await bus.entry(KEY, first) is None


async def test_values_expire(bus: Bus) -> None:
    key = keys.progress("door")
    progress = Progress(camera="door", session="s", seq=7)
    assert await bus.get(key) is None
    assert await bus.ttl_s(key) is None
    await bus.put(key, progress)
    assert await bus.get(key) == progress
    assert await bus.ttl_s(key) is None
    await bus.put(key, progress, ttl_s=0.05)
    left_s = await bus.ttl_s(key)
    assert left_s is not None
    assert 0 <= left_s <= 0.05
    await asyncio.sleep(0.1)
    assert await bus.get(key) is None
    assert await bus.ttl_s(key) is None


async def test_only_one_holds_a_lease(bus: Bus) -> None:
    one, two = (bus.lease(keys.lease("door", "tracker"), ttl_s=5) for _ in range(2))
    assert await one.acquire()
    assert not await two.acquire()
    assert (one.held, two.held) == (True, False)
    await one.release()
    assert await two.acquire()
    await two.release()


def freeze(lease: Lease) -> None:
    """Stop renewing, as a process does that is stopped or has hung."""
    lease._renewal.cancel()  # type: ignore[attr-defined]


async def test_who_has_lost_the_lease_writes_nothing(bus: Bus) -> None:
    """A worker that slept through its lease comes back while another works on the camera."""
    key, value = keys.lease("door", "inference"), keys.progress("door")
    sleeper, heir = (bus.lease(key, ttl_s=ttl) for ttl in (0.2, 5))
    assert await sleeper.acquire()
    freeze(sleeper)
    await sleeper.publish(KEY, header(0), maxlen=10)
    await asyncio.sleep(0.25)
    assert await heir.acquire()
    for refused in (
        sleeper.publish(KEY, header(1), maxlen=10, payload=b"late"),
        sleeper.put(value, Progress(camera="door", session="s", seq=1)),
        sleeper.publish(KEY, header(2), maxlen=10),
    ):
        with pytest.raises(LeaseLost, match="not held any more"):
            await refused
    await heir.publish(KEY, header(3), maxlen=10, payload=b"mine")
    await heir.put(value, Progress(camera="door", session="s", seq=3))
    entries = await bus.reader(KEY).read()
    assert [e.message for e in entries] == [header(0), header(3)]
    assert entries[1].payload == b"mine"
    assert await bus.get(value) == Progress(camera="door", session="s", seq=3)
    assert (sleeper.term, heir.term, await bus.term(key)) == (1, 2, 2)
    await sleeper.release()
    assert heir.held
    await heir.publish(KEY, header(4), maxlen=10)  # it was not the sleeper's to give back
    await heir.release()


async def test_nobody_goes_on_after_another_has_had_the_lease(bus: Bus) -> None:
    """What the other one has published meanwhile, this one does not know."""
    key = keys.lease("door", "inference")
    sleeper, other = (bus.lease(key, ttl_s=ttl) for ttl in (0.2, 5))
    assert await sleeper.acquire()
    freeze(sleeper)
    await asyncio.sleep(0.25)
    assert await other.acquire()
    await other.release()
    with pytest.raises(LeaseLost):
        await sleeper.publish(KEY, header(1), maxlen=10)
    assert await bus.length(KEY) == 0
    await sleeper.release()


async def test_a_lease_that_nobody_else_has_had_is_taken_anew(bus: Bus) -> None:
    lease = bus.lease(keys.lease("door", "capture"), ttl_s=0.2)
    assert await lease.acquire()
    freeze(lease)
    await asyncio.sleep(0.25)
    assert [lease.held, lease.term] == [False, 1]
    with pytest.raises(BusUnavailable, match="taken anew"):  # nothing is written unlooked
        await lease.publish(KEY, header(0), maxlen=10)
    assert await bus.length(KEY) == 0
    await lease.publish(KEY, header(1), maxlen=10)
    assert [lease.held, lease.term] == [True, 2]
    await lease.release()


async def test_terms_grow_from_holder_to_holder(bus: Bus) -> None:
    key = keys.lease("door", "tracker")
    assert await bus.term(key) == 0
    for term in (1, 2, 3):
        lease = bus.lease(key, ttl_s=5)
        assert await lease.acquire()
        assert (lease.term, await bus.term(key)) == (term, term)
        await lease.release()
    never = bus.lease(key, ttl_s=5)
    with pytest.raises(LeaseLost):
        await never.publish(KEY, header(0), maxlen=10)


async def test_who_waits_is_told_who_holds_the_lease(valkey_url: str) -> None:
    bus = RedisBus(valkey_url)
    one, two = (bus.lease(keys.lease("door", "capture"), ttl_s=5) for _ in range(2))
    assert await one.acquire()
    assert not await two.acquire()
    assert two.owner == one.owner == f"{socket.gethostname()}, process {os.getpid()}"
    await one.release()
    await bus.close()


async def test_a_server_that_came_back_empty_gives_the_lease_back(valkey: EmbeddedValkey) -> None:
    """The holder goes on with a higher term; what it wrote unlooked is not there."""
    bus = RedisBus(valkey.url)
    lease = bus.lease(keys.lease("door", "capture"), ttl_s=30)
    assert await lease.acquire()
    await lease.publish(KEY, header(0), maxlen=10)
    await valkey.stop()
    with pytest.raises(BusUnavailable):
        await lease.publish(KEY, header(1), maxlen=10)
    await valkey.start()
    with pytest.raises(BusUnavailable, match="taken anew"):
        await lease.publish(KEY, header(2), maxlen=10)
    await lease.publish(KEY, header(3), maxlen=10)
    assert [e.message for e in await bus.reader(KEY).read()] == [header(3)]
    assert (lease.term, await bus.term(keys.lease("door", "capture"))) == (2, 2)
    await lease.release()
    await bus.close()


async def test_whoever_is_cancelled_gives_the_lease_back(bus: Bus) -> None:
    """Cancelled again while it does so, as an impatient supervisor would."""
    key = keys.lease("door", "tracker")
    held = asyncio.Event()

    async def work() -> None:
        async with holding(bus.lease(key, ttl_s=30)):
            held.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await held.wait()
    await cancel([task], again_s=0.0001)
    other = bus.lease(key, ttl_s=5)
    assert await other.acquire()
    await other.release()


async def test_a_value_that_is_there_may_be_left_alone(bus: Bus) -> None:
    key = keys.progress("door")
    first, second = (Progress(camera="door", session="s", seq=seq) for seq in (1, 2))
    await bus.put(key, first, ttl_s=0.2, absent=True)
    await bus.put(key, second, ttl_s=5, absent=True)
    assert await bus.get(key) == first
    await asyncio.sleep(0.25)
    await bus.put(key, second, ttl_s=5, absent=True)
    assert await bus.get(key) == second


async def test_the_newest_picture_is_fetched_once(valkey_url: str) -> None:
    bus, raw = RedisBus(valkey_url), aioredis.Redis.from_url(valkey_url)
    picture = bytes(200_000)
    reader = bus.reader(KEY)

    async def cost() -> float:
        """Return how many pictures the server has sent for one call."""
        before = (await raw.info("stats"))["total_net_output_bytes"]
        newest = await reader.newest()
        sent = (await raw.info("stats"))["total_net_output_bytes"] - before
        assert newest is not None
        assert newest.payload == picture
        return float(sent / len(picture))

    await bus.publish(KEY, header(0), maxlen=10, payload=picture)
    assert await cost() < 1.1
    for seq in (1, 2, 3):
        await bus.publish(KEY, header(seq), maxlen=10, payload=picture)
    assert await cost() < 1.1
    waiting = asyncio.create_task(cost())
    await asyncio.sleep(0.05)
    await bus.publish(KEY, header(4), maxlen=10, payload=picture)
    assert await waiting < 1.1
    await raw.aclose()
    await bus.close()


async def test_junk_is_dropped_and_the_rest_arrives(valkey_url: str) -> None:
    bus, raw = RedisBus(valkey_url), aioredis.Redis.from_url(valkey_url)
    await raw.xadd(KEY, {"m": b"\xff\x00junk"})
    await raw.xadd(KEY, {"other": "field"})
    await raw.xadd(KEY, {"m": b"\x82\xa4type\xa6future\xa1v\x63"})  # {"type":"future","v":99}
    await bus.publish(KEY, header(0), maxlen=10)
    await raw.xadd(KEY, {"m": b""})
    reader = bus.reader(KEY)
    assert [e.message for e in await reader.read()] == [header(0)]
    last = await bus.last(KEY)
    assert last is not None
    assert last.message == header(0)
    await bus.close()
    await raw.aclose()


async def test_a_restarted_server_is_noticed(valkey: EmbeddedValkey) -> None:
    bus = RedisBus(valkey.url)
    await bus.publish(KEY, header(0), maxlen=10)
    epoch = bus.epoch_of(KEY)
    assert valkey.pid is not None
    os.kill(valkey.pid, signal.SIGKILL)
    with pytest.raises(BusUnavailable, match="does not answer"):
        for _ in range(100):
            await bus.ping()
            await asyncio.sleep(0.01)
    await valkey.start()
    assert await bus.last(KEY) is None
    assert bus.epoch_of(KEY) == epoch + 1
    await bus.close()


async def test_a_lease_outlives_a_dead_worker_by_its_ttl_only(valkey_url: str) -> None:
    bus, other = RedisBus(valkey_url), RedisBus(valkey_url)
    key = keys.lease("door", "inference")
    dead = bus.lease(key, ttl_s=0.5)
    assert await dead.acquire()
    dead._renewal.cancel()  # type: ignore[attr-defined]  # as a killed process stops renewing
    heir = other.lease(key, ttl_s=0.5)
    assert not await heir.acquire()
    await asyncio.sleep(0.6)
    assert await heir.acquire()
    assert not dead.held
    await heir.release()
    await bus.close()
    await other.close()


async def test_a_lease_is_renewed(valkey_url: str) -> None:
    bus = RedisBus(valkey_url)
    lease, other = (bus.lease(keys.lease("door", "tracker"), ttl_s=0.5) for _ in range(2))
    assert await lease.acquire()
    await asyncio.sleep(1.2)
    assert lease.held
    assert not await other.acquire()
    await lease.release()
    await bus.close()


async def test_an_address_without_a_server_is_named_without_its_password() -> None:
    bus = RedisBus("redis://user:secret@127.0.0.1:1/0")
    with pytest.raises(BusUnavailable) as error:
        await bus.ping()
    assert "127.0.0.1:1" in str(error.value)
    assert "secret" not in str(error.value)
    await bus.close()


async def test_what_is_no_redis_is_named() -> None:
    """Seen on Kubernetes: while its server restarted, a proxy answered at the service's address."""

    async def excuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(excuse, "127.0.0.1")
    bus = RedisBus(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    with pytest.raises(BusUnavailable, match="neither Redis nor Valkey"):
        await bus.ping()
    await bus.close()
    server.close()
    await server.wait_closed()
