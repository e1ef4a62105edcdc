"""What systemd is told, read from real sockets; and when it is told nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posewire.inference.service import serve
from posewire.inference.stall import Stall
from posewire.shared.bus import keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.health import Health
from posewire.shared.messages import FrameHeader
from posewire.shared.settings import Settings
from posewire.shared.systemd import Notifier, watchdog_s, writes_to_journal
from tests.memory_bus import MemoryBus
from tests.pictures import grey_jpeg


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self._socket.setblocking(False)

    def waiting(self) -> list[str]:
        """Return the lines that have come, without waiting."""
        lines: list[str] = []
        while True:
            try:
                lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines

    async def until(self, line: str, seconds: float = 20) -> list[str]:
        """Return the lines up to and with the first that begins with ``line``."""
        lines: list[str] = []
        deadline = time.monotonic() + seconds
        while not any(one.startswith(line) for one in lines):
            if time.monotonic() > deadline:
                pytest.fail(f"no {line} within {seconds} s; got {lines}")
            await asyncio.sleep(0.01)
            lines += self.waiting()
        return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    listening = Manager(str(tmp_path / "notify"))
    yield listening
    listening.close()


async def answers() -> None:
    """The ping of a bus that is there."""


async def test_both_kinds_of_address(tmp_path: Path) -> None:
    for address in (str(tmp_path / "socket"), f"@posewire-test-{os.getpid()}"):
        manager = Manager(address)
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
        assert notifier is not None
        notifier.send(STATUS="a line\nREADY=1", WATCHDOG="1")
        assert manager.waiting() == ["STATUS=a line READY=1", "WATCHDOG=1"]
        manager.close()
        notifier.send(WATCHDOG="1")  # nobody there: no reason to fall over
        notifier.close()


def test_only_who_is_meant_has_a_watchdog() -> None:
    mine = str(os.getpid())
    assert watchdog_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": mine}) == 30
    assert watchdog_s({"WATCHDOG_USEC": "500000"}) == 0.5
    assert watchdog_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    assert watchdog_s({"WATCHDOG_USEC": "soon"}) is None
    assert watchdog_s({}) is None
    assert Notifier.from_environment({}) is None
    assert Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1"}) is None


async def test_ready_when_the_service_is_and_the_bus_answers(manager: Manager) -> None:
    health = Health(Notifier(manager.address))
    there = asyncio.Event()

    async def ping() -> None:
        if not there.is_set():
            raise BusUnavailable("the bus does not answer")

    async with health.reporting(ping):
        await asyncio.sleep(0.1)
        assert manager.waiting() == []
        health.ready("plays door")
        await manager.until("STATUS=Waits: the bus does not answer")
        there.set()
        assert (await manager.until("READY=1"))[-2:] == ["READY=1", "STATUS=Ready: plays door"]
    assert manager.waiting()[0] == "STOPPING=1"


async def test_a_bus_that_stays_away_does_not_hold_up_the_start(manager: Manager) -> None:
    health = Health(Notifier(manager.address), patience_s=0.3)

    async def ping() -> None:
        raise BusUnavailable("the bus does not answer")

    async with health.reporting(ping):
        health.ready("plays door")
        lines = await manager.until("READY=1")
        assert lines[-2:] == ["READY=1", "STATUS=Waits: the bus does not answer"]


async def test_a_blocked_loop_sends_no_watchdog(manager: Manager) -> None:
    health = Health(Notifier(manager.address), watchdog_s=0.1)
    async with health.reporting(answers):
        for _ in range(3):
            await manager.until("WATCHDOG=1")
        manager.waiting()
        time.sleep(0.5)
        assert manager.waiting() == []
        await manager.until("WATCHDOG=1")


async def test_a_stuck_device_stops_the_watchdog(manager: Manager) -> None:
    class Hanging:
        async def prepare(self, jpeg: bytes, t: float, before_t: float | None) -> None:
            await asyncio.Event().wait()

    settings = Settings(cameras={"door": {"source": "demo"}})
    bus, stall = MemoryBus(), Stall(limit_s=0.3)
    health = Health(Notifier(manager.address), watchdog_s=0.1)
    health.add_check(stall.reason)
    async with health.reporting(answers):
        lease = bus.lease(keys.lease("door", "inference"), ttl_s=3)
        worker = asyncio.create_task(
            serve("door", settings, bus, Hanging(), lease, stall)  # type: ignore[arg-type]
        )
        await asyncio.sleep(0.5)
        manager.waiting()
        await manager.until("WATCHDOG=1")  # without frames nothing is stuck
        frame = FrameHeader(
            camera="door", session="s", seq=0, t=0, captured_at=0, width=64, height=48,
            source="demo", policy="live",
        )  # fmt: skip
        await bus.publish(keys.frames("door"), frame, maxlen=8, payload=grey_jpeg())
        lines = await manager.until("STATUS=Stuck")
        assert lines[-1].startswith("STATUS=Stuck: no answer from the device")
        assert lines[-1].endswith("camera door")
        await asyncio.sleep(0.5)
        assert manager.waiting() == []
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert stall.reason() is None


async def test_a_service_tells_its_manager(
    manager: Manager, valkey_url: str, tmp_path: Path
) -> None:
    (tmp_path / "posewire.toml").write_text(
        f"[bus]\nurl = '{valkey_url}'\n[telemetry]\nmetrics_port = 0\n"
        "[sources.clip]\nurl = 'clip:people'\n"
        "[cameras.door]\nsource = 'clip'\n[cameras.yard]\nsource = 'clip'\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        status = os.fstat(stderr.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "posewire", "run", "capture", "--camera", "yard"],
            cwd=tmp_path, stderr=stderr,
            env=os.environ | {
                "NOTIFY_SOCKET": manager.address,
                "WATCHDOG_USEC": "200000",
                "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}",
                "PYTHONPATH": str(Path(__file__).parents[3]),
            },
        )  # fmt: skip
    try:
        lines = await manager.until("READY=1")
        assert lines[-1] == "STATUS=Ready: plays yard"
        assert "WATCHDOG=1" in await manager.until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        await manager.until("STOPPING=1")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    written = log.read_text().splitlines()
    assert written
    assert all(line.startswith(("<6>{", "<4>{")) for line in written), written


def test_other_outputs_are_no_journal(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert not writes_to_journal(file, {})
        assert not writes_to_journal(file, {"JOURNAL_STREAM": "1:2"})
        assert not writes_to_journal(file, {"JOURNAL_STREAM": "nonsense"})
