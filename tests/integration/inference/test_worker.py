"""The inference worker on the in-memory bus: order, no loss, live skipping."""

from __future__ import annotations

import asyncio
import math
import random

import msgspec
import pytest
import redis.asyncio as aioredis

from posewire.inference.finder import Prior
from posewire.inference.service import serve
from posewire.inference.watch import Findings
from posewire.shared.bus import Bus, Lease, RedisBus, keys
from posewire.shared.messages import (
    FrameHeader,
    Person,
    Policy,
    PoseResult,
    Progress,
    SessionEnd,
    encode,
)
from posewire.shared.settings import Settings
from posewire.shared.worker import run_cameras
from tests.memory_bus import MemoryBus, hold
from tests.pictures import declaring, grey_jpeg

FRAMES = keys.frames("door")
POSES = keys.poses("door")


class Examiner:
    """Finds as many people as the byte after the picture says, after a while."""

    def __init__(self, most_s: float = 0.01) -> None:
        self.most_s = most_s
        self.at_once = 0
        self.most_at_once = 0

    async def prepare(self, jpeg: bytes, t: float, before_t: float | None) -> int | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(random.uniform(0, self.most_s))
        self.at_once -= 1
        return jpeg[-1]

    async def examine(self, prepared: int, prior: Prior | None) -> Findings:
        await asyncio.sleep(random.uniform(0, self.most_s))
        known = 0 if prior is None else round(prior.persons[0].score)
        # The score tells how many frames were examined one after the other.
        someone = Person(box=(0, 0, 1, 1), score=known + 1)
        return Findings((someone,) * (prepared + 1), None, None, 1.0)


@pytest.fixture
def settings() -> Settings:
    return Settings(cameras={"door": {"source": "demo"}})


def header(seq: int, policy: Policy = "lossless", session: str = "s") -> FrameHeader:
    return FrameHeader(
        camera="door", session=session, seq=seq, t=seq / 10, captured_at=seq / 10,
        width=64, height=48, source="demo", policy=policy,
    )  # fmt: skip


def picture(people: int) -> bytes:
    """Return a picture for ``Examiner``."""
    return grey_jpeg() + bytes([people])


async def put(bus: Bus, seqs: range, policy: Policy = "lossless") -> None:
    for seq in seqs:
        await bus.publish(FRAMES, header(seq, policy), maxlen=1000, payload=picture(seq % 5))


async def results(bus: Bus) -> list[PoseResult]:
    entries = await bus.reader(POSES).read(count=1000, block_s=0.001)
    return [entry.message for entry in entries if isinstance(entry.message, PoseResult)]


async def until(bus: Bus, seq: int) -> None:
    for _ in range(2000):
        last = await bus.last(POSES)
        if last and isinstance(last.message, PoseResult) and last.message.frame.seq >= seq:
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"frame {seq} did not come within 10 s")


class Running:
    """The worker as a task, stopped on exit."""

    def __init__(self, settings: Settings, bus: Bus, examiner: Examiner) -> None:
        def held(name: str) -> Lease:
            return bus.lease(keys.lease(name, "inference"), ttl_s=settings.bus.lease_s)

        self._main = run_cameras(
            ["door"], lambda name: serve(name, settings, bus, examiner, held(name))
        )

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._main)

    async def __aexit__(self, *_details: object) -> None:
        assert not self._task.done()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_lossless_frames_come_out_in_order_several_at_once(settings: Settings) -> None:
    bus, examiner = MemoryBus(), Examiner()
    await put(bus, range(100))
    async with Running(settings, bus, examiner):
        await until(bus, 99)
    found = await results(bus)
    assert [r.frame.seq for r in found] == list(range(100))
    assert [len(r.persons) for r in found] == [seq % 5 + 1 for seq in range(100)]
    assert [r.persons[0].score for r in found] == list(range(1, 101))
    assert 1 < examiner.most_at_once <= settings.inference.in_flight


async def test_live_takes_the_newest_and_counts_the_rest(settings: Settings) -> None:
    bus = MemoryBus()
    async with Running(settings, bus, Examiner(most_s=0.1)):
        for seq in range(60):
            await put(bus, range(seq, seq + 1), "live")
            await asyncio.sleep(0.005)
        await until(bus, 59)
    found = await results(bus)
    seqs = [r.frame.seq for r in found]
    assert seqs == sorted(set(seqs))
    assert len(seqs) < 40
    assert sum(r.skipped for r in found) + len(seqs) == 60


async def test_the_end_of_a_session_follows_its_frames(settings: Settings) -> None:
    bus = MemoryBus()
    await put(bus, range(10))
    end = SessionEnd(camera="door", session="s", frames=10, t=0.9, captured_at=0.9)
    end_id = await bus.publish(FRAMES, end, maxlen=1000)
    await bus.publish(FRAMES, header(0, session="next"), maxlen=1000, payload=picture(1))
    async with Running(settings, bus, Examiner()):
        for _ in range(500):
            if await bus.length(POSES) == 12:
                break
            await asyncio.sleep(0.01)
    entries = await bus.reader(POSES).read(count=1000)
    kinds = [type(entry.message) for entry in entries]
    assert kinds == [PoseResult] * 10 + [SessionEnd, PoseResult]
    assert isinstance(entries[10].message, SessionEnd)
    assert entries[10].message.frame_id == end_id


async def test_a_new_worker_goes_on_after_what_was_published(settings: Settings) -> None:
    bus = MemoryBus()
    await put(bus, range(40))
    for stop_at in (10, 25, 39):
        async with Running(settings, bus, Examiner()):
            await until(bus, stop_at)
    found = await results(bus)
    assert [r.frame.seq for r in found] == list(range(40))
    assert [r.persons[0].score for r in found] == list(range(1, 41)), "lost who was there"


async def test_a_new_worker_goes_on_from_the_trackers_commit_if_the_bus_has_lost_all(
    settings: Settings,
) -> None:
    bus = MemoryBus()
    await put(bus, range(7, 9))
    seen = (Person(box=(0, 0, 1, 1), score=7),)
    progress = Progress(camera="door", session="s", seq=6, t=0.6, persons=seen)
    await bus.put(keys.progress("door"), progress)
    async with Running(settings, bus, Examiner()):
        await until(bus, 8)
    assert [r.persons[0].score for r in await results(bus)] == [8, 9]


@pytest.mark.parametrize("keep_data", [True, False])
async def test_a_restarted_bus_loses_no_frame(settings: Settings, keep_data: bool) -> None:
    bus = MemoryBus()
    await put(bus, range(20))
    seen: set[int] = set()
    async with Running(settings, bus, Examiner()):
        await until(bus, 10)
        seen |= {r.frame.seq for r in await results(bus)}
        bus.away = True
        await asyncio.sleep(0.3)
        bus.restart(keep_data=keep_data)
        # As capture does: what was not told as committed comes again.
        await put(bus, range(max(seen) + 1 if not keep_data else 20, 30))
        await until(bus, 29)
    seen |= {r.frame.seq for r in await results(bus)}
    assert seen == set(range(30))


async def test_junk_and_pictures_that_are_none_do_not_stop_it(settings: Settings) -> None:
    bus = MemoryBus()
    await bus.inject(FRAMES, b"junk")
    await put(bus, range(3))
    await bus.inject(FRAMES, b"\x82\xa4type\xa6future\xa1v\x63")
    await bus.publish(FRAMES, header(3), maxlen=100)  # without a picture
    await put(bus, range(4, 6))
    async with Running(settings, bus, Examiner()):
        await until(bus, 5)
    found = await results(bus)
    assert [r.frame.seq for r in found] == list(range(6))
    errors = [r.error for r in found]
    assert errors[3] is not None
    assert "not a picture" in errors[3]
    assert errors.count(None) == 5
    assert [r.persons[0].score for r in found if not r.error] == [1, 2, 3, 1, 2]


async def test_a_size_that_asks_for_gigabytes_is_refused_unread(settings: Settings) -> None:
    """A header may declare what it likes; memory is for what was announced and is allowed."""
    bus, examiner = MemoryBus(), Examiner()
    await put(bus, range(1))
    await bus.publish(FRAMES, header(1), maxlen=99, payload=declaring(picture(1), 30_000, 30_000))
    await bus.publish(FRAMES, header(2), maxlen=99, payload=declaring(picture(1), 640, 480))
    await put(bus, range(3, 4))
    async with Running(settings, bus, examiner):
        await until(bus, 3)
    errors = [r.error for r in await results(bus)]
    assert errors[0] is errors[3] is None
    assert "30000x30000; at most 7680" in str(errors[1])
    assert "640x480, announced were 64x48" in str(errors[2])


async def test_a_frame_that_breaks_the_examination_is_passed_over(settings: Settings) -> None:
    class Fragile(Examiner):
        async def examine(self, prepared: int, prior: Prior | None) -> Findings:
            if prepared == 3:
                raise ZeroDivisionError("a network saw nothing like it before")
            return await super().examine(prepared, prior)

    bus = MemoryBus()
    await put(bus, range(8))
    async with Running(settings, bus, Fragile()):
        await until(bus, 7)
    errors = [r.error for r in await results(bus)]
    assert [error is None for error in errors] == [n != 3 for n in range(8)]
    assert "ZeroDivisionError: a network saw nothing like it" in str(errors[3])


async def test_what_was_examined_without_the_lease_is_not_published(
    settings: Settings, valkey_url: str
) -> None:
    """Another worker has the camera by the time that the frame has been examined."""
    bus, other_bus = RedisBus(valkey_url), RedisBus(valkey_url)
    raw = aioredis.Redis.from_url(valkey_url)
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Examiner):
        async def examine(self, prepared: int, prior: Prior | None) -> Findings:
            begun.set()
            await go_on.wait()
            return await super().examine(prepared, prior)

    await put(bus, range(1))
    async with Running(settings, bus, Slow()):
        await begun.wait()
        await raw.delete(keys.lease("door", "inference"))  # as when it runs out
        other = await hold(other_bus, "door", "inference")
        go_on.set()
        await asyncio.sleep(0.3)
        assert await results(bus) == []
        await other.release()
        await until(bus, 0)
    assert {r.term for r in await results(bus)} == {3}
    for connection in (bus, other_bus):
        await connection.close()
    await raw.aclose()


async def test_poisonous_frames_of_one_camera(settings: Settings, valkey_url: str) -> None:
    """What does not fit is passed over, and the camera goes on; on a real server."""
    bus, raw = RedisBus(valkey_url), aioredis.Redis.from_url(valkey_url)
    for seq, (field, value) in enumerate(
        [("t", math.nan), ("session", "a\0"), ("width", 0), ("seq", 2**31), ("policy", "maybe")]
    ):
        await put(bus, range(seq, seq + 1))
        fields = msgspec.msgpack.decode(encode(header(99)))
        poison = msgspec.msgpack.encode({**fields, field: value})
        await raw.xadd(FRAMES, {"m": poison, "j": picture(1)})
    await put(bus, range(5, 6))
    for _start in range(2):  # and again after a restart
        async with Running(settings, bus, Examiner()):
            await until(bus, 5)
    assert [r.frame.seq for r in await results(bus)] == list(range(6))
    await bus.close()
    await raw.aclose()
