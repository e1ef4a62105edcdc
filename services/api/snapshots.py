"""Small pictures of people at the moments of their events; kept only where that is switched on."""

from __future__ import annotations

import asyncio
import time

import structlog

from posewire.api.database import Database
from posewire.api.pictures import person_jpeg
from posewire.shared.backoff import Backoff
from posewire.shared.bus import START, Bus, keys
from posewire.shared.errors import BusUnavailable, StoreError, StoreUnavailable
from posewire.shared.messages import Box, Event, TrackUpdate
from posewire.shared.settings import Settings

_log = structlog.get_logger(__name__)
_MOST_TRACKS = 256
_MOST_WAITING = 64
_EVENT_S = 60.0
"""An event that is not in the database by then was found again, as another, after a crash."""


async def keep(settings: Settings, bus: Bus, database: Database) -> None:
    """Keep pictures of all enabled cameras' events until cancelled."""
    cameras = [name for name, camera in settings.cameras.items() if camera.enabled]
    await asyncio.gather(*(_Camera(name, bus, database).run() for name in cameras))


class _Camera:
    def __init__(self, camera: str, bus: Bus, database: Database) -> None:
        self._camera, self._bus, self._database = camera, bus, database
        self._seen: dict[int, tuple[str, Box]] = {}
        """Where each track was seen last: frame and box."""
        self._waiting: dict[str, tuple[bytes, float]] = {}
        """Pictures of events that are not in the database yet, and until when they are kept."""
        self._session = ""

    async def run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._follow(backoff)
            except (BusUnavailable, StoreUnavailable, StoreError) as error:
                _log.warning("snapshots.waiting", camera=self._camera, reason=str(error))
                await asyncio.sleep(backoff.next_s())

    async def _follow(self, backoff: Backoff) -> None:
        key = keys.tracks(self._camera)
        epoch = self._bus.epoch_of(key)
        last = await self._bus.last(key)
        reader = self._bus.reader(key, last.id if last else START)
        while self._bus.epoch_of(key) == epoch:
            for entry in await reader.read(count=64, block_s=1.0):
                if isinstance(entry.message, TrackUpdate):
                    await self._take(entry.message)
            await self._store()
            backoff.reset()

    async def _take(self, update: TrackUpdate) -> None:
        if update.frame.session != self._session:
            self._session = update.frame.session
            self._seen.clear()
        for person in update.persons:
            self._seen.pop(person.track, None)
            self._seen[person.track] = (update.frame_id, person.box)
        while len(self._seen) > _MOST_TRACKS:
            del self._seen[next(iter(self._seen))]
        for event in update.events:
            await self._keep(event)

    async def _keep(self, event: Event) -> None:
        frame_id, box = self._seen.get(event.track, ("", None))
        entry = await self._bus.entry(keys.frames(self._camera), frame_id) if frame_id else None
        if box is None or entry is None or entry.payload is None:
            return  # the bus has let the picture go: the event stays without
        jpeg = await asyncio.to_thread(person_jpeg, entry.payload, box)
        if jpeg is not None:
            self._waiting[event.id] = jpeg, time.monotonic() + _EVENT_S
        while len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    async def _store(self) -> None:
        """Store the pictures whose events are there; the tracker publishes before it commits."""
        for event, (jpeg, until) in list(self._waiting.items()):
            (row,) = await self._database.change(
                "WITH kept AS (INSERT INTO snapshot (event, jpeg)"
                " SELECT id, $2 FROM event WHERE id = $1 ON CONFLICT DO NOTHING)"
                " SELECT EXISTS (SELECT FROM event WHERE id = $1) AS there",
                event,
                jpeg,
            )
            if row["there"] or time.monotonic() > until:
                del self._waiting[event]
