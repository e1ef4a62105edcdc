"""The capture service: every enabled camera's source onto the bus, switched by Control.

One capture holds a camera, by a lease; others that would play it stand by.

::

    control stream ─▶ wanted source ─▶ play ─▶ frames stream
                                        │
                                        └────▶ state (value, 6 s)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog

from posewire.capture.player import LivePlayer, LosslessPlayer, Player
from posewire.capture.state import TTL_S, StateBoard
from posewire.shared.backoff import Backoff
from posewire.shared.bus import START, Bus, Entry, Lease, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.health import Health
from posewire.shared.messages import CameraState, Control
from posewire.shared.settings import Settings
from posewire.shared.tasks import cancel, finish
from posewire.shared.worker import holding, run_cameras

_log = structlog.get_logger(__name__)


async def run(settings: Settings, bus: Bus, health: Health | None = None) -> None:
    """Play every enabled camera until cancelled.

    ``health`` is told at once: cameras that are not there are waited for, each by itself.
    """
    cameras = {
        name: _Camera(settings, bus, name)
        for name, camera in settings.cameras.items()
        if camera.enabled
    }
    (health or Health()).ready(f"plays {', '.join(cameras) or 'nothing'}")
    if not cameras:
        _log.warning("capture.no_cameras")
        await asyncio.Event().wait()
    await run_cameras(cameras, lambda name: cameras[name].serve())


class _Camera:
    """One camera: which source it plays, and who plays it."""

    def __init__(self, settings: Settings, bus: Bus, name: str) -> None:
        self._settings, self._bus, self._name = settings, bus, name
        self._source = settings.cameras[name].source
        self._control_id: str | None = None
        self._position = START
        self._switched = asyncio.Event()
        self._stands_by = False

    async def serve(self) -> None:
        """Play as long as no other capture does. Raises BusUnavailable, LeaseLost."""
        settings, policy = self._settings, self._settings.cameras[self._name].policy
        lease = self._bus.lease(keys.lease(self._name, "capture"), ttl_s=settings.bus.lease_s)
        async with holding(lease, lambda: self._stand_by(lease)):
            self._stands_by = False
            self._board = StateBoard(lease, self._name, policy)
            self._board.set("starting", self._source)
            kind = LosslessPlayer if policy == "lossless" else LivePlayer
            # A new one each time: what another capture did meanwhile is only on the bus.
            self._player: Player = kind(settings, self._bus, lease, self._name, self._board)
            try:
                async with _beside(self._board.run(), self._player.run()):
                    await self._read_past_controls()
                    async with _beside(self._read_controls()):
                        await self._play_wanted()
            finally:
                await finish(self._player.stop())

    async def _stand_by(self, lease: Lease) -> None:
        """Say that another capture has the camera; the state is its holder's, if that speaks."""
        if not self._stands_by:
            self._stands_by = True
            _log.info("capture.standby", camera=self._name, held_by=lease.owner)
        state = CameraState(
            camera=self._name,
            status="standby",
            source=self._source,
            session=None,
            updated_at=time.time(),
            policy=self._settings.cameras[self._name].policy,
        )
        await self._bus.put(keys.state(self._name), state, ttl_s=TTL_S, absent=True)

    async def _play_wanted(self) -> None:
        while True:
            self._switched.clear()
            self._board.set("starting", self._source)
            play = asyncio.create_task(self._player.play(self._source, self._control_id))
            switched = asyncio.create_task(self._switched.wait())
            try:
                await asyncio.wait({play, switched}, return_when=asyncio.FIRST_COMPLETED)
                if play.done():
                    await play  # raises what it raised
                    self._board.set("ended", self._source)
                    await switched
            finally:
                await cancel([play, switched])
            self._player.cut()

    async def _read_past_controls(self) -> None:
        """Take the wish that was the last one before this process began."""
        backoff = Backoff(first_s=0.1, most_s=2.0)
        reader = self._bus.reader(keys.control(self._name), self._position)
        while True:
            try:
                entries = await reader.read(count=256, block_s=0.001)
            except BusUnavailable as error:
                _log.warning("capture.bus_away", camera=self._name, reason=str(error))
                await backoff.sleep()
                continue
            self._follow(entries)
            self._position = reader.position
            if not entries:
                return

    async def _read_controls(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=2.0)
        reader = self._bus.reader(keys.control(self._name), self._position)
        while True:
            try:
                entries = await reader.read(block_s=1.0)
            except BusUnavailable:
                await backoff.sleep()
                continue
            backoff.reset()
            self._position = reader.position
            if self._follow(entries):
                self._switched.set()

    def _follow(self, entries: list[Entry]) -> bool:
        """Make the last source asked for the wanted one; return whether there was any."""
        followed = False
        for entry in entries:
            message = entry.message
            if not isinstance(message, Control) or message.camera != self._name:
                continue
            if message.source not in self._settings.sources:
                known = ", ".join(sorted(self._settings.sources))
                text = f"there is no source {message.source!r}; configured are: {known}"
                _log.warning("capture.unknown_source", camera=self._name, reason=text)
                self._board.complain(text)
                continue
            _log.info("capture.switch", camera=self._name, source=message.source)
            self._source, self._control_id = message.source, entry.id
            self._board.complaint = None
            followed = True
        return followed


@contextlib.asynccontextmanager
async def _beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run ``work`` in tasks while the body runs; a task that fails cancels the body's task."""
    body = asyncio.current_task()
    failures: list[BaseException] = []

    async def watch(one: Coroutine[Any, Any, None]) -> None:
        try:
            await one
        except Exception as error:
            failures.append(error)
            if body is not None:
                body.cancel()
            raise

    tasks = [asyncio.create_task(watch(one)) for one in work]
    try:
        yield
    except asyncio.CancelledError:
        if failures:
            raise failures[0] from None
        raise
    finally:
        await cancel(tasks)
