"""Workers share cameras fairly, and every camera has one, whoever comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from posewire.shared.bus import Bus, RedisBus, keys
from posewire.shared.fleet import Fleet
from posewire.shared.worker import holding, require, run_cameras
from tests.conftest import ROOT
from tests.memory_bus import MemoryBus

CAMERAS = ["a", "b", "c", "d", "e"]
TTL_S = 0.6


@pytest.fixture(params=["memory", "valkey"])
async def new_bus(
    request: pytest.FixtureRequest, valkey_url: str
) -> AsyncIterator[Callable[[], Bus]]:
    """Connections to one bus."""
    if request.param == "memory":
        one = MemoryBus()
        yield lambda: one
        return
    made: list[RedisBus] = []

    def make() -> Bus:
        made.append(RedisBus(valkey_url))
        return made[-1]

    yield make
    for bus in made:
        await bus.close()


class Worker:
    """Serves cameras as the services do, and notes which."""

    def __init__(self, bus: Bus, cameras: list[str]) -> None:
        self.serving: set[str] = set()
        self._bus, self._cameras = bus, cameras
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with Fleet(self._bus, "test", self._cameras, ttl_s=TTL_S) as fleet:
            await run_cameras(self._cameras, lambda name: self._serve(name, fleet))

    async def _serve(self, camera: str, fleet: Fleet) -> None:
        async with holding(fleet.lease(camera)) as lease:
            self.serving.add(camera)
            try:
                while True:
                    require(lease, camera)
                    await asyncio.sleep(0.01)
            finally:
                self.serving.discard(camera)

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def settled(workers: list[Worker], shares: list[int], cameras: list[str]) -> None:
    """Wait until the workers hold so many cameras, each camera once."""
    for _ in range(500):
        held = [camera for worker in workers for camera in worker.serving]
        if sorted(held) == cameras and sorted(len(w.serving) for w in workers) == sorted(shares):
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within 10 s: {[sorted(w.serving) for w in workers]}, wanted {shares}")


async def test_cameras_are_shared_by_those_who_live(new_bus: Callable[[], Bus]) -> None:
    workers = [Worker(new_bus(), CAMERAS)]
    await settled(workers, [5], CAMERAS)
    workers.append(Worker(new_bus(), CAMERAS))
    await settled(workers, [3, 2], CAMERAS)
    workers.append(Worker(new_bus(), CAMERAS))
    await settled(workers, [2, 2, 1], CAMERAS)
    # One says good-bye; the others take its cameras.
    await workers.pop(0).stop()
    await settled(workers, [3, 2], CAMERAS)
    await workers.pop(0).stop()
    await settled(workers, [5], CAMERAS)
    await workers.pop().stop()


_ALONE = """
import asyncio, sys
from posewire.shared.bus import RedisBus
from tests.integration.shared.test_fleet import CAMERAS, Worker

async def main():
    worker = Worker(RedisBus(sys.argv[1]), CAMERAS)
    while True:
        print(len(worker.serving), flush=True)
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


async def test_who_is_killed_is_replaced(valkey_url: str) -> None:
    command = [sys.executable, "-c", _ALONE, valkey_url]
    doomed = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert doomed.stdout is not None
    while await doomed.stdout.readline() != b"5\n":
        pass
    bus = RedisBus(valkey_url)
    survivor = Worker(bus, CAMERAS)
    while await doomed.stdout.readline() != b"3\n":
        pass
    doomed.kill()
    await doomed.wait()
    await settled([survivor], [5], CAMERAS)
    await survivor.stop()
    await bus.close()


async def test_more_workers_than_cameras(new_bus: Callable[[], Bus]) -> None:
    workers = [Worker(new_bus(), ["a"]) for _ in range(3)]
    await settled(workers, [1, 0, 0], ["a"])
    for worker in workers:
        await worker.stop()


async def test_members_live_as_long_as_they_say_so(new_bus: Callable[[], Bus]) -> None:
    bus, key = new_bus(), keys.workers("test", "x")
    assert await bus.beat(key, "one", ttl_s=0.3) == 1
    assert await bus.beat(key, "two", ttl_s=5) == 2
    assert await bus.beat(key, "two", ttl_s=5) == 2
    await asyncio.sleep(0.35)
    assert await bus.beat(key, "three", ttl_s=5) == 2
    await bus.leave(key, "two")
    assert await bus.beat(key, "three", ttl_s=5) == 1


async def test_who_serves_other_cameras_takes_no_share(new_bus: Callable[[], Bus]) -> None:
    """Three cameras by one worker, a fourth by another: nobody gives up what nobody takes."""
    workers = [Worker(new_bus(), ["a", "b", "c"]), Worker(new_bus(), ["d"])]
    await settled(workers, [3, 1], ["a", "b", "c", "d"])
    await asyncio.sleep(2 * TTL_S)
    await settled(workers, [3, 1], ["a", "b", "c", "d"])
    for worker in workers:
        await worker.stop()
