"""The live policy's sending, over the in-memory bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from posewire.capture.live import LiveSender
from posewire.capture.session import Session
from posewire.capture.sources import Picture
from posewire.shared.bus import keys
from posewire.shared.errors import LeaseLost
from posewire.shared.messages import FrameHeader, SessionEnd
from tests.memory_bus import MemoryBus, hold


@contextlib.asynccontextmanager
async def running(sender: LiveSender) -> AsyncIterator[None]:
    task = asyncio.create_task(sender.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def messages(bus: MemoryBus, count: int) -> list[object]:
    reader, found = bus.reader(keys.frames("main")), []
    while len(found) < count:
        entries = await reader.read(block_s=2.0)
        assert entries, f"only {found}"
        found += [entry.message for entry in entries]
    return found


def frame(session: Session, index: int) -> tuple[FrameHeader, bytes]:
    picture = Picture(b"jpeg", 4, 3, index / 10, index)
    session.passed(picture)
    return session.header(picture, "live", 10.0), picture.jpeg


async def test_away_bus_costs_frames_but_no_ends() -> None:
    bus, session = MemoryBus(), Session("main", "shop")
    sender = LiveSender(await hold(bus, "main", "capture"), "main", maxlen=64)
    bus.away = True
    async with running(sender):
        for index in range(50):
            sender.frame(*frame(session, index))
            await asyncio.sleep(0)
        sender.end(session.end("failed"))
        following = Session("main", "shop")
        bus.away = False
        sender.frame(*frame(following, 0))
        reader, found = bus.reader(keys.frames("main")), []
        while not found or found[-1].session != following.id:
            for entry in await reader.read(block_s=2.0):
                assert isinstance(entry.message, (FrameHeader, SessionEnd))
                found.append(entry.message)
    ends = [m for m in found if isinstance(m, SessionEnd)]
    assert [(e.session, e.frames) for e in ends] == [(session.id, 50)]
    kept = [m.seq for m in found if isinstance(m, FrameHeader) and m.session == session.id]
    assert len(kept) <= 3
    assert kept == sorted(kept)


async def test_order_is_kept() -> None:
    bus, session = MemoryBus(), Session("main", "shop")
    sender = LiveSender(await hold(bus, "main", "capture"), "main", maxlen=64)
    async with running(sender):
        for index in range(10):
            sender.frame(*frame(session, index))
            await asyncio.sleep(0.001)
        sender.end(session.end("ended"))
        found = await messages(bus, 11)
    assert [m.seq for m in found[:10] if isinstance(m, FrameHeader)] == list(range(10))
    assert isinstance(found[10], SessionEnd)


async def test_flush_sends_the_end_and_gives_up_on_a_bus_that_is_away() -> None:
    bus, session = MemoryBus(), Session("main", "shop")
    sender = LiveSender(await hold(bus, "main", "capture"), "main", maxlen=64)
    sender.end(session.end("ended"))
    bus.away = True
    await sender.flush(0.5)
    bus.away = False
    assert await bus.last(keys.frames("main")) is None
    await sender.flush(0.5)
    last = await bus.last(keys.frames("main"))
    assert last is not None
    assert isinstance(last.message, SessionEnd)


async def test_who_has_lost_the_camera_stops_sending() -> None:
    bus, session = MemoryBus(), Session("main", "shop")
    sender = LiveSender(await hold(bus, "main", "capture", ttl_s=5), "main", maxlen=64)
    bus.advance(6)
    other = await hold(bus, "main", "capture")
    sender.frame(*frame(session, 0))
    sender.end(session.end("ended"))
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(sender.run(), 2)
    await sender.flush(0.5)
    assert await bus.last(keys.frames("main")) is None
    await other.release()
