"""``posewire demo`` as a new user runs it: nothing configured, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from posewire.launcher import runtime
from posewire.launcher.commands.run import SERVICES
from tests.e2e.system import POSEWIRE
from tests.traps import set_traps


class Demo:
    """A running demo."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.log = folder / "demo.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*POSEWIRE, "demo", "--data-dir", str(folder / "data")],
                env=os.environ | environment, stdout=log, stderr=log, cwd=folder,
            )  # fmt: skip

    def url(self) -> str:
        """Return the page's URL once it is printed and answers."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"http://localhost:\d+", self.log.read_text())
            if found:
                try:
                    if httpx.get(f"{found[0]}/readyz", timeout=2).status_code == 200:
                        return found[0]
                except httpx.HTTPError:
                    pass
            time.sleep(0.1)
        pytest.fail(self.log.read_text())

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture
def demo(tmp_path: Path, models_environment: dict[str, str]) -> Iterator[Demo]:
    demo = Demo(tmp_path, models_environment)
    yield demo
    demo.process.kill()
    demo.process.wait()


def people_seen(url: str) -> int:
    """Wait for three events and return how many there are."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        events = httpx.get(f"{url}/api/v1/events").json()["events"]
        if len(events) >= 3:
            return len(events)
        time.sleep(0.2)
    pytest.fail("no three events within 60 s")


@pytest.mark.slow
def test_the_demo_runs_counts_and_stops(demo: Demo) -> None:
    url = demo.url()
    # Which models it got, and why these.
    assert re.search(r"^models: \S+ \(\S+\).*: \S.*", demo.log.read_text(), re.MULTILINE)
    counted = people_seen(url)
    running = runtime.find(demo.folder / "data")
    assert running is not None
    assert running.page_url == url

    async def rows() -> int:
        connection = await asyncpg.connect(running.database_url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM event"))
        finally:
            await connection.close()

    assert asyncio.run(rows()) >= counted
    snapshot = httpx.get(f"{url}/api/v1/cameras/main/snapshot.jpg")
    assert snapshot.content[:2] == b"\xff\xd8"
    old_shape = httpx.get(f"{url}/detections", params={"page": 1, "per-page": 2}).json()
    assert [set(result) for result in old_shape["results"]] == [
        {"id", "session_name", "event_name", "create_date_time"}
    ] * 2
    assert old_shape["results"][0]["event_name"] == "appeared"
    assert set(old_shape["pagination"]) == {"count", "page", "per_page", "pages"}

    again = subprocess.run(
        [*POSEWIRE, "demo", "--data-dir", str(demo.folder / "data")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 2
    assert f"process {demo.process.pid}" in again.stderr

    folder = demo.folder / "data"
    logs = [*(folder / "logs").iterdir(), folder / "valkey" / "valkey.log"]
    assert len(logs) == 5
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in logs)
    assert folder.stat().st_mode & 0o777 == 0o700

    children = demo.children()
    assert len(children) >= 6  # four services, Valkey, Postgres
    started = time.monotonic()
    demo.process.send_signal(signal.SIGINT)
    demo.process.wait(10)
    # The promise is 3 s; a stalled test machine gets one more.
    assert time.monotonic() - started < 4
    assert psutil.wait_procs(children, timeout=1)[1] == []

    restarted = Demo(demo.folder, {})
    try:
        assert len(httpx.get(f"{restarted.url()}/api/v1/events").json()["events"]) >= counted
    finally:
        restarted.process.send_signal(signal.SIGTERM)
        restarted.process.wait(10)


@pytest.mark.slow
def test_a_killed_demo_leaves_no_process_behind(demo: Demo) -> None:
    demo.url()
    children = demo.children()
    assert len(children) >= 6
    demo.process.kill()
    assert psutil.wait_procs(children, timeout=5)[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["up", "demo"])
def test_files_of_the_current_folder_are_not_imported(
    command: str, tmp_path: Path, models_environment: dict[str, str]
) -> None:
    traps = set_traps(tmp_path)
    options = ["--data-dir", str(tmp_path / "data")]
    # The script, as users start it: "python -m" itself looks into the current folder.
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("posewire")), command, *options],
        env=os.environ | models_environment | {"POSEWIRE_API__PORT": "0"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        try:
            waited = time.monotonic() + 60
            logs = [tmp_path / "data" / "logs" / f"{name}.log" for name in SERVICES]
            while not all(log.exists() and "service.started" in log.read_text() for log in logs):
                assert time.monotonic() < waited, [log.read_text() for log in logs if log.exists()]
                time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=15)
    assert "has ended" not in output
    assert traps.sprung() == []
