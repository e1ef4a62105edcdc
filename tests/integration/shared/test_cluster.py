"""The bus on a real cluster of six processes, and on what Sentinels point to; primaries die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from posewire.shared.bus import RedisBus, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import FrameHeader
from tests.valkey_servers import TcpValkey, ValkeyCluster, WatchedPair

CAMERAS = ("door", "hall", "yard", "shop", "till", "gate")


def header(camera: str, seq: int) -> FrameHeader:
    return FrameHeader(
        camera=camera, session="s", seq=seq, t=seq / 10, captured_at=1000 + seq / 10,
        width=64, height=48, source="demo",
    )  # fmt: skip


async def until(attempt: Callable[[], Awaitable[bool]], timeout_s: float = 20) -> None:
    """Try until it is True; the bus may be away meanwhile."""

    async def poll() -> None:
        while True:
            try:
                if await attempt():
                    return
            except BusUnavailable:
                pass
            await asyncio.sleep(0.05)

    await asyncio.wait_for(poll(), timeout_s)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path)
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture
async def bus(cluster: ValkeyCluster) -> AsyncIterator[RedisBus]:
    bus = RedisBus(cluster.url)
    yield bus
    await bus.close()


async def test_a_primary_that_dies_is_noticed_for_its_cameras_and_no_others(
    cluster: ValkeyCluster, bus: RedisBus
) -> None:
    shards: dict[int, list[str]] = {}
    for camera in CAMERAS:
        primary = await cluster.primary(keys.frames(camera))
        shards.setdefault(cluster.nodes.index(primary), []).append(camera)
        await bus.publish(keys.frames(camera), header(camera, 0), maxlen=64, payload=b"jpeg")
    assert len(shards) == 3, f"the cameras lie on all shards: {shards}"
    epochs = {camera: bus.epoch_of(keys.frames(camera)) for camera in CAMERAS}
    lease = bus.lease(keys.lease("door", "inference"), ttl_s=30)
    assert await lease.acquire()
    key = keys.poses("door")
    await lease.publish(key, header("door", 0), maxlen=64, epoch=bus.epoch_of(key))

    dead = await cluster.primary(key)
    away = shards[cluster.nodes.index(dead)]
    others = [camera for camera in CAMERAS if camera not in away]
    await dead.kill()
    with pytest.raises(BusUnavailable, match="does not answer"):
        await lease.publish(key, header("door", 1), maxlen=64, epoch=epochs["door"])
    for camera in others:  # go on while the shard is away
        await bus.publish(keys.frames(camera), header(camera, 1), maxlen=64)

    async def answers() -> bool:
        return await bus.last(key) is not None

    await until(answers)
    assert [c for c in CAMERAS if bus.epoch_of(keys.frames(c)) != epochs[c]] == away
    with pytest.raises(BusUnavailable, match="another server"):
        await lease.publish(key, header("door", 2), maxlen=64, epoch=epochs["door"])
    # The scripts are not on the new primary yet; the lease is, or it is taken anew.
    now = bus.epoch_of(key)

    async def publishes() -> bool:
        return bool(await lease.publish(key, header("door", 3), maxlen=64, epoch=now))

    await until(publishes)
    found = [entry.message for entry in await bus.reader(key).read()]
    assert [m.seq for m in found if isinstance(m, FrameHeader)] == [0, 3]
    assert bus.epoch_of(key) == now
    await lease.release()


async def test_nothing_is_appended_by_following_a_redirect(
    cluster: ValkeyCluster, bus: RedisBus
) -> None:
    """The server that a redirect leads to may lack what was published before."""
    key = keys.frames("door")
    lease = bus.lease(keys.lease("door", "capture"), ttl_s=30)
    assert await lease.acquire()
    await lease.publish(key, header("door", 0), maxlen=64)
    epoch = bus.epoch_of(key)
    before = await cluster.primary(key)
    replica = cluster.replica_of(before)
    client = replica.client()
    await client.execute_command("CLUSTER", "FAILOVER")
    while await cluster.primary(key) is before:
        await asyncio.sleep(0.05)
    await client.aclose()
    with pytest.raises(BusUnavailable, match=r"moved this key|another server|does not answer"):
        await lease.publish(key, header("door", 1), maxlen=64, epoch=epoch)

    async def one_entry() -> bool:
        return await bus.length(key) == 1

    await until(one_entry)
    assert bus.epoch_of(key) == epoch + 1
    await lease.release()


@pytest.mark.parametrize("all_or_none", [False, True])
async def test_a_shard_that_is_wholly_away(
    cluster: ValkeyCluster, bus: RedisBus, *, all_or_none: bool
) -> None:
    door, hall = keys.frames("door"), keys.frames("hall")
    for key in (door, hall):
        await bus.publish(key, header("door", 0), maxlen=64)
    primary = await cluster.primary(door)
    dead = [primary, cluster.replica_of(primary)]
    assert await cluster.primary(hall) not in dead
    for node in dead:
        await node.kill()
    for node in cluster.nodes:
        if node.alive and all_or_none:
            client = node.client()
            await client.config_set("cluster-require-full-coverage", "yes")
            await client.aclose()
    for _ in range(3):
        with pytest.raises(BusUnavailable, match=r"does not answer|refuses: CLUSTERDOWN"):
            await bus.last(door)
    if all_or_none:

        async def down() -> bool:
            try:
                await bus.publish(hall, header("hall", 1), maxlen=64)
            except BusUnavailable as error:
                return "refuses: " in str(error) and "cluster is down" in str(error)
            return False

        await until(down)
    else:
        await bus.publish(hall, header("hall", 1), maxlen=64)
    await asyncio.gather(*(node.start() for node in dead))
    for key in (door, hall):

        async def publishes(key: str = key) -> bool:
            return bool(await bus.publish(key, header("door", 2), maxlen=64))

        await until(publishes)


async def test_a_cluster_that_comes_back_is_found(cluster: ValkeyCluster, bus: RedisBus) -> None:
    """All nodes die: those that were found are tried, and then those of bus.url."""
    key = keys.frames("door")
    await bus.publish(key, header("door", 0), maxlen=64)
    for node in cluster.nodes:
        await node.kill()
    for _ in range(3):
        with pytest.raises(BusUnavailable, match=r"does not answer|no whole cluster"):
            await bus.last(key)
    await asyncio.gather(*(node.start() for node in cluster.nodes))

    async def publishes() -> bool:
        return bool(await bus.publish(key, header("door", 1), maxlen=64))

    await until(publishes)


async def test_a_server_that_is_no_cluster_is_named(tmp_path: Path) -> None:
    server = TcpValkey(tmp_path)
    await server.start()
    bus = RedisBus(server.url.replace("redis://", "redis+cluster://"))
    with pytest.raises(BusUnavailable, match=r"no whole cluster.*Cluster mode is not enabled"):
        await bus.ping()
    await bus.close()
    await server.stop()


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[WatchedPair]:
    pair = WatchedPair(tmp_path)
    await pair.start()
    yield pair
    await pair.stop()


async def test_sentinels_lead_to_the_new_primary(watched: WatchedPair) -> None:
    bus = RedisBus(watched.url)
    key = keys.frames("door")
    lease = bus.lease(keys.lease("door", "capture"), ttl_s=30)
    assert await lease.acquire()
    await lease.publish(key, header("door", 0), maxlen=64)
    epoch = bus.epoch_of(key)
    await watched.primary.kill()
    with capture_logs() as logs:

        async def answers() -> bool:
            return await bus.last(key) is not None

        await until(answers)
    assert bus.epoch_of(key) == epoch + 1
    assert [entry["event"] for entry in logs].count("bus.server_changed") == 1
    with pytest.raises(BusUnavailable, match="another server"):
        await lease.publish(key, header("door", 1), maxlen=64, epoch=epoch)

    async def publishes() -> bool:
        return bool(await lease.publish(key, header("door", 2), maxlen=64, epoch=epoch + 1))

    await until(publishes)
    await lease.release()
    await bus.close()


async def test_sentinels_that_watch_something_else_are_named(watched: WatchedPair) -> None:
    bus = RedisBus(watched.url.replace("/main", "/other"))
    with pytest.raises(BusUnavailable, match="No master found for 'other'"):
        await bus.ping()
    await bus.close()
