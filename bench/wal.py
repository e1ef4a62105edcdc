"""How much write-ahead log the tracker makes in a day, per camera and by people in view.

    python -m bench.wal [--people 0 1 4] [--seconds 300] [--fps 10] [--json]

The real tracker follows one live camera on a real Valkey and a real Postgres, in real time. The
people are made up: they walk to and fro with 18 noisy keypoints and an appearance each, in the form
in which inference publishes them. Postgres writes whole pages after each of its own checkpoints,
which are five minutes apart by default, so the run begins with one, and 300 s hold a fair share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from posewire.inference.appearance import SIZE
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
from posewire.shared.bus import RedisBus, keys
from posewire.shared.messages import FrameHeader, Person, PoseResult
from posewire.shared.settings import Settings
from posewire.shared.skeleton import KEYPOINTS
from posewire.tracker import service

_DAY_S = 86_400
_WARM_UP_S = 5.0
_WIDTH, _HEIGHT = 768, 432


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--fps", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for people in options.people:
        results.append(asyncio.run(measure(people, options.fps, options.seconds)))
        if not options.json:
            print(line(results[-1]), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


def line(result: dict[str, Any]) -> str:
    """Return a result for people."""
    return (
        f"{result['people']} people at {result['fps']:.0f} frames/s: "
        f"{result['megabytes_a_day']:7.1f} MB of WAL a day, "
        f"{result['commits_per_s']:.2f} commits/s of {result['bytes_per_commit']} bytes, "
        f"state {result['state_bytes']} bytes, "
        f"{result['page_images']} page images"
    )


async def measure(people: int, fps: float, seconds: float) -> dict[str, Any]:
    """Run the tracker with so many people in view; returns what was written."""
    with tempfile.TemporaryDirectory() as folder:
        valkey, postgres = EmbeddedValkey(Path(folder) / "v"), EmbeddedPostgres(Path(folder) / "p")
        await valkey.start()
        await postgres.start()
        settings = Settings.model_validate(
            {
                "bus": {"url": valkey.url},
                "database": {"url": postgres.url},
                "cameras": {"door": {"source": "demo"}},
            }
        )
        buses = RedisBus(valkey.url), RedisBus(valkey.url)
        tasks = [
            asyncio.create_task(service.run(settings, buses[0])),
            asyncio.create_task(_play(buses[1], people, fps)),
        ]
        try:
            await asyncio.sleep(_WARM_UP_S)
            connection = await asyncpg.connect(postgres.url)
            await connection.execute("CHECKPOINT")
            before = await _look(connection)
            await asyncio.sleep(seconds)
            after = await _look(connection)
            await connection.close()
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for bus in buses:
                await bus.close()
            await postgres.stop()
            await valkey.stop()
    for fault in ended:
        if isinstance(fault, Exception):
            raise fault
    return summary(before, after) | {"people": people, "fps": fps}


def summary(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return rates between two looks."""
    seconds = after["at"] - before["at"]
    written = int(after["lsn"] - before["lsn"])
    commits = after["version"] - before["version"]
    return {
        "seconds": round(seconds, 1),
        "megabytes_a_day": round(written / seconds * _DAY_S / 1e6, 1),
        "commits_per_s": round(commits / seconds, 2),
        "bytes_per_commit": round(written / max(commits, 1)),
        "state_bytes": after["state_bytes"],
        "page_images": after["page_images"] - before["page_images"],
    }


async def _look(connection: asyncpg.Connection) -> dict[str, Any]:
    row = await connection.fetchrow(
        "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS lsn, version,"
        " length(state) AS state_bytes, (SELECT wal_fpi FROM pg_stat_wal) AS page_images"
        " FROM checkpoint"
    )
    assert row is not None, "the tracker has committed nothing; run it by hand to see why"
    return dict(row) | {"at": time.monotonic()}


async def _play(bus: RedisBus, people: int, fps: float) -> None:
    """Publish what inference would, frame by frame, in real time."""
    random = np.random.default_rng(1)
    looks = random.integers(0, 256, (people, SIZE))
    started, loop = time.time(), asyncio.get_running_loop()
    begun, seq = loop.time(), 0
    while True:
        t = seq / fps
        frame = FrameHeader(
            camera="door", session="6f0c2b1d5e7a4c3b", seq=seq, t=t, captured_at=started + t,
            width=_WIDTH, height=_HEIGHT, source="demo", fps=fps,
        )  # fmt: skip
        persons = tuple(person(n, people, t, looks[n], random) for n in range(people))
        entry = f"{round((started + t) * 1000)}-0"
        result = PoseResult(frame=frame, frame_id=entry, persons=persons)
        await bus.publish(keys.poses("door"), result, maxlen=1024)
        seq += 1
        await asyncio.sleep(max(begun + seq / fps - loop.time(), 0))


def person(number: int, people: int, t: float, look: Any, random: np.random.Generator) -> Person:
    """Return somebody who walks to and fro in a lane of their own."""
    middle = (number + 0.5 + 0.3 * np.sin(0.5 * t + number)) / people
    x0, y0, width, height = middle - 0.05, 0.3, 0.1, 0.6
    box = np.array([x0, y0, x0 + width, y0 + height]) + random.normal(0, 0.003, 4)
    points = np.linspace([x0, y0], [x0 + width, y0 + height], len(KEYPOINTS))
    points = (points + random.normal(0, 0.003, points.shape)).clip(0, 1).round(5)
    scores = random.uniform(0.3, 0.95, len(KEYPOINTS)).round(5)
    return Person(
        box=tuple(box.clip(0, 1).round(5).tolist()),
        score=round(float(random.uniform(0.8, 0.95)), 4),
        keypoints=tuple(
            (x, y, score) for (x, y), score in zip(points.tolist(), scores.tolist(), strict=True)
        ),
        appearance=(look + random.integers(-6, 7, SIZE)).clip(0, 255).astype(np.uint8).tobytes(),
    )


if __name__ == "__main__":
    main()
