"""Whether memory and handles stay what they are while the whole system runs for long.

    python -m bench.soak [--minutes 10] [--policy live|lossless] [--video V ...] [--json]

Runs ``posewire up`` with its embedded servers on clips that are played again and again, looks at
the page's API meanwhile as a browser does, and samples each process. After the warm-up, the first
quarter of the samples is compared with the last. Ends with 1 where the memory of a process has
grown by 2 % or more, where it holds more handles, or where it was started again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from posewire.launcher import runtime
from posewire.launcher.commands.run import SERVICES

MOST_GROWTH = 0.02
_START_S = 120.0
_PATHS = ("/api/v1/status", "/api/v1/cameras", "/api/v1/events", "/metrics")


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at a moment; for Postgres, all its processes together."""

    at_s: float
    pid: int
    rss: int
    """Bytes resident, with what is shared with others."""
    own: int
    """Bytes resident and not shared: what a leak makes grow."""
    handles: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What has become of a process after the warm-up; medians of the first and last quarter."""

    name: str
    rss_mb: float
    own_mb: tuple[float, float]
    growth: float
    handles: tuple[int, int]
    restarts: int
    own_mb_by_minute: list[float]
    """Medians from the start on, the warm-up included: whether growth comes to an end."""

    @property
    def ok(self) -> bool:
        """Whether this may go on for ever."""
        steady = self.handles[1] <= self.handles[0] and self.restarts == 0
        return steady and self.growth < MOST_GROWTH


def judge(name: str, all_samples: Sequence[Sample], warm_up_s: float = 0.0) -> Finding:
    """Compare the first and the last quarter of what comes after the warm-up."""
    samples = [sample for sample in all_samples if sample.at_s >= warm_up_s]
    quarter = len(samples) // 4
    first, last = samples[:quarter], samples[-quarter:]
    own = [statistics.median(sample.own for sample in part) for part in (first, last)]
    handles = [statistics.median_low([sample.handles for sample in part]) for part in (first, last)]
    return Finding(
        name,
        rss_mb=round(statistics.median(sample.rss for sample in last) / 1e6, 1),
        own_mb=(round(own[0] / 1e6, 1), round(own[1] / 1e6, 1)),
        growth=round(own[1] / own[0] - 1, 4),
        handles=(handles[0], handles[1]),
        restarts=len({sample.pid for sample in all_samples}) - 1,
        own_mb_by_minute=_by_minute(all_samples),
    )


def _by_minute(samples: Sequence[Sample]) -> list[float]:
    minutes: dict[int, list[int]] = {}
    for sample in samples:
        minutes.setdefault(int(sample.at_s // 60), []).append(sample.own)
    return [round(statistics.median(own) / 1e6, 1) for own in minutes.values()]


def main() -> int:
    """Run, print a table or JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, help="after the warm-up")
    parser.add_argument("--warm-up", type=float, default=2, help="minutes")
    parser.add_argument("--every", type=float, default=5, help="seconds between samples")
    parser.add_argument("--policy", choices=["live", "lossless"], default="live")
    parser.add_argument("--video", nargs="+", default=["clip:people"])
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.minutes * 60 < 8 * options.every:
        parser.error("--minutes is too short for so few samples")
    with tempfile.TemporaryDirectory(prefix="posewire-soak-") as folder:
        samples = run(Path(folder), options)
    findings = [judge(name, found, 60 * options.warm_up) for name, found in samples.items()]
    if options.json:
        print(json.dumps({"options": vars(options), "processes": [asdict(f) for f in findings]}))
    else:
        print(table(findings))
    return 0 if all(finding.ok for finding in findings) else 1


def table(findings: Sequence[Finding]) -> str:
    """Return the findings for people."""
    lines = [f"{'process':10} {'RSS MB':>8} {'own MB':>17} {'growth':>8} {'handles':>11}"]
    for f in findings:
        own = f"{f.own_mb[0]:.1f} -> {f.own_mb[1]:.1f}"
        handles = f"{f.handles[0]} -> {f.handles[1]}"
        verdict = "" if f.ok else f"  not steady ({f.restarts} restarts)"
        lines.append(
            f"{f.name:10} {f.rss_mb:8.1f} {own:>17} {f.growth:+8.2%} {handles:>11}{verdict}"
        )
    return "\n".join(lines)


def run(folder: Path, options: argparse.Namespace) -> dict[str, list[Sample]]:
    """Run the system and return the samples by process."""
    data = folder / "data"
    config = folder / "posewire.toml"
    config.write_text(_config(data, options))
    samples: dict[str, list[Sample]] = {}
    with _system(config, folder) as up:
        page = _page(up, data)
        started = time.monotonic()
        while (at_s := time.monotonic() - started) < 60 * (options.warm_up + options.minutes):
            _visit(page)
            for name, sample in _look(up.pid, at_s):
                samples.setdefault(name, []).append(sample)
            time.sleep(options.every)
        if up.poll() is not None:
            raise SystemExit(f"posewire up ended with {up.returncode}")
    return samples


def _config(data: Path, options: argparse.Namespace) -> str:
    text = (
        f"data_dir = {json.dumps(str(data))}\n[api]\nport = 0\n"
        f"[inference]\npreset = {json.dumps(options.preset)}\n[telemetry]\nmetrics_port = 0\n"
    )
    for number, video in enumerate(options.video):
        url = video if ":" in video else os.path.realpath(video)
        text += f"[sources.film{number}]\nurl = {json.dumps(url)}\nloop = true\n"
    for number in range(options.cameras):
        film = f"film{number % len(options.video)}"
        text += f'[cameras.c{number}]\nsource = "{film}"\npolicy = "{options.policy}"\n'
    return text


@contextlib.contextmanager
def _system(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "posewire", "up", "--config", str(config)],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield up
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(30)


def _page(up: subprocess.Popen[bytes], data: Path) -> str:
    deadline = time.monotonic() + _START_S
    while up.poll() is None and time.monotonic() < deadline:
        if (running := runtime.find(data)) is not None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{running.page_url}/readyz", timeout=5).close()
                return running.page_url
        time.sleep(0.5)
    raise SystemExit("posewire up does not start; run it by hand to see why")


def _visit(page: str) -> None:
    """Ask what a browser asks; what fails now may do so in a visit, too."""
    for path in _PATHS:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(page + path, timeout=10) as answer,
        ):
            answer.read()


def _look(up: int, at_s: float) -> Iterator[tuple[str, Sample]]:
    parent = psutil.Process(up)
    yield "up", _sample([parent], at_s)
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if (name := _name(child.cmdline())) is not None:
                # Autovacuum's workers come and go; the others stay.
                family = [child, *child.children(recursive=True)]
                yield name, _sample([one for one in family if not _passing(one)], at_s)


def _name(command: Sequence[str]) -> str | None:
    if not command:
        return None
    for server in ("valkey", "redis", "postgres"):
        if Path(command[0]).name.startswith(server):
            return server
    return next((name for name in SERVICES if name in command), None)


def _passing(process: psutil.Process) -> bool:
    return "autovacuum worker" in " ".join(process.cmdline())


def _sample(processes: Sequence[psutil.Process], at_s: float) -> Sample:
    memory = [process.memory_info() for process in processes]
    return Sample(
        at_s,
        processes[0].pid,
        rss=sum(one.rss for one in memory),
        own=sum(one.rss - one.shared for one in memory),
        handles=sum(process.num_fds() for process in processes),
    )


if __name__ == "__main__":
    sys.exit(main())
