"""Pictures of the moments of events: taken from the bus, kept in Postgres, given out, removed."""

from __future__ import annotations

import asyncio

import cv2
import httpx
import msgspec
import numpy as np
import pytest

from posewire.api import snapshots
from posewire.api.database import Database
from posewire.shared.bus import keys
from posewire.shared.messages import Event
from tests.integration.api.conftest import Camera, settings
from tests.integration.api.test_history import Rows, client, rows

__all__ = ["client", "rows"]  # fixtures


async def test_a_picture_is_kept_with_its_event(
    client: httpx.AsyncClient, rows: Rows, camera: Camera, postgres_url: str
) -> None:
    visit = await rows.visit("s1", 1, 2)
    known = (await client.get("/api/v1/events?kind=entered")).json()["events"][0]
    assert known["snapshot"] is False
    configured = settings(database={"url": postgres_url}, api={"snapshots": True})
    database = Database(configured.database)
    task = asyncio.create_task(snapshots.keep(configured, camera.bus, database))
    try:
        await asyncio.sleep(0.1)
        update = await camera.publish(people=2)
        event = Event(
            id=known["id"], camera="main", session="s1", visit=1, track=2, kind="entered",
            reason="walked_in", ordinal=0, seq=0, t=0.0, occurred_at=1.0, confirmed_at=1.0,
            people=1,
        )  # fmt: skip
        strange = msgspec.structs.replace(event, id=str(visit), track=9)
        again = msgspec.structs.replace(update, events=(event, strange))
        await camera.bus.publish(keys.tracks("main"), again, maxlen=64)
        for _ in range(100):
            answer = await client.get(f"/api/v1/events/{known['id']}/snapshot.jpg")
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert answer.headers["content-type"] == "image/jpeg"
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    # The box of the second person, .4 to .55 across and .3 to .9 down of 320 x 240, and a margin.
    assert image.shape[1] == pytest.approx(0.15 * 320 * 1.3, abs=2)
    assert image.shape[0] == pytest.approx(0.78 * 240, abs=2)
    listed = (await client.get("/api/v1/events?kind=entered")).json()["events"][0]
    assert listed["snapshot"] is True
    missing = await client.get(f"/api/v1/events/{visit}/snapshot.jpg")
    assert missing.status_code == 404
    assert "api.snapshots" in missing.json()["detail"]
    await database.close()
