"""Child processes: started again, stopped together, never left behind."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from posewire.launcher import runtime
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
from posewire.launcher.supervisor import Child, Supervisor, service_command
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


async def test_a_service_that_is_stopped_is_killed_and_started_again(
    tmp_path: Path, valkey_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.json").write_text(
        json.dumps({"bus": {"url": valkey_url}, "telemetry": {"metrics_port": 0}})
    )
    command = service_command("capture", tmp_path / "settings.json")
    deaths: list[int] = []
    child = Child("capture", command, tmp_path / "capture.log", silent_s=2.0)
    supervisor = Supervisor([], [child])
    await supervisor.start(lambda _name, code, _log: deaths.append(code))
    first = await running(child)
    while "service.ready" not in child.log_tail():
        await asyncio.sleep(0.05)
    psutil.Process(first).suspend()
    await asyncio.sleep(1)
    psutil.Process(first).resume()
    await asyncio.sleep(1.5)
    assert child.pid == first, "a short halt is nothing"
    psutil.Process(first).suspend()
    await running(child, other_than=first)
    assert deaths == [-9]
    assert "child.silent" in capsys.readouterr().out
    await supervisor.stop()


async def test_a_child_that_never_begins_is_killed(tmp_path: Path) -> None:
    deaths: list[int] = []
    child = Child("sleeper", SLEEP, tmp_path / "log", silent_s=0.2, first_s=0.6)
    supervisor = Supervisor([], [child])
    await supervisor.start(lambda _name, code, _log: deaths.append(code))
    first = await running(child)
    await running(child, other_than=first)
    assert deaths == [-9]
    await supervisor.stop()


@pytest.mark.parametrize("kind", [EmbeddedValkey, EmbeddedPostgres])
async def test_a_server_that_does_not_answer_is_killed_and_started_again(
    kind: type[EmbeddedValkey | EmbeddedPostgres], tmp_path: Path
) -> None:
    server = kind(tmp_path / "server")
    await server.start()
    supervisor = Supervisor([server], [], silent_s=1.5)
    await supervisor.start(lambda *_: None)
    first = server.pid
    assert first is not None
    process = psutil.Process(first)
    for one in [process, *process.children(recursive=True)]:
        one.suspend()
    for _ in range(1500):
        if server.pid not in (None, first) and await server.responds(within_s=1):
            break
        await asyncio.sleep(0.01)
    assert server.pid not in (None, first)
    assert await server.responds(within_s=5)
    await supervisor.stop()


async def test_a_server_that_cannot_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = EmbeddedPostgres(tmp_path / "server")
    await server.start()
    monkeypatch.setattr("posewire.launcher.embedded._START_S", 1.0)
    supervisor = Supervisor([server], [])
    await supervisor.start(lambda *_: None)
    broken = tmp_path / "server" / "pg" / "postgresql.conf"
    broken.rename(broken.with_suffix(".away"))
    server.kill()
    for _ in range(500):
        if "server.waits" in (said := capsys.readouterr().out):
            break
        await asyncio.sleep(0.01)
    assert "postgresql.conf" in said
    broken.with_suffix(".away").rename(broken)
    for _ in range(1000):
        if server.alive and await server.responds(within_s=1):
            break
        await asyncio.sleep(0.01)
    assert await server.responds(within_s=5)
    await supervisor.stop()


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


def test_a_new_data_folder_is_private_and_an_old_one_is_left_alone(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    for folder, mode in ((tmp_path / "new", 0o700), (old, 0o755)):
        with runtime.holding(folder):
            assert folder.stat().st_mode & 0o777 == mode


def test_what_runs_can_be_found(tmp_path: Path) -> None:
    assert runtime.find(tmp_path) is None
    told = runtime.Runtime(psutil.Process().pid, "unix:///v", "postgresql:///p", "http://h")
    runtime.publish(tmp_path, told)
    assert runtime.find(tmp_path) == told
    assert (tmp_path / "runtime.json").stat().st_mode & 0o777 == 0o600
    runtime.withdraw(tmp_path)
    assert runtime.find(tmp_path) is None
