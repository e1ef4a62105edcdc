"""The running system: embedded servers and ``posewire up`` as real processes."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey

ROOT = Path(__file__).resolve().parents[2]
POSEWIRE = [sys.executable, "-m", "posewire"]
_ONE_CAMERA = """
[sources.video]
url = "{video}"
[cameras.main]
source = "video"
policy = "lossless"
"""
COLUMNS = ["frame", "t", "kind", "reason", "visit", "track", "people"]


class System:
    """Valkey, Postgres and the four services, playing one file once, lossless.

    ``cameras``: other sources and cameras, as TOML; {video} stands for the file. ``bus_url``: a bus
    that is the test's own, in place of a Valkey, or, with ``valkey``, the way to that one.
    ``database_url``: the way to the Postgres.
    """

    def __init__(
        self,
        folder: Path,
        video: Path,
        environment: dict[str, str],
        *,
        window: int = 48,
        port: int = 0,
        cameras: str = "",
        valkey: EmbeddedValkey | None = None,
        bus_url: str | None = None,
        database_url: str | None = None,
    ) -> None:
        self.folder = folder
        self.valkey = valkey or EmbeddedValkey(folder / "valkey")
        self.postgres = EmbeddedPostgres(folder / "postgres")
        self._environment = os.environ | environment
        self._own_bus = bus_url is not None and valkey is None
        self._up: subprocess.Popen[bytes] | None = None
        self._config = folder / "posewire.toml"
        self._config.write_text(
            f"data_dir = {json.dumps(str(folder / 'data'))}\n"
            f"[bus]\nurl = {json.dumps(bus_url or self.valkey.url)}\nlossless_window = {window}\n"
            f"[database]\nurl = {json.dumps(database_url or self.postgres.url)}\n"
            f"[api]\nport = {port}\nsnapshots = true\n"
            + (cameras or _ONE_CAMERA).replace("{video}", str(video))
        )

    async def start(self) -> None:
        """Start the servers, then the services."""
        if not self._own_bus:
            await self.valkey.start()
        await self.postgres.start()
        self.start_services()

    def start_services(self) -> None:
        """Start the services."""
        with (self.folder / "up.log").open("wb") as log:
            self._up = subprocess.Popen(
                [*POSEWIRE, "up", "--config", str(self._config)],
                env=self._environment, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    def start_again(self, name: str) -> subprocess.Popen[bytes]:
        """Start a service beside the one that runs, as by mistake."""
        with (self.folder / f"second-{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*POSEWIRE, "run", name, "--config", str(self._config)],
                env=self._environment, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip

    async def stop(self) -> None:
        """Stop everything."""
        if self._up is not None:
            self._up.send_signal(signal.SIGINT)
            try:
                self._up.wait(10)
            finally:
                self._up.kill()
                self._up.wait()
        await self.valkey.stop()
        await self.postgres.stop()

    def service(self, name: str) -> psutil.Process | None:
        """Return the process of a service."""
        assert self._up is not None
        for process in psutil.Process(self._up.pid).children(recursive=True):
            try:
                if name in process.cmdline():
                    return process
            except psutil.NoSuchProcess:
                continue
        return None

    @contextlib.contextmanager
    def another(self, service: str) -> Iterator[None]:
        """Run one more process of a service while the body runs."""
        environment = self._environment | {"POSEWIRE_TELEMETRY__METRICS_PORT": "0"}
        with (self.folder / f"second-{service}.log").open("wb") as log:
            process = subprocess.Popen(
                [*POSEWIRE, "run", service, "--config", str(self._config)],
                env=environment, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        try:
            yield
        finally:
            process.kill()
            process.wait()

    async def kill(self, name: str) -> None:
        """kill -9 a service, "valkey" or "postgres"; the two servers are started again."""
        if name in ("valkey", "postgres"):
            server = self.valkey if name == "valkey" else self.postgres
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.sleep(0.5)
            await server.start()
            return
        process = self.service(name)
        assert process is not None, f"{name} does not run"
        process.kill()

    async def committed(self, camera: str | None = None) -> tuple[int, bool]:
        """Return the last committed frame, -1 for none, and whether the session's end is, too.

        ``camera``: which, where there are several.
        """
        try:
            connection = await asyncpg.connect(self.postgres.url)
        except (OSError, asyncpg.PostgresError):
            return -1, False
        try:
            row = await connection.fetchrow(
                "SELECT seq, ended FROM checkpoint WHERE camera = coalesce($1, camera)", camera
            )
            return (row["seq"], row["ended"]) if row else (-1, False)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return -1, False
        finally:
            await connection.close()

    async def until(
        self,
        condition: Callable[[int, bool], bool],
        timeout: float = 120,
        camera: str | None = None,
    ) -> None:
        """Wait until ``condition`` holds for what ``committed`` returns."""
        deadline = time.monotonic() + timeout
        while not condition(*(state := await self.committed(camera))):
            if time.monotonic() > deadline:
                pytest.fail(f"committed {state} after {timeout} s; {self.logs()}")
            await asyncio.sleep(0.1)

    def logs(self) -> str:
        """Return the ends of all logs."""
        files = sorted(self.folder.rglob("*.log"))
        return "\n".join(f"--- {f.name}\n{f.read_text(errors='replace')[-3000:]}" for f in files)

    async def rows(self, camera: str | None = None) -> list[dict[str, str]]:
        """Return the events in Postgres as strings, in the columns of events.csv."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            found = await connection.fetch(
                "SELECT seq AS frame, t, kind, coalesce(reason, '') AS reason, "
                "visit_number AS visit, track, people FROM event "
                "WHERE camera = coalesce($1, camera) ORDER BY ord",
                camera,
            )
        finally:
            await connection.close()
        return [{k: f"{row[k]:.3f}" if k == "t" else str(row[k]) for k in COLUMNS} for row in found]


def analyze(video: Path, folder: Path, environment: dict[str, str]) -> list[dict[str, str]]:
    """Return the events that ``posewire analyze`` writes for ``video``."""
    events = folder / "events.csv"
    done = subprocess.run(
        [*POSEWIRE, "analyze", str(video), "--events", str(events)],
        env=os.environ | environment, capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with events.open(newline="") as file:
        return list(csv.DictReader(file))


def speed(video: Path, environment: dict[str, str]) -> float:
    """Return how many frames of ``video`` this machine analyses in a second."""
    done = subprocess.run(
        [*POSEWIRE, "analyze", str(video), "--frames", "60", "--json"],
        env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(json.loads(done.stdout)["fps"])
