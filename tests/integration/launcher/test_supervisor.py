"""Child processes: started again, stopped together, never left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from posewire.launcher import runtime
from posewire.launcher.embedded import EmbeddedValkey
from posewire.launcher.supervisor import Child, Supervisor
from posewire.shared.errors import ConfigError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(60)",
]


async def running(child: Child, *, other_than: int | None = None) -> int:
    for _ in range(500):
        if child.pid is not None and child.pid != other_than:
            return child.pid
        await asyncio.sleep(0.01)
    pytest.fail(f"{child.name} does not run")


async def test_a_dead_child_is_started_again(tmp_path: Path) -> None:
    deaths: list[tuple[str, int]] = []
    child = Child("sleeper", SLEEP, tmp_path / "sleeper.log")
    supervisor = Supervisor([], [child])
    await supervisor.start(lambda name, code, _log: deaths.append((name, code)))
    first = await running(child)
    psutil.Process(first).kill()
    second = await running(child, other_than=first)
    assert deaths == [("sleeper", -9)]
    await supervisor.stop()
    assert not psutil.pid_exists(second)


async def test_a_stubborn_child_is_killed(tmp_path: Path) -> None:
    child = Child("stubborn", STUBBORN, tmp_path / "stubborn.log")
    supervisor = Supervisor([], [child])
    await supervisor.start(lambda *_: None)
    pid = await running(child)
    while "ready" not in child.log_tail():
        await asyncio.sleep(0.01)
    await supervisor.stop()
    assert not psutil.pid_exists(pid)


async def test_a_dead_server_is_started_again(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    await server.start()
    supervisor = Supervisor([server], [])
    await supervisor.start(lambda *_: None)
    assert server.pid is not None
    first = server.pid
    psutil.Process(first).kill()
    for _ in range(500):
        if server.pid not in (None, first):
            break
        await asyncio.sleep(0.01)
    assert server.pid != first
    await supervisor.stop()
    assert not server.alive


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib, sys
from posewire.launcher.supervisor import Child, Supervisor
async def main():
    child = Child("sleeper", {SLEEP!r}, pathlib.Path({str(tmp_path / "log")!r}))
    await Supervisor([], [child]).start(lambda *_: None)
    while child.pid is None:
        await asyncio.sleep(0.01)
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _gone, alive = psutil.wait_procs([child], timeout=5)
    assert alive == []


def test_a_data_folder_has_one_owner(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys\nfrom posewire.launcher import runtime\n"
        f"with runtime.holding(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigError, match=f"process {other.pid}"), runtime.holding(tmp_path):
            pass
        other.kill()
    with runtime.holding(tmp_path):
        pass


def test_what_runs_can_be_found(tmp_path: Path) -> None:
    assert runtime.find(tmp_path) is None
    told = runtime.Runtime(psutil.Process().pid, "unix:///v", "postgresql:///p", "http://h")
    runtime.publish(tmp_path, told)
    assert runtime.find(tmp_path) == told
    assert (tmp_path / "runtime.json").stat().st_mode & 0o777 == 0o600
    runtime.withdraw(tmp_path)
    assert runtime.find(tmp_path) is None
