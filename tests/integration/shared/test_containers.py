"""The same promises on the official images: Redis itself, and the Postgres that most people run."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import docker
import docker.errors
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from posewire.shared.bus import RedisBus, keys
from posewire.shared.messages import FrameHeader, Progress
from posewire.shared.settings import DatabaseSettings, Settings
from posewire.tracker.service import run
from tests.integration.tracker.test_store import END, EXPECTED, SCENE, event_ids
from tests.memory_bus import MemoryBus

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine. Skips where none runs."""
    # The reaper is an image of its own; the containers are removed by their fixtures.
    testcontainers_config.ryuk_disabled = True
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if address.startswith("unix://"):
        # Asked by hand: the client leaves sockets open when nobody answers.
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(address.removeprefix("unix://"))
            except OSError as error:
                pytest.skip(f"no Docker engine at {address}: {error}")
    client = docker.from_env()
    yield client
    client.close()


def started(
    engine: docker.DockerClient, image: str, port: int, ready: str, **environment: str
) -> Iterator[tuple[str, int]]:
    try:
        engine.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            engine.images.pull(image)
        except docker.errors.APIError as error:
            pytest.skip(f"{image} cannot be had: {str(error)[:100]}")
    container = DockerContainer(image).with_exposed_ports(port)
    for name, value in environment.items():
        container = container.with_env(name, value)
    container.waiting_for(LogMessageWaitStrategy(ready).with_startup_timeout(60))
    with container:
        yield container.get_container_host_ip(), container.get_exposed_port(port)


@pytest.fixture(scope="module")
def redis_url(engine: docker.DockerClient) -> Iterator[str]:
    for host, port in started(engine, "redis:7", 6379, "Ready to accept connections"):
        yield f"redis://{host}:{port}"


@pytest.fixture(scope="module")
def database_url(engine: docker.DockerClient) -> Iterator[str]:
    secret = "a secret"
    names = {"POSTGRES_USER": "posewire", "POSTGRES_PASSWORD": secret, "POSTGRES_DB": "posewire"}
    ready = "database system is ready to accept connections"
    for host, port in started(engine, "postgres:16", 5432, ready, **names):
        yield f"postgresql://posewire:{secret.replace(' ', '%20')}@{host}:{port}/posewire"


def header(seq: int) -> FrameHeader:
    return FrameHeader(
        camera="door", session="s", seq=seq, t=seq / 10, captured_at=seq / 10, width=64,
        height=48, source="demo",
    )  # fmt: skip


async def test_the_bus_on_redis(redis_url: str) -> None:
    bus = RedisBus(redis_url)
    key = keys.frames("door")
    ids = [await bus.publish(key, header(n), maxlen=8, payload=bytes([n])) for n in range(20)]
    reader = bus.reader(key)
    entries = await reader.read(count=5)
    assert [entry.id for entry in entries] == ids[12:17]
    newest = await reader.newest()
    assert newest is not None
    assert (newest.id, newest.payload) == (ids[-1], bytes([19]))
    assert await reader.newest(block_s=0.01) is None
    one, two = (bus.lease(keys.lease("door", "tracker"), ttl_s=5) for _ in range(2))
    assert await one.acquire()
    assert not await two.acquire()
    await one.release()
    assert await two.acquire()
    await two.release()
    await bus.close()


async def test_the_tracker_on_postgres_16(database_url: str) -> None:
    settings = Settings(
        database=DatabaseSettings(url=database_url),
        cameras={"door": {"source": "demo", "policy": "lossless"}},
    )
    bus = MemoryBus()
    for message in (*SCENE, END):
        await bus.publish(keys.poses("door"), message, maxlen=1000)
    service = asyncio.create_task(run(settings, bus))
    for _ in range(2000):
        progress = await bus.get(keys.progress("door"))
        if isinstance(progress, Progress) and progress.ended:
            break
        await asyncio.sleep(0.01)
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
    assert await event_ids(settings) == EXPECTED
