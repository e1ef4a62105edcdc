"""Messages that no program of ours writes: one camera's tracker passes them over, the other's
does not notice, and after a restart they stay where they are."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest
import redis.asyncio as aioredis
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from posewire.shared.bus import RedisBus, keys
from posewire.shared.messages import PoseResult, Progress, SessionEnd, encode
from posewire.shared.settings import DatabaseSettings, Settings
from posewire.tracker import tracking
from posewire.tracker.service import run
from tests.memory_bus import hold
from tests.unit.tracker.scenes import end_of, events_of, results, walk

SCENE = results([walk(1, -0.1, 1.1), walk(3, 1.1, -0.1, top=0.45)], 11)
CAMERAS = ("door", "hall")
POISON: list[tuple[str, Any]] = [
    ("t", math.nan),
    ("captured_at", math.nan),
    ("captured_at", 1e300),
    ("session", "a\0b"),
    ("width", 0),
    ("seq", 2**31),
    ("seq", 2**63),
]


@pytest.fixture
def settings(postgres_url: str, valkey_url: str) -> Settings:
    cameras = {name: {"source": "demo", "policy": "lossless"} for name in CAMERAS}
    return Settings(
        bus={"url": valkey_url, "lease_s": 1},
        database=DatabaseSettings(url=postgres_url),
        cameras=cameras,
        tracker={"commit_every_s": 0.05},
    )


@pytest.fixture
async def bus(valkey_url: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(valkey_url)
    yield bus
    await bus.close()


class Feed:
    """Writes to both cameras' poses, as inference does, and as a foreign program could."""

    def __init__(self, bus: RedisBus) -> None:
        self._bus = bus
        self._raw = aioredis.Redis.from_url(bus.url)

    async def scene(self, seqs: range, *, end: bool = False) -> None:
        for camera in CAMERAS:
            for result in SCENE[seqs.start : seqs.stop]:
                frame = msgspec.structs.replace(result.frame, camera=camera, session=camera)
                await self.say(camera, msgspec.structs.replace(result, frame=frame))
            if end:
                await self.say(
                    camera, msgspec.structs.replace(end_of(SCENE), camera=camera, session=camera)
                )

    async def say(self, camera: str, message: PoseResult | SessionEnd) -> None:
        await self._bus.publish(keys.poses(camera), message, maxlen=1000)

    async def inject(self, camera: str, fields: object) -> None:
        await self._raw.xadd(keys.poses(camera), {"m": msgspec.msgpack.encode(fields)})

    async def close(self) -> None:
        await self._raw.aclose()


@pytest.fixture
async def feed(bus: RedisBus) -> AsyncIterator[Feed]:
    feed = Feed(bus)
    yield feed
    await feed.close()


async def until_committed(service: asyncio.Task[None], bus: RedisBus, seq: int) -> None:
    """Wait until both cameras are committed up to a frame, or their end for ``seq`` -1."""

    async def there(camera: str) -> bool:
        progress = await bus.get(keys.progress(camera))
        if not isinstance(progress, Progress) or progress.session != camera:
            return False
        return progress.ended if seq < 0 else progress.seq >= seq

    for _ in range(1500):
        if service.done():
            service.result()
        if all([await there(camera) for camera in CAMERAS]):
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"frame {seq} was not committed within 15 s")


async def stop(service: asyncio.Task[None]) -> None:
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)


async def events(settings: Settings, camera: str) -> list[tuple[str, int]]:
    connection = await asyncpg.connect(settings.database.url)
    try:
        rows = await connection.fetch(
            "SELECT kind, seq FROM event WHERE camera = $1 ORDER BY ord", camera
        )
    finally:
        await connection.close()
    return [(row["kind"], row["seq"]) for row in rows]


def failures(camera: str) -> float:
    return REGISTRY.get_sample_value("posewire_worker_failures_total", {"camera": camera}) or 0


EXPECTED = [(event.kind, event.seq) for event in events_of(SCENE)]


async def test_what_does_not_fit_is_passed_over(
    settings: Settings, bus: RedisBus, feed: Feed
) -> None:
    """It died 22 times in two minutes by these, and the other camera had no tracks meanwhile."""
    service = asyncio.create_task(run(settings, bus))
    try:
        for number, (field, value) in enumerate(POISON):
            step = 10
            await feed.scene(range(number * step, (number + 1) * step))
            whole = msgspec.msgpack.decode(encode(SCENE[number * step]))
            whole["frame"] |= {"camera": "door", "session": "door", "seq": 9999, field: value}
            await feed.inject("door", whole)
        limbless = msgspec.msgpack.decode(encode(SCENE[5]))
        limbless["frame"] |= {"camera": "door", "session": "door", "seq": 9999}
        limbless["persons"] = [{"box": [0, 0, 1, 1], "score": 1.0, "keypoints": [[0, 0, 1.0]] * 5}]
        await feed.inject("door", limbless)
        await feed.scene(range(len(POISON) * 10, len(SCENE)), end=True)
        await until_committed(service, bus, -1)
    finally:
        await stop(service)
    for camera in CAMERAS:
        assert await events(settings, camera) == EXPECTED


async def test_what_breaks_the_tracker_is_passed_over_for_good(
    settings: Settings, bus: RedisBus, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of our own that one message brings to light: here, half way through a frame."""
    whole = tracking.CameraTracker._update
    broken = 0

    def breaks(self: tracking.CameraTracker, result: PoseResult) -> object:
        nonlocal broken
        update = whole(self, result)
        if (result.frame.camera, result.frame.seq, result.total_ms) == ("door", 40, 666):
            broken += 1
            raise ZeroDivisionError("nobody thought of this")
        return update

    monkeypatch.setattr(tracking.CameraTracker, "_update", breaks)
    before = failures("door")
    with capture_logs() as logs:
        service = asyncio.create_task(run(settings, bus))
        await feed.scene(range(40))
        frame = msgspec.structs.replace(SCENE[40].frame, camera="door", session="door")
        poison = msgspec.structs.replace(SCENE[40], frame=frame, total_ms=666)
        await feed.say("door", poison)
        await feed.scene(range(41, 50))
        await until_committed(service, bus, 49)
        await stop(service)
        # Another process goes on after it.
        service = asyncio.create_task(run(settings, bus))
        await feed.scene(range(50, len(SCENE)), end=True)
        await until_committed(service, bus, -1)
        await stop(service)
    assert broken == 1
    assert failures("door") - before == 1
    (line,) = (entry for entry in logs if entry["event"] == "tracker.message_failed")
    assert line["error"] == "ZeroDivisionError: nobody thought of this"
    assert await events(settings, "hall") == await events(settings, "door") == EXPECTED


async def test_late_frames_of_an_ended_session_are_dropped(
    settings: Settings, bus: RedisBus, feed: Feed
) -> None:
    """They closed the running session, and its visits were numbered from 1 again."""

    def late() -> float:
        labels = {"camera": "door"}
        return REGISTRY.get_sample_value("posewire_tracker_late_total", labels) or 0

    def of(session: str, seq: int, term: int = 1) -> PoseResult:
        frame = msgspec.structs.replace(SCENE[seq].frame, camera="door", session=session, term=term)
        return msgspec.structs.replace(SCENE[seq], frame=frame)

    before = late()
    capture = await hold(bus, "door", "capture")
    await capture.release()
    capture = await hold(bus, "door", "capture")
    assert capture.term == 2
    service = asyncio.create_task(run(settings, bus))
    for seq in range(30):
        await feed.say("door", of("early", seq))
    ended = SessionEnd(camera="door", session="early", frames=30, t=2.9, captured_at=1002.9)
    await feed.say("door", ended)
    await feed.scene(range(40))
    # The first is of a session that is over, the second of one that nobody has heard of, from a
    # capture that has lost the camera since; the third of the capture that has it.
    await feed.say("door", of("early", 31))
    await feed.scene(range(40, 50))
    await until_committed(service, bus, 49)
    await stop(service)
    service = asyncio.create_task(run(settings, bus))
    await feed.say("door", of("early", 32))
    await feed.scene(range(50, len(SCENE)), end=True)
    await until_committed(service, bus, -1)
    assert late() - before == 2
    for seq in range(3):
        await feed.say("door", of("third", seq, term=2))
    await feed.say("door", of("unheard", 7, term=1))
    await feed.say("door", of("third", 3, term=2))
    for _ in range(500):
        progress = await bus.get(keys.progress("door"))
        if isinstance(progress, Progress) and (progress.session, progress.seq) == ("third", 3):
            break
        await asyncio.sleep(0.01)
    assert late() - before == 3
    await stop(service)
    await capture.release()
    kinds = [kind for kind, _seq in await events(settings, "door")]
    assert kinds[-len(EXPECTED) :] == [kind for kind, _seq in EXPECTED]


async def test_a_bus_that_counts_terms_anew_is_followed(
    settings: Settings, bus: RedisBus, feed: Feed
) -> None:
    """A machine that was switched off has an empty bus: its capture's first term is 1 again."""
    service = asyncio.create_task(run(settings, bus))
    for seq in range(5):
        frame = msgspec.structs.replace(SCENE[seq].frame, camera="door", session="old", term=50)
        await feed.say("door", msgspec.structs.replace(SCENE[seq], frame=frame))
    capture = await hold(bus, "door", "capture")
    assert capture.term == 1
    for camera in CAMERAS:
        for result in SCENE:
            frame = msgspec.structs.replace(
                result.frame, camera=camera, session=camera, term=capture.term
            )
            await feed.say(camera, msgspec.structs.replace(result, frame=frame))
    await until_committed(service, bus, len(SCENE) - 1)
    await stop(service)
    await capture.release()
