"""Everything goes wrong at random; the rows are those of a quiet run.

    CHAOS_MINUTES=10 CHAOS_SEED=4711 pytest tests/e2e/test_chaos.py

plays the clip so often that the disturbed run takes about that long on this machine (1 minute by
default), with the faults of that seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import redis.asyncio

from tests.e2e.faults import FAKETIME, Clock, JumpingValkey, Proxy, filled, small_disk
from tests.e2e.films import repeated
from tests.e2e.system import System, analyze, speed

MINUTES = float(os.environ.get("CHAOS_MINUTES", "1"))
SEED = int(os.environ.get("CHAOS_SEED", random.randrange(10_000)))
_SERVICES = ("capture", "inference", "tracker", "api")
_SERVERS = ("valkey", "postgres")
_HOUR = 3600.0
_STEPS = [(h, -h) for h in (-_HOUR, _HOUR)] + [(h, h) for h in (-_HOUR, _HOUR)]
_STEPS += [(0.0, h) for h in (-_HOUR, _HOUR)] + [(h, 0.0) for h in (-_HOUR, _HOUR)]
"""By how much the services' clock and the bus's clock are set."""
_CLIP_FRAMES = 235
_LOSSLESS = """
[sources.video]
url = "{video}"
[cameras.main]
source = "video"
policy = "lossless"
[inference]
preset = "fast"
"""


class Chaos:
    """Disturbs a system, one fault after the other; each is over before the next."""

    def __init__(
        self, system: System, clock: Clock, bus: Proxy, database: Proxy, *, disk: bool
    ) -> None:
        self._system, self._clock, self._bus, self._database = system, clock, bus, database
        self._random = random.Random(SEED)
        self.told: list[str] = []
        self._faults = [
            self._kill, self._kill_a_server, self._stop, self._cut_a_server_off,
            self._cut_a_service_off, self._set_clocks, self._refuse_writes, self._start_twice,
        ]  # fmt: skip
        if disk:
            self._faults.append(self._fill_the_disk)

    async def until_the_end(self) -> None:
        """Disturb, and let the run go on a little before the next fault, until it has ended."""
        deck: list[Callable[[], Awaitable[str]]] = []
        started, seen = time.monotonic(), -1
        while True:
            await self._system.until(
                lambda seq, ended, seen=seen: ended or seq > seen + 6, timeout=240
            )
            seen, ended = await self._system.committed()
            if ended:
                return
            if not deck:
                deck = self._random.sample(self._faults, len(self._faults))
            at = time.monotonic() - started
            told = await deck.pop()()
            self.told.append(f"{at:5.0f} s, frame {seen}: {told}")
            print(self.told[-1], flush=True)

    async def _kill(self) -> str:
        service = self._random.choice(_SERVICES)
        await self._running(service)
        await self._system.kill(service)
        return f"kill -9 {service}"

    async def _kill_a_server(self) -> str:
        """The bus comes back empty, the database with what was committed."""
        server = self._random.choice(_SERVERS)
        await self._system.kill(server)
        return f"kill -9 {server}"

    async def _stop(self) -> str:
        part = self._random.choice((*_SERVICES, *_SERVERS))
        if part in _SERVERS:
            server = self._system.valkey if part == "valkey" else self._system.postgres
            assert server.pid is not None
            process = psutil.Process(server.pid)
        else:
            process = await self._running(part)
        for one in (family := [process, *process.children(recursive=True)]):
            one.suspend()
        await asyncio.sleep(10)
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()
        return f"{part} is stopped for 10 s"

    async def _cut_a_server_off(self) -> str:
        cut = self._random.choice(([self._bus], [self._database], [self._bus, self._database]))
        seconds, reset = self._random.uniform(3, 8), self._random.random() < 0.5
        for proxy in cut:
            proxy.cut()
        await asyncio.sleep(seconds)
        for proxy in cut:
            proxy.heal(reset=reset)
        names = " and ".join("bus" if proxy is self._bus else "database" for proxy in cut)
        return f"{names} cut off for {seconds:.1f} s{', connections reset' if reset else ''}"

    async def _cut_a_service_off(self) -> str:
        """As a node of a cluster is, whose work another one takes over meanwhile."""
        name = self._random.choice(("capture", "inference", "tracker"))
        reset = self._random.random() < 0.5
        victim = await self._running(name)
        with self._second(name) as spare:
            await asyncio.sleep(5)
            for proxy in (self._bus, self._database):
                proxy.cut(lambda: [victim.pid])
            await asyncio.sleep(8)
            for proxy in (self._bus, self._database):
                proxy.heal(reset=reset)
            await asyncio.sleep(2)
            assert spare.poll() is None, self._system.logs()
        return f"{name} cut off for 8 s beside a spare one{', connections reset' if reset else ''}"

    async def _set_clocks(self) -> str:
        ahead = self._random.choice(_STEPS)
        await self._set(ahead)
        await asyncio.sleep(self._random.uniform(2, 5))
        await self._set((0.0, 0.0))
        bus = f"the bus's by {ahead[1]:+.0f} s" if FAKETIME else "the bus's not (no libfaketime)"
        return f"the services' clock is set by {ahead[0]:+.0f} s, {bus}, and back"

    async def _set(self, ahead: tuple[float, float]) -> None:
        self._clock.set(ahead[0])
        valkey = self._system.valkey
        assert isinstance(valkey, JumpingValkey)
        valkey.set_clock(ahead[1])

    async def _refuse_writes(self) -> str:
        """As a Redis does that is full: it answers OOM."""
        seconds = self._random.uniform(2, 6)
        await self._limit_memory("1")
        await asyncio.sleep(seconds)
        await self._limit_memory("0")
        return f"the bus is full for {seconds:.1f} s"

    async def _limit_memory(self, limit: str) -> None:
        async with redis.asyncio.Redis.from_url(self._system.valkey.url) as client:
            await client.config_set("maxmemory", limit)

    async def _start_twice(self) -> str:
        ends = [self._random.choice((signal.SIGKILL, signal.SIGTERM)) for _ in range(3)]
        with contextlib.ExitStack() as stack:
            for name, end in zip(("capture", "inference", "tracker"), ends, strict=True):
                stack.enter_context(self._second(name, end))
            await asyncio.sleep(self._random.uniform(6, 12))
        return "two captures, two inference workers, two trackers"

    async def _fill_the_disk(self) -> str:
        seconds = self._random.uniform(3, 8)
        async with filled(self._system.folder):
            await asyncio.sleep(seconds)
        # A Postgres that cannot write its log ends; whoever runs it starts it again.
        await self._system.valkey.start()
        await self._system.postgres.start()
        return f"no byte free on the disk for {seconds:.1f} s"

    @contextlib.contextmanager
    def _second(
        self, name: str, end: signal.Signals = signal.SIGKILL
    ) -> AsyncIterator[subprocess.Popen[bytes]]:
        process = self._system.start_again(name)
        try:
            yield process
        finally:
            process.send_signal(end)
            process.wait(30)

    async def _running(self, name: str) -> psutil.Process:
        for _ in range(300):
            if (process := self._system.service(name)) is not None:
                return process
            await asyncio.sleep(0.1)
        pytest.fail(f"{name} does not run; {self._system.logs()}")


@pytest.mark.slow
@pytest.mark.timeout(600 + 600 * MINUTES)
async def test_the_rows_are_those_of_a_quiet_run(
    clip: Path, tmp_path: Path, models_environment: dict[str, str]
) -> None:
    print(f"CHAOS_SEED={SEED} CHAOS_MINUTES={MINUTES:g}", flush=True)
    environment = models_environment | {"POSEWIRE_INFERENCE__PRESET": "fast"}
    # Two rounds at least: while a service is cut off beside a spare one, frames go on.
    frames = max(MINUTES * 60 * speed(clip, environment), 2 * _CLIP_FRAMES)
    film = repeated(clip, tmp_path / "film.mp4", times=max(round(frames / _CLIP_FRAMES), 1))
    expected = analyze(film, tmp_path, environment)
    assert expected
    clock = Clock(tmp_path / "clock")
    folder = tmp_path / "system"
    with small_disk(folder, megabytes=400 + round(100 * MINUTES)) as disk:
        valkey = JumpingValkey(folder / "valkey")
        bus = Proxy(valkey.sockets / "valkey.sock")
        database = Proxy(folder / "postgres" / "run" / ".s.PGSQL.5432")
        await bus.start()
        await database.start()
        system = System(
            folder, film, models_environment | clock.environment, window=6, cameras=_LOSSLESS,
            valkey=valkey, bus_url=f"redis://127.0.0.1:{bus.port}",
            database_url=f"postgresql://posewire@127.0.0.1:{database.port}/posewire",
        )  # fmt: skip
        chaos = Chaos(system, clock, bus, database, disk=disk)
        try:
            await system.start()
            await chaos.until_the_end()
            assert await system.rows() == expected, chaos.told
        finally:
            await system.stop()
            await bus.stop()
            await database.stop()
