"""Everything that asks the database, through a real PgBouncer that shares out connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from posewire.api import queries
from posewire.api.database import Database
from posewire.shared.bus import keys
from posewire.shared.errors import StoreUnavailable
from posewire.shared.settings import DatabaseSettings, Settings
from posewire.tracker.store.outbox import Outbox
from tests.integration.shared.pooler import pooled
from tests.integration.tracker.integrating import tracking, until
from tests.integration.tracker.test_integrations import Receiver, hook, receiver
from tests.integration.tracker.test_saving import SCENE, event_ids
from tests.memory_bus import MemoryBus
from tests.unit.tracker.scenes import end_of

__all__ = ["receiver"]  # a fixture
CAMERAS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def pooler(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    with pooled(postgres_url, tmp_path / "pgbouncer") as url:
        yield url


def of(camera: str, messages: list[Any]) -> list[Any]:
    """The same people before another camera."""
    found = []
    for message in messages:
        if hasattr(message, "frame"):
            frame = replace(message.frame, camera=camera, session=f"s-{camera}")
            found.append(replace(message, frame=frame))
        else:
            found.append(replace(message, camera=camera, session=f"s-{camera}"))
    return found


async def test_trackers_gateway_and_webhooks_share_three_connections(
    pooler: str, postgres_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    bus = MemoryBus()
    settings = Settings.model_validate(
        {
            "database": {"url": pooler, "pool_size": 8},
            "cameras": {name: {"source": "demo"} for name in CAMERAS},
            "tracker": {"commit_every_s": 0.02},
            "integrations": hook(receiver),
        }
    )
    gateway = Database(settings.database)
    asked, stop = 0, asyncio.Event()

    async def ask() -> None:
        nonlocal asked
        while not stop.is_set():
            now = datetime.now(timezone.utc)
            await queries.events(gateway, queries.Filter(camera="a"), queries.Page())
            await queries.visits(gateway, queries.Filter(until=now), queries.Page(order="asc"))
            await queries.occupancy(gateway, None, now, 60, 10)
            await queries.hours(gateway, None, "UTC", 4)
            await queries.put_areas(gateway, "elsewhere", "{}", None)
            asked += 1

    async with tracking(settings, bus):
        for _ in range(200):  # the schema is there
            try:
                await gateway.fetch("SELECT FROM outbox")
                break
            except StoreUnavailable:
                await asyncio.sleep(0.05)
        askers = [asyncio.create_task(ask()) for _ in range(4)]
        for start in range(0, len(SCENE), 10):
            for camera in CAMERAS:
                for message in of(camera, SCENE[start : start + 10]):
                    await bus.publish(keys.poses(camera), message, maxlen=1000)
            await asyncio.sleep(0.05)
        for camera in CAMERAS:
            for message in of(camera, [end_of(SCENE)]):
                await bus.publish(keys.poses(camera), message, maxlen=1000)
        wanted = 4 * len(CAMERAS)
        await until(lambda: len(receiver.posts) >= wanted, "all are told", 40)
        stop.set()
        await asyncio.gather(*askers)
    await gateway.close()
    stored = await event_ids(postgres_url)
    assert len(stored) == len(set(stored)) == wanted
    assert sorted(receiver.ids) == sorted(stored)
    assert asked > 20
    assert "tracker.not_saved" not in caplog.text


async def test_a_queue_is_held_by_one_through_the_pooler(pooler: str) -> None:
    settings = DatabaseSettings(url=pooler)
    async with Outbox.open(settings, "webhook:door") as one:
        assert await one.hold()
        async with Outbox.open(settings, "webhook:door") as two:
            assert not await two.hold()
            assert not await two.hold()
        assert await one.next() == []
    async with Outbox.open(settings, "webhook:door") as two:
        for _ in range(50):
            if await two.hold():
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the lock of one who is gone is still held")
