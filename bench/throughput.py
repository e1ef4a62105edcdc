"""Frames per second of the old design, of ``posewire analyze``, and of the running services.

    python -m bench.throughput --video V [--models DIR] [--repeats 3] [--json]

All are measured in turn within each repeat, because machines are shared; medians are reported, and
ratios are medians of the ratios within a repeat. ``limit_fps`` is both whole-frame networks back to
back through AsyncInferQueue with nothing else: what a design that runs both on every frame could
reach at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import openvino as ov

from bench.old_design import DETECTOR_SIZE, POSE_SIZE, OldDesign
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
from posewire.shared.bus import RedisBus, keys
from posewire.shared.messages import SessionEnd, TrackUpdate

_DESIGNS = ("sequential", "analyze", "services", "limit")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=os.environ.get("POSEWIRE_MODELS_DIR"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--frames", type=int, default=400, help="frames for sequential and limit")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.video.is_file():
        parser.error(f"no such file: {options.video}")
    if options.models is None:
        parser.error(
            "the old design needs the Open Model Zoo files: --models or POSEWIRE_MODELS_DIR"
        )

    runs: list[dict[str, float]] = []
    for number in range(options.repeats):
        runs.append(
            {
                "sequential": sequential_fps(options.video, options.models, options.frames),
                "analyze": analyze_fps(options.video, options.models),
                "services": asyncio.run(services_fps(options.video, options.models)),
                "limit": limit_fps(options.models, options.frames),
            }
        )
        print(f"run {number + 1}: {runs[-1]}", file=sys.stderr)
    result = summary(runs)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name in _DESIGNS:
        ratio = result.get(f"{name}_vs_sequential", 1.0)
        print(f"{name:12} {result[name + '_fps']:7.1f} frames/s   {ratio:5.2f} x sequential")


def summary(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return medians of the rates, and of the ratios within each run."""
    result = {f"{name}_fps": statistics.median(run[name] for run in runs) for name in _DESIGNS}
    for name in _DESIGNS[1:]:
        ratios = [run[name] / run["sequential"] for run in runs]
        result[f"{name}_vs_sequential"] = statistics.median(ratios)
    return {key: round(value, 2) for key, value in result.items()}


def sequential_fps(video: Path, models: Path, frames: int) -> float:
    """The old design over the first ``frames`` frames, decoding of the video included."""
    design = OldDesign(models)
    reader = cv2.VideoCapture(str(video))
    pictures = 0
    started = time.perf_counter()
    while pictures < frames:
        found, picture = reader.read()
        if not found:
            break
        design.frame(picture)
        pictures += 1
    return pictures / (time.perf_counter() - started)


def limit_fps(models: Path, frames: int) -> float:
    """Both whole-frame networks on ``frames`` inputs through two AsyncInferQueues."""
    core = ov.Core()
    queues = []
    for name, size in (
        ("person-detection-retail-0013", DETECTOR_SIZE),
        ("human-pose-estimation-0001", POSE_SIZE),
    ):
        path = models / name / "FP16-INT8" / f"{name}.xml"
        network = core.compile_model(str(path), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
        noise = np.random.default_rng(0).integers(0, 255, (1, 3, *size)).astype(np.float32)
        queues.append((ov.AsyncInferQueue(network), noise))
    for queue, noise in queues:
        queue.start_async({0: noise})
        queue.wait_all()
    started = time.perf_counter()
    for _ in range(frames):
        for queue, noise in queues:
            queue.start_async({0: noise})
    for queue, _noise in queues:
        queue.wait_all()
    return frames / (time.perf_counter() - started)


def analyze_fps(video: Path, models: Path) -> float:
    """The rate that ``posewire analyze --json`` reports: all frames, without the start-up."""
    done = subprocess.run(
        [sys.executable, "-m", "posewire", "analyze", str(video), "--json"],
        env=os.environ | {"POSEWIRE_MODELS_DIR": str(models)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout)["fps"])


async def services_fps(video: Path, models: Path) -> float:
    """All four services as processes, lossless: from the first to the last track update."""
    with tempfile.TemporaryDirectory() as folder:
        valkey, postgres = EmbeddedValkey(Path(folder) / "v"), EmbeddedPostgres(Path(folder) / "p")
        await valkey.start()
        await postgres.start()
        config = Path(folder) / "posewire.toml"
        config.write_text(
            f"data_dir = {json.dumps(folder)}\n"
            f"[bus]\nurl = {json.dumps(valkey.url)}\n"
            f"[database]\nurl = {json.dumps(postgres.url)}\n"
            f"[api]\nport = 0\n"
            f"[sources.video]\nurl = {json.dumps(os.path.realpath(video))}\n"
            '[cameras.main]\nsource = "video"\npolicy = "lossless"\n'
        )
        system = subprocess.Popen(  # noqa: ASYNC220 -- returns at once
            [sys.executable, "-m", "posewire", "up", "--config", str(config)],
            env=os.environ | {"POSEWIRE_MODELS_DIR": str(models)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        bus = RedisBus(valkey.url)
        try:
            return await asyncio.wait_for(_rate_of_updates(bus), 600)
        finally:
            await bus.close()
            system.terminate()
            system.wait()
            await valkey.stop()
            await postgres.stop()


async def _rate_of_updates(bus: RedisBus) -> float:
    reader = bus.reader(keys.tracks("main"))
    first: tuple[int, float] | None = None
    last = (0, 0.0)
    while True:
        for entry in await reader.read(count=256, block_s=1.0):
            if isinstance(entry.message, SessionEnd) and first is not None:
                return (last[0] - first[0]) / (last[1] - first[1])
            if isinstance(entry.message, TrackUpdate):
                # The entry's id is the server's clock in ms: not this reader's delay.
                last = (entry.message.frame.seq, int(entry.id.split("-")[0]) / 1000)
                first = first or last


if __name__ == "__main__":
    main()
