"""How much of a core of the bus's server one camera takes: so many cameras fit one shard.

    python -m bench.bus --video V [--cameras 20] [--people 3] [--seconds 20] [--json]

For every camera, the calls that capture, inference, tracker and a viewer's gateway make are made at
10 frames/s, through the real bus: its leases, scripts and blocking reads, with the video's own
JPEGs. No picture is examined. What is counted is the servers' CPU time per frame, so other load on
the machine, or a rate that is not reached, does not bend it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import psutil

from posewire.launcher.embedded import EmbeddedValkey
from posewire.shared.bus import RedisBus, keys
from posewire.shared.messages import (
    FrameHeader,
    Message,
    Person,
    PoseResult,
    Progress,
    TrackedPerson,
    TrackUpdate,
)
from posewire.shared.settings import BusSettings
from posewire.shared.tasks import cancel

_RATE_S = 0.1
_PERSON = Person(
    box=(0.4, 0.3, 0.5, 0.9), score=0.9, keypoints=((0.45, 0.5, 0.9),) * 18, appearance=bytes(192)
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--cameras", type=int, default=20)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    jpegs = _jpegs(options.video)
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(
            measure(Path(folder), jpegs, options.cameras, options.people, options.seconds)
        )
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:<28} {value}")


async def measure(
    folder: Path, jpegs: list[bytes], cameras: int, people: int, seconds: float
) -> dict[str, Any]:
    """Return what a camera costs the server."""
    server = EmbeddedValkey(folder / "valkey")
    await server.start()
    bus = RedisBus(server.url)
    frames = itertools.count()
    tasks = [
        asyncio.create_task(work)
        for number in range(cameras)
        for work in _camera(bus, f"camera{number}", jpegs, people, lambda: next(frames))
    ]
    try:
        process = psutil.Process(server.pid)
        await asyncio.sleep(3)
        began, cpu_s, first = time.monotonic(), _cpu_s(process), next(frames)
        await asyncio.sleep(seconds)
        took_s, cpu_s, count = (
            time.monotonic() - began, _cpu_s(process) - cpu_s, next(frames) - first - 1,
        )  # fmt: skip
        memory = await bus.memory_bytes()
        for task in tasks:
            if task.done():
                task.result()  # raises what has ended it: the figures would be of less than said
    finally:
        await cancel(tasks)
        await bus.close()
        await server.stop()
    per_frame_s = cpu_s / count
    return {
        "cameras": cameras,
        "people in each picture": people,
        "JPEG, kB": round(sum(map(len, jpegs)) / len(jpegs) / 1000, 1),
        "frames/s of each": round(count / took_s / cameras, 2),
        "server, us of CPU a frame": round(per_frame_s * 1e6),
        "server, % of a core a camera": round(per_frame_s / _RATE_S * 100, 3),
        "server, MB a camera": round((memory or 0) / cameras / 1e6, 1),
        "cameras that fill a core": int(_RATE_S / per_frame_s),
    }


def _camera(
    bus: RedisBus, name: str, jpegs: list[bytes], people: int, count: Callable[[], int]
) -> list[Any]:
    """Return the work of the four services on one camera."""
    settings = BusSettings()
    leases = {
        role: bus.lease(keys.lease(name, role), ttl_s=settings.lease_s)
        for role in ("capture", "inference", "tracker")
    }

    async def capture() -> None:
        await leases["capture"].acquire()
        due = time.monotonic()
        for seq in itertools.count():
            header = FrameHeader(
                camera=name, session="s", seq=seq, t=seq * _RATE_S, captured_at=time.time(),
                width=768, height=432, source="video", policy="live", fps=1 / _RATE_S,
            )  # fmt: skip
            await leases["capture"].publish(
                keys.frames(name), header, maxlen=settings.frames_maxlen,
                payload=jpegs[seq % len(jpegs)],
            )  # fmt: skip
            count()
            due = max(due + _RATE_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def inference() -> None:
        await leases["inference"].acquire()
        reader = bus.reader(keys.frames(name))
        while True:
            entry = await reader.newest(block_s=1)
            if entry is not None and isinstance(entry.message, FrameHeader):
                result = PoseResult(
                    frame=entry.message, frame_id=entry.id, persons=(_PERSON,) * people
                )
                await publish("inference", keys.poses(name), result)

    async def tracker() -> None:
        await leases["tracker"].acquire()
        reader = bus.reader(keys.poses(name))
        while True:
            for entry in await reader.read(count=64, block_s=1):
                if not isinstance(entry.message, PoseResult):
                    continue
                frame = entry.message.frame
                await leases["tracker"].put(
                    keys.progress(name), Progress(camera=name, session="s", seq=frame.seq)
                )
                persons = tuple(_tracked(number) for number in range(people))
                update = TrackUpdate(
                    frame=frame, frame_id=entry.message.frame_id, persons=persons, people=people
                )
                await publish("tracker", keys.tracks(name), update)

    async def viewer() -> None:
        reader = bus.reader(keys.tracks(name))
        while True:
            for entry in await reader.read(count=64, block_s=1):
                if isinstance(entry.message, TrackUpdate):
                    await bus.entry(keys.frames(name), entry.message.frame_id)

    async def publish(role: str, key: str, message: Message) -> None:
        await leases[role].publish(key, message, maxlen=settings.results_maxlen)

    return [capture(), inference(), tracker(), viewer()]


def _tracked(number: int) -> TrackedPerson:
    return TrackedPerson(
        track=number, visit=number, box=_PERSON.box, score=0.9, keypoints=_PERSON.keypoints
    )


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _jpegs(video: Path) -> list[bytes]:
    """Return up to 50 pictures of a video at 768x432, quality 90 as capture writes them."""
    capture = cv2.VideoCapture(str(video))
    found: list[bytes] = []
    while len(found) < 50:
        there, image = capture.read()
        if not there:
            break
        small = cv2.resize(image, (768, 432))
        found.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    if not found:
        raise SystemExit(f"{video} has no picture that can be read")
    return found


if __name__ == "__main__":
    main()
