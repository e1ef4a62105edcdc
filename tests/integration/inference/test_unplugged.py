"""A stick that is pulled out in the middle of a live camera: the worker ends, frames expire.

The stick is a fake (fake_stick.py). All else is real: the services as processes, Valkey, models.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from posewire.launcher.embedded import EmbeddedValkey
from posewire.shared.bus import RedisBus, keys
from posewire.shared.messages import FrameHeader, PoseResult
from tests.integration.inference.conftest import ROOT, environment

FRAMES, POSES = keys.frames("main"), keys.poses("main")
MAXLEN = 64


class Machine:
    """A camera that plays on and on, and a worker on a stick."""

    def __init__(
        self, folder: Path, python: Path, url: str, video: Path, inference: dict[str, Any]
    ) -> None:
        self._folder, self._python = folder, python
        self.port = folder / "usb"
        self.bus = RedisBus(url)
        self._children: list[subprocess.Popen[bytes]] = []
        self._config = folder / "posewire.toml"
        plain = {k: v for k, v in inference.items() if isinstance(v, str) and k != "device"}
        own = inference["models"]["pose-fp16"]
        tables = {
            "bus": {"url": url, "frames_maxlen": MAXLEN, "lossless_window": 8},
            "sources.video": {"url": str(video)},
            "cameras.main": {"source": "video", "policy": "live"},
            "inference": plain,
            "inference.models.pose-fp16": own,
            "telemetry": {"metrics_port": 0},
        }
        lines = [
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items())
            for name, table in tables.items()
        ]
        self._config.write_text("\n".join(lines))

    def _start(self, name: str, *command: object) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [*(str(part) for part in command), "--config", str(self._config)],
                stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip
        self._children.append(child)
        return child

    def start_capture(self) -> subprocess.Popen[bytes]:
        return self._start("capture", sys.executable, "-m", "posewire", "run", "capture")

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self._start(
            "worker", self._python, "-m", "tests.integration.inference.fake_stick",
            self.port, "run", "inference", "--device", "MYRIAD",
        )  # fmt: skip

    def log(self) -> str:
        return (self._folder / "worker.log").read_text(errors="replace")

    async def last(self, stream: str) -> FrameHeader | PoseResult | None:
        entry = await self.bus.last(stream)
        message = None if entry is None else entry.message
        return message if isinstance(message, (FrameHeader, PoseResult)) else None

    async def result_after(self, seq: int, worker: subprocess.Popen[bytes]) -> PoseResult:
        """Return the newest result once it is of a frame after ``seq``."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert worker.poll() is None, self.log()
            last = await self.last(POSES)
            if isinstance(last, PoseResult) and last.frame.seq > seq:
                return last
            time.sleep(0.05)
        pytest.fail(f"no result after frame {seq}: {self.log()}")

    def fall_back(self) -> None:
        """Allow the worker to go on with the CPU."""
        text = self._config.read_text()
        self._config.write_text(text.replace("[inference]", "[inference]\nfallback = true"))

    async def stop(self) -> None:
        await self.bus.close()
        for child in self._children:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@pytest.fixture
async def new_machine(
    tmp_path: Path, valkey: EmbeddedValkey, data_dir: Path, fp16: dict[str, Any]
) -> AsyncIterator[Callable[[str], Machine]]:
    made: list[Machine] = []
    video = data_dir / "videos" / "one-by-one-person-detection.mp4"
    if not video.is_file():
        pytest.skip(f"no {video}")

    def make(name: str) -> Machine:
        made.append(Machine(tmp_path, environment(name), valkey.url, video, fp16))
        return made[-1]

    yield make
    for machine in made:
        await machine.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("ncs2", "out", "Failed to queue inference: NC_ERROR"),
        ("ncs2", "silent", "no answer within 3 s"),
        ("ov2022", "out", "Failed to queue inference: NC_ERROR"),
    ],
)
async def test_a_stick_that_is_pulled_out(
    new_machine: Callable[[str], Machine], name: str, fault: str, words: str
) -> None:
    machine = new_machine(name)
    machine.port.write_text("in")
    capture, worker = machine.start_capture(), machine.start_worker()
    found = await machine.result_after(20, worker)
    assert found.pose is None or found.pose.device == "MYRIAD"
    assert "pose-fp16 FP16 on MYRIAD" in machine.log()

    machine.port.write_text(fault)
    assert worker.wait(20) == 2, "systemd starts it again after any end but a clean one"
    assert words in machine.log()
    assert "posewire: MYRIAD failed while running" in machine.log()
    last = await machine.last(POSES)
    assert isinstance(last, PoseResult)

    # The camera plays on, what nobody examines expires, and a worker without its stick ends again.
    machine.port.unlink()
    gone = machine.start_worker()
    assert gone.wait(20) == 2
    assert "device MYRIAD is not on this machine (there is CPU)" in machine.log()
    while not isinstance(now := await machine.last(FRAMES), FrameHeader) or (
        now.seq < last.frame.seq + MAXLEN + 20
    ):
        assert capture.poll() is None
        time.sleep(0.1)
    assert now.session == last.frame.session, "the clip is over"
    assert await machine.bus.length(FRAMES) <= 2 * MAXLEN

    # Plugged in again and started again: it goes on with the newest frame, and counts the others.
    machine.port.write_text("in")
    again = machine.start_worker()
    await machine.result_after(last.frame.seq, again)
    entries = await machine.bus.reader(POSES).read(count=1000, block_s=0.1)
    results = [e.message for e in entries if isinstance(e.message, PoseResult)]
    after = results.index(last) + 1
    first = results[after]
    assert first.frame.seq > now.seq
    assert first.skipped == first.frame.seq - last.frame.seq - 1 > MAXLEN
    assert again.poll() is None


@pytest.mark.parametrize("name", ["ncs2", "ov2022"])
async def test_without_a_stick_fallback_goes_on_with_the_cpu(
    new_machine: Callable[[str], Machine], name: str
) -> None:
    machine = new_machine(name)
    machine.fall_back()
    machine.start_capture()
    worker = machine.start_worker()
    found = await machine.result_after(5, worker)
    assert found.pose is None or found.pose.device == "CPU"
    assert "pose-fp16 FP16 on CPU" in machine.log()
    assert "device MYRIAD is not on this machine (there is CPU)" in machine.log()
    assert "continuing on the CPU" in machine.log()
