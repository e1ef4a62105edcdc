"""Where a lossless session goes on after each kind of loss, over the in-memory bus."""

from __future__ import annotations

import asyncio

import pytest

from posewire.capture import ledger as ledgers
from posewire.capture.ledger import Ledger
from posewire.capture.session import Session
from posewire.capture.sources import Picture
from posewire.shared.bus import keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import Control, FrameHeader, Progress, SessionEnd
from tests.memory_bus import MemoryBus

FRAMES = keys.frames("main")


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "_TRACKER_S", 0.2)
    monkeypatch.setattr(ledgers, "_SETTLE_FOREIGN_S", 0.1)


async def new_ledger(bus: MemoryBus, window: int = 8) -> Ledger:
    lease = bus.lease(keys.lease("main", "capture"), ttl_s=30)
    if not await lease.acquire():  # the process before this one is gone
        bus.advance(31)
        assert await lease.acquire()
    return Ledger(bus, lease, "main", window=window, maxlen=64)


async def send(ledger: Ledger, session: Session, index: int) -> None:
    picture = Picture(b"jpeg", 4, 3, index / 10, index)
    await ledger.publish(session.header(picture, "lossless", 10.0), picture.jpeg)
    session.passed(picture)


async def begun(bus: MemoryBus, frames: int, window: int = 8) -> tuple[Ledger, Session]:
    ledger, session = await new_ledger(bus, window), Session("main", "shop")
    assert await ledger.recover("shop", None, None) is None
    ledger.begin(session)
    for index in range(frames):
        await send(ledger, session, index)
    return ledger, session


async def commit(bus: MemoryBus, session: Session, seq: int, *, ended: bool = False) -> None:
    message = Progress(camera="main", session=session.id, seq=seq, ended=ended)
    await bus.put(keys.progress("main"), message)


async def test_no_more_than_the_window_is_on_its_way(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 8)
    ninth = asyncio.create_task(send(ledger, session, 8))
    await asyncio.sleep(0.05)
    assert not ninth.done()
    assert await bus.length(FRAMES) == 8
    await commit(bus, session, 0)
    await asyncio.wait_for(ninth, 2)
    assert await bus.length(FRAMES) == 9


async def test_gaps_in_the_numbers_use_no_credit(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 1)
    await asyncio.wait_for(send(ledger, session, 500), 2)
    await asyncio.wait_for(send(ledger, session, 501), 2)


async def test_another_sessions_progress_is_no_credit(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 8)
    await commit(bus, Session("main", "shop"), 1000)
    ninth = asyncio.create_task(send(ledger, session, 8))
    await asyncio.sleep(0.05)
    assert not ninth.done()
    ninth.cancel()
    await asyncio.gather(ninth, return_exceptions=True)


async def test_a_new_process_goes_on_after_the_last_frame(bus: MemoryBus) -> None:
    _, session = await begun(bus, 5)
    await commit(bus, session, 2)
    found = await (await new_ledger(bus)).recover("shop", None, None)
    assert found is not None
    assert (found.id, found.started_at, found.next_seq, found.ended) == (
        session.id, session.started_at, 5, False,
    )  # fmt: skip


async def test_a_new_process_has_the_credit_of_the_old(bus: MemoryBus) -> None:
    _, session = await begun(bus, 8)
    ledger = await new_ledger(bus)
    found = await ledger.recover("shop", None, None)
    assert found is not None
    ninth = asyncio.create_task(send(ledger, found, 8))
    await asyncio.sleep(0.05)
    assert not ninth.done()
    await commit(bus, session, 0)
    await asyncio.wait_for(ninth, 2)


async def test_a_finished_session_is_not_played_again(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 3)
    await ledger.end(session, "ended")
    await commit(bus, session, 2, ended=True)
    found = await (await new_ledger(bus)).recover("shop", None, None)
    assert found is not None
    assert found.ended
    assert found.committed


async def test_unless_it_was_asked_for_again(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 3)
    await ledger.end(session, "ended")
    wish = Control(camera="main", action="switch_source", source="shop", requested_at=0.0)
    wish_id = await bus.publish(keys.control("main"), wish, maxlen=16)
    assert await (await new_ledger(bus)).recover("shop", None, wish_id) is None


async def test_a_session_begun_after_the_wish_goes_on(bus: MemoryBus) -> None:
    wish = Control(camera="main", action="switch_source", source="shop", requested_at=0.0)
    wish_id = await bus.publish(keys.control("main"), wish, maxlen=16)
    _, session = await begun(bus, 3)
    found = await (await new_ledger(bus)).recover("shop", None, wish_id)
    assert found is not None
    assert found.id == session.id


async def test_another_sources_session_is_ended(bus: MemoryBus) -> None:
    _, session = await begun(bus, 3)
    assert await (await new_ledger(bus)).recover("garden", None, None) is None
    last = await bus.last(FRAMES)
    assert last is not None
    assert isinstance(last.message, SessionEnd)
    assert (last.message.session, last.message.frames, last.message.reason) == (
        session.id, 3, "switched",
    )  # fmt: skip


async def test_an_empty_bus_goes_on_where_the_tracker_is(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 6)
    bus.restart(keep_data=False)
    with pytest.raises(BusUnavailable, match="another server"):
        await send(ledger, session, 6)

    async def tracker() -> None:
        await asyncio.sleep(0.05)
        await commit(bus, session, 3)

    found, _ = await asyncio.gather(ledger.recover("shop", session, None), tracker())
    assert found is session
    assert session.next_seq == 4


async def test_an_empty_bus_and_no_tracker_starts_over(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 6)
    bus.restart(keep_data=False)
    found = await ledger.recover("shop", session, None)
    assert found is session
    assert session.next_seq == 0


async def test_nothing_is_published_to_a_server_nobody_has_looked_at(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 6)
    bus.restart(keep_data=False)
    with pytest.raises(BusUnavailable):
        await send(ledger, session, 6)
    assert await bus.length(FRAMES) == 0


async def test_a_frame_that_arrived_though_the_call_failed_is_not_sent_twice(
    bus: MemoryBus,
) -> None:
    ledger, session = await begun(bus, 4)
    session.next_seq = 3  # frame 3 is in the stream, but this process never heard so
    await ledger.recover("shop", session, None)
    assert session.next_seq == 4


async def test_a_lost_end_is_said_again(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 4)
    await ledger.end(session, "ended")
    await commit(bus, session, 1)
    bus.restart(keep_data=False)
    with pytest.raises(BusUnavailable):
        await ledger.settle(session)
    await commit(bus, session, 1)
    await ledger.recover("shop", session, None)
    assert (session.next_seq, session.ended) == (2, False)


async def test_a_tracker_ahead_of_the_stream_is_caught_up_with(bus: MemoryBus) -> None:
    ledger, session = await begun(bus, 2)
    await commit(bus, session, 40)
    with pytest.raises(BusUnavailable, match="tracker has frame 40"):
        for seq in range(2, 40):  # seen when the window is full at the latest
            await send(ledger, session, seq)
    await ledger.recover("shop", session, None)
    assert session.next_seq == 41


async def test_live_sessions_are_not_resumed(bus: MemoryBus) -> None:
    session = Session("main", "shop")
    header = session.header(Picture(b"jpeg", 4, 3, 0.0, 0), "live", 10.0)
    await bus.publish(FRAMES, header, maxlen=64, payload=b"jpeg")
    assert await (await new_ledger(bus)).recover("shop", None, None) is None
    last = await bus.last(FRAMES)
    assert last is not None
    assert not isinstance(last.message, FrameHeader)
