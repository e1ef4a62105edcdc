"""The embedded servers: they start, survive kill -9, and end with their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey


async def test_postgres_keeps_its_data_over_kill_9(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg")
    await server.start()
    connection = await asyncpg.connect(server.url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive:
        await asyncio.sleep(0.01)
    await server.start()
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()
    await server.stop()
    assert not server.alive


async def test_postgres_leaves_no_process_when_it_is_stopped_by_force(tmp_path: Path) -> None:
    """A backend that does not end holds the shared memory, and the next start is refused."""
    server = EmbeddedPostgres(tmp_path / "pg")
    await server.start()
    connection = await asyncpg.connect(server.url)
    backend = psutil.Process(connection.get_server_pid())
    backend.suspend()
    try:
        await server.stop()
        await server.start()
        assert not backend.is_running() or backend.status() == psutil.STATUS_ZOMBIE
    finally:
        if backend.is_running():
            backend.kill()
        connection.terminate()
        await server.stop()


async def test_servers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib, time
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
async def main():
    servers = [EmbeddedValkey(pathlib.Path({str(tmp_path)!r}) / "v"),
               EmbeddedPostgres(pathlib.Path({str(tmp_path)!r}) / "p")]
    for server in servers:
        await server.start()
    print(*(server.pid for server in servers), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    _gone, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


async def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path / ("long" * 30))
    await server.start()
    assert server.alive
    await server.stop()
    assert not server.sockets.exists()
