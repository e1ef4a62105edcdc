"""Fan-out on the in-memory bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest

from posewire.api import metrics
from posewire.api.live import QUEUE, Hub, Tick, TooManyViewers, Viewer, latest
from posewire.shared.bus import Entry, keys
from posewire.shared.messages import FrameHeader, SessionEnd, TrackUpdate
from tests.memory_bus import MemoryBus


class CountingBus(MemoryBus):
    """Counts how often single entries are fetched and streams are read."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.readers = 0

    async def entry(self, key: str, entry_id: str) -> Entry | None:
        self.fetched.append(entry_id)
        return await super().entry(key, entry_id)

    def reader(self, key: str, position: str = "0-0"):  # type: ignore[no-untyped-def]
        self.readers += 1
        return super().reader(key, position)


def jpeg(shade: int = 90) -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), shade, np.uint8))[1].tobytes()


async def publish(bus: MemoryBus, seq: int, *, session: str = "s", picture: bytes = b"") -> str:
    header = FrameHeader(
        camera="main", session=session, seq=seq, t=seq / 10, captured_at=seq / 10, width=64,
        height=48, source="demo",
    )  # fmt: skip
    frame_id = await bus.publish(keys.frames("main"), header, maxlen=64, payload=picture or jpeg())
    update = TrackUpdate(frame=header, frame_id=frame_id)
    await bus.publish(keys.tracks("main"), update, maxlen=1024)
    return frame_id


async def end(bus: MemoryBus, frames: int, session: str = "s") -> None:
    message = SessionEnd(camera="main", session=session, frames=frames, t=1.0, captured_at=1.0)
    await bus.publish(keys.tracks("main"), message, maxlen=1024)


@pytest.fixture
async def bus() -> CountingBus:
    return CountingBus()


@pytest.fixture
async def hub(bus: CountingBus) -> AsyncIterator[Hub]:
    hub = Hub(bus, max_viewers=8, mjpeg_fps=60)
    yield hub
    await hub.close(within_s=0.1)


async def take(viewer: Viewer) -> Tick:
    tick = await asyncio.wait_for(viewer.next(), 2)
    assert tick is not None
    return tick


def seq(tick: Tick) -> int:
    assert isinstance(tick.message, TrackUpdate)
    return tick.message.frame.seq


async def test_a_viewer_gets_the_latest_update_at_once_and_then_every_one(
    bus: CountingBus, hub: Hub
) -> None:
    for number in range(3):
        await publish(bus, number)
    with hub.watch("main", "overlay") as viewer:
        assert seq(await take(viewer)) == 2
        await publish(bus, 3)
        assert seq(await take(viewer)) == 3
        with hub.watch("main", "frames") as second:
            tick = await take(second)
            assert seq(tick) == 3
            assert await tick.jpeg() is not None


async def test_many_viewers_share_one_reader_one_picture_and_one_drawing(
    bus: CountingBus, hub: Hub
) -> None:
    drawn = metrics.drawn._value.get()
    frame_id = await publish(bus, 0)
    with (
        hub.watch("main", "frames") as a,
        hub.watch("main", "frames") as b,
        hub.watch("main", "drawn") as c,
        hub.watch("main", "drawn") as d,
    ):
        ticks = [await take(viewer) for viewer in (a, b, c, d)]
        pictures = await asyncio.gather(*(tick.drawn() for tick in ticks))
        assert pictures[0] is not None
        assert pictures[0].startswith(b"\xff\xd8")
        assert all(picture is pictures[0] for picture in pictures)
    assert bus.fetched == [frame_id]
    assert bus.readers == 1
    assert metrics.drawn._value.get() == drawn + 1


async def test_pictures_are_left_alone_when_nobody_wants_them(bus: CountingBus, hub: Hub) -> None:
    await publish(bus, 0)
    with hub.watch("main", "overlay") as viewer:
        await take(viewer)
    assert bus.fetched == []


async def test_a_slow_viewer_loses_the_oldest_and_holds_up_nobody(
    bus: CountingBus, hub: Hub
) -> None:
    with hub.watch("main", "overlay") as slow, hub.watch("main", "overlay") as quick:
        for number in range(12):
            await publish(bus, number)
            assert seq(await take(quick)) == number
        assert quick.dropped == 0
        assert slow.dropped == 12 - QUEUE
        assert [seq(await take(slow)) for _ in range(QUEUE)] == [8, 9, 10, 11]


async def test_reading_stops_with_the_last_viewer(bus: CountingBus, hub: Hub) -> None:
    with hub.watch("main", "overlay"):
        await asyncio.sleep(0)
        assert [t.get_name() for t in asyncio.all_tasks()].count("live main") == 1
    await asyncio.sleep(0.01)
    assert "live main" not in [t.get_name() for t in asyncio.all_tasks()]
    assert hub.viewers == 0


async def test_viewers_survive_a_bus_that_goes_and_comes_back_empty(
    bus: CountingBus, hub: Hub
) -> None:
    await publish(bus, 0)
    with hub.watch("main", "overlay") as viewer:
        assert seq(await take(viewer)) == 0
        bus.away = True
        await asyncio.sleep(0.15)
        bus.restart(keep_data=False)
        await publish(bus, 7, session="new")
        tick = await take(viewer)
        while seq(tick) == 0:  # the latest is shown again when the bus is back
            tick = await take(viewer)
        assert seq(tick) == 7


async def test_a_bus_that_is_away_at_first_is_waited_for(bus: CountingBus, hub: Hub) -> None:
    bus.away = True
    with hub.watch("main", "overlay") as viewer:
        await asyncio.sleep(0.05)
        bus.away = False
        await publish(bus, 1)
        assert seq(await take(viewer)) == 1


async def test_after_the_end_the_last_picture_is_shown_with_it(bus: CountingBus, hub: Hub) -> None:
    for number in range(300):
        await publish(bus, number)
    await end(bus, 300)
    assert [type(entry.message) for entry in await latest(bus, "main")] == [TrackUpdate, SessionEnd]
    with hub.watch("main", "frames") as viewer:
        first, second = await take(viewer), await take(viewer)
        assert seq(first) == 299
        assert json.loads(second.text)["type"] == "session_end"
        with hub.watch("main", "frames") as late:
            assert seq(await take(late)) == 299
            assert isinstance((await take(late)).message, SessionEnd)


async def test_a_trimmed_or_broken_picture_is_left_out(bus: CountingBus, hub: Hub) -> None:
    await publish(bus, 0, picture=b"no picture")
    with hub.watch("main", "frames") as viewer:
        tick = await take(viewer)
        assert await tick.jpeg() == b"no picture"
        assert await tick.drawn() is None
        update = TrackUpdate(frame=tick.message.frame, frame_id="1-1")  # type: ignore[union-attr]
        await bus.publish(keys.tracks("main"), update, maxlen=1024)
        assert await (await take(viewer)).jpeg() is None


async def test_drawn_pictures_keep_to_their_rate(bus: CountingBus) -> None:
    hub = Hub(bus, max_viewers=8, mjpeg_fps=0.001)
    with hub.watch("main", "drawn") as drawn, hub.watch("main", "overlay") as every:
        for number in range(5):
            await publish(bus, number)
            assert seq(await take(every)) == number
        assert seq(await take(drawn)) == 0
        assert len(bus.fetched) == 1  # the others were not even fetched
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(drawn.next(), 0.05)
    await hub.close(within_s=0.1)


async def test_the_limit_of_viewers(bus: CountingBus) -> None:
    hub = Hub(bus, max_viewers=2, mjpeg_fps=10)
    with (
        hub.watch("main", "overlay"),
        hub.watch("other", "drawn"),
        pytest.raises(TooManyViewers, match="all 2 viewers"),
        hub.watch("main", "overlay"),
    ):
        pytest.fail("a third viewer was let in")
    with hub.watch("main", "overlay"):
        assert hub.viewers == 1
    await hub.close(within_s=0.1)


async def test_closing_tells_every_viewer(bus: CountingBus, hub: Hub) -> None:
    async def watch() -> Tick | None:
        with hub.watch("main", "overlay") as viewer:
            return await viewer.next()

    watching = [asyncio.create_task(watch()) for _ in range(3)]
    await asyncio.sleep(0)
    await hub.close(within_s=1)
    assert await asyncio.gather(*watching) == [None, None, None]
    assert await watch() is None
