"""Whatever is killed, the webhook hears of every event in the database, and of no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.e2e.system import System
from tests.integration.tracker.test_integrations import SECRET, Receiver

_CAMERA = """
[sources.video]
url = "{video}"
[cameras.main]
source = "video"
policy = "lossless"
[integrations.webhooks.shop]
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_kill_9_loses_and_invents_nothing(
    new_system: Callable[..., System], clip: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda number: (500 if number % 3 == 0 else 200, {})
    extra = f"url = {json.dumps(receiver.url)}\nsecret = {json.dumps(SECRET)}\n"
    system = new_system(clip, window=6, cameras=_CAMERA + extra)
    await _play(system, receiver)


async def _play(system: System, receiver: Receiver) -> None:
    await system.start()
    for frame, victim in ((40, "tracker"), (90, "postgres"), (130, "tracker"), (170, "valkey")):
        await system.until(lambda seq, _ended, frame=frame: seq >= frame)
        await system.kill(victim)
    await system.until(lambda _seq, ended: ended)
    connection = await asyncpg.connect(system.postgres.url)
    stored = [str(row["id"]) for row in await connection.fetch("SELECT id FROM event ORDER BY ord")]
    for _ in range(300):
        if not await connection.fetchval("SELECT count(*) FROM outbox"):
            break
        await asyncio.sleep(0.1)
    await connection.close()
    assert len(stored) >= 10
    assert list(dict.fromkeys(receiver.ids)) == stored, "all, in order; repeated with the same id"
    # A kill between the acknowledgement and its commit repeats that one event.
    assert len(receiver.ids) <= len(stored) + 3
