"""How many cameras this machine carries: more and more live cameras on the real services.

    python -m bench.cameras --video V [V ...] [--models DIR] [--cameras 1 2 4 8] [--workers 1]

Each camera plays one of the videos in a loop at its own rate, as a camera would: what is too much
is skipped. Rates are of frames; latency is from capture to the person's place; CPU and memory are
those of the processes, over ``--seconds`` after a warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey

_READY_S = 90.0


@dataclass(slots=True)
class Snapshot:
    """All counters and all processes at a moment."""

    at: float
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Sums over cameras and processes, by metric name."""
    buckets: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    """Of posewire_latency_seconds: frames up to so many seconds."""
    cpu_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    memory: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, nargs="+", required=True)
    parser.add_argument("--models", type=Path, default=os.environ.get("POSEWIRE_MODELS_DIR"))
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--workers", type=int, default=1, help="inference workers")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for video in options.video:
        if not video.is_file():
            parser.error(f"no such file: {video}")
    results = []
    for cameras in options.cameras:
        results.append(asyncio.run(measure(cameras, options)))
        if not options.json:
            print(line(results[-1]), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


def line(result: dict[str, Any]) -> str:
    """Return a result for people."""
    cpu = ", ".join(f"{name} {value:.2f}" for name, value in result["cpu_cores"].items())
    memory = ", ".join(f"{name} {value:.0f}" for name, value in result["memory_mb"].items())
    return (
        f"{result['cameras']:2} cameras, {result['workers']} inference workers: "
        f"{result['captured_fps']:6.1f} frames/s come, {result['examined_fps']:6.1f} examined, "
        f"{result['skipped']:4.0%} skipped, "
        f"latency median {result['latency_p50_s'] * 1000:.0f} ms, "
        f"95 % {result['latency_p95_s'] * 1000:.0f} ms\n   cores: {cpu}\n   MB: {memory}"
    )


async def measure(cameras: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run the services with so many cameras and return what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        valkey, postgres = EmbeddedValkey(Path(folder) / "v"), EmbeddedPostgres(Path(folder) / "p")
        await valkey.start()
        await postgres.start()
        config = Path(folder) / "posewire.toml"
        config.write_text(_config(folder, cameras, valkey.url, postgres.url, options))
        names = ["capture", *["inference"] * options.workers, "tracker", "api"]
        running = [_start(name, config, options.models) for name in names]
        servers = {"bus": valkey.pid, "database": postgres.pid}
        try:
            await _until_ready(running)
            await asyncio.sleep(options.warm_up)
            before = _look(running, servers)
            await asyncio.sleep(options.seconds)
            after = _look(running, servers)
        finally:
            for _name, _port, process in running:
                process.terminate()
            for _name, _port, process in running:
                process.wait()
            await valkey.stop()
            await postgres.stop()
    return {"cameras": cameras, "workers": options.workers} | summary(before, after)


def summary(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """Return rates, shares and quantiles between two moments."""
    seconds = after.at - before.at

    def rate(metric: str) -> float:
        return (after.sums[metric] - before.sums[metric]) / seconds

    examined = rate("posewire_inference_frames_total")
    skipped = rate("posewire_inference_skipped_total")
    counts = {le: count - before.buckets[le] for le, count in after.buckets.items()}
    return {
        "captured_fps": round(rate("posewire_capture_frames_total"), 1),
        "examined_fps": round(examined, 1),
        "skipped": round(skipped / max(skipped + examined, 1e-9), 3),
        "latency_p50_s": round(quantile(counts, 0.5), 3),
        "latency_p95_s": round(quantile(counts, 0.95), 3),
        "cpu_cores": {
            name: round((after.cpu_s[name] - before.cpu_s[name]) / seconds, 2)
            for name in after.cpu_s
        },
        "memory_mb": {name: round(value / 1e6) for name, value in after.memory.items()},
    }


def quantile(counts: dict[float, float], share: float) -> float:
    """Return the quantile of a cumulative histogram, linear within a bucket, as Prometheus does."""
    edges = sorted(counts)
    if not edges or not counts[edges[-1]]:
        return float("nan")
    wanted, low, below = share * counts[edges[-1]], 0.0, 0.0
    for edge in edges:
        if counts[edge] >= wanted:
            if edge == float("inf"):
                return low
            return low + (edge - low) * (wanted - below) / max(counts[edge] - below, 1e-9)
        low, below = edge, counts[edge]
    return low


def _config(folder: str, cameras: int, bus: str, database: str, options: argparse.Namespace) -> str:
    text = (
        f"data_dir = {json.dumps(folder)}\n[bus]\nurl = {json.dumps(bus)}\n"
        f"[database]\nurl = {json.dumps(database)}\n[api]\nport = 0\n"
        f'[inference]\npreset = "{options.preset}"\n'
    )
    for number, video in enumerate(options.video):
        url = json.dumps(os.path.realpath(video))
        text += f"[sources.film{number}]\nurl = {url}\nloop = true\n"
    for number in range(cameras):
        text += f'[cameras.c{number}]\nsource = "film{number % len(options.video)}"\n'
    return text


def _start(
    name: str, config: Path, models: Path | None
) -> tuple[str, int, subprocess.Popen[bytes]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    environment = os.environ | {"POSEWIRE_TELEMETRY__METRICS_PORT": str(port)}
    if models is not None:
        environment["POSEWIRE_MODELS_DIR"] = str(models)
    process = subprocess.Popen(
        [sys.executable, "-m", "posewire", "run", name, "--config", str(config)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return name, port, process


async def _until_ready(running: list[tuple[str, int, subprocess.Popen[bytes]]]) -> None:
    deadline = time.monotonic() + _READY_S
    for name, port, process in running:
        while name != "api" and not _is_ready(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{name} does not start; run it by hand to see why")
            await asyncio.sleep(0.2)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def _look(
    running: list[tuple[str, int, subprocess.Popen[bytes]]], servers: dict[str, int | None]
) -> Snapshot:
    found = Snapshot(time.monotonic())
    for name, port, process in running:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended with {process.returncode}; run it by hand to see why")
        _add_process(found, name, process.pid)
        if name != "api":  # its port is not known, and nothing of it is asked here
            _add_metrics(found, port)
    for name, pid in servers.items():
        if pid is not None:
            _add_process(found, name, pid)
    return found


def _add_process(found: Snapshot, name: str, pid: int) -> None:
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        found.cpu_s[name] += times.user + times.system
        found.memory[name] += one.memory_info().rss


def _add_metrics(found: Snapshot, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "posewire_latency_seconds_bucket":
                found.buckets[float(sample.labels["le"])] += sample.value
            else:
                found.sums[sample.name] += sample.value


if __name__ == "__main__":
    main()
