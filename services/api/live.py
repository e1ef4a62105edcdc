"""Live fan-out: one reader of a camera's track updates per process, however many watch.

 bus ──▶ Channel (one per camera, runs while somebody watches)
            ├──▶ Viewer   a queue of a few updates; where it is full the oldest is dropped, counted
            ├──▶ Viewer   so that a slow viewer never slows others
            └──▶ Viewer

A picture is fetched once per update and drawn once per update, by whoever wants it first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import cached_property
from typing import Literal, TypeAlias

import structlog

from posewire.api import metrics
from posewire.api.overlay import encode_end, encode_update
from posewire.api.pictures import drawn_jpeg
from posewire.shared.backoff import Backoff
from posewire.shared.bus import START, Bus, Entry, keys
from posewire.shared.errors import BusUnavailable, PosewireError
from posewire.shared.messages import SessionEnd, TrackUpdate

_log = structlog.get_logger(__name__)

QUEUE = 4
"""Updates that wait for a viewer: more rides out hiccups, fewer keeps slow ones nearer to now."""
_RATE_WINDOW_S = 3.0

Wants: TypeAlias = Literal["overlay", "frames", "drawn"]
"""What a viewer shows: JSON alone, JSON with the JPEG, or pictures drawn here (rate-limited)."""


class TooManyViewers(PosewireError):
    """The limit of viewers is reached."""


class Tick:
    """One update on its way to the viewers, with its picture, fetched and drawn at most once."""

    def __init__(
        self,
        message: TrackUpdate | SessionEnd,
        fetch: Callable[[str], Awaitable[bytes | None]],
        fps: float,
    ) -> None:
        self.message = message
        self.fps = fps
        """Measured updates per second on this camera's stream."""
        self._fetch = fetch
        self._jpeg: asyncio.Task[bytes | None] | None = None
        self._drawn: asyncio.Task[bytes | None] | None = None

    @cached_property
    def text(self) -> str:
        """The message as JSON; see ``posewire.api.overlay``."""
        if isinstance(self.message, SessionEnd):
            return encode_end(self.message)
        return encode_update(self.message, self.fps)

    async def jpeg(self) -> bytes | None:
        """Return the frame as captured; None where it is gone from the bus. Never raises."""
        if self._jpeg is None:
            self._jpeg = asyncio.create_task(self._load())
        return await asyncio.shield(self._jpeg)

    async def drawn(self) -> bytes | None:
        """Return the frame with its overlay; None where there is no (whole) picture."""
        if self._drawn is None:
            self._drawn = asyncio.create_task(self._draw())
        return await asyncio.shield(self._drawn)

    async def _load(self) -> bytes | None:
        if isinstance(self.message, SessionEnd):
            return None
        try:
            return await self._fetch(self.message.frame_id)
        except BusUnavailable:
            return None

    async def _draw(self) -> bytes | None:
        jpeg = await self.jpeg()
        if jpeg is None or isinstance(self.message, SessionEnd):
            return None
        metrics.drawn.inc()
        return await asyncio.to_thread(drawn_jpeg, jpeg, self.message, self.fps)


class Viewer:
    """One who watches: takes ticks from a bounded queue at its own pace."""

    def __init__(self, camera: str, wants: Wants) -> None:
        self.camera = camera
        self.wants = wants
        self.dropped = 0
        self.closed = asyncio.Event()
        """Set when the gateway shuts down."""
        self._waiting: deque[Tick] = deque()
        self._arrival = asyncio.Event()

    def offer(self, tick: Tick) -> None:
        """Queue ``tick``; where the queue is full the oldest goes."""
        if len(self._waiting) >= QUEUE:
            self._waiting.popleft()
            self.dropped += 1
            metrics.dropped.labels(camera=self.camera).inc()
        self._waiting.append(tick)
        self._arrival.set()

    def close(self) -> None:
        """Make ``next`` return None from now on."""
        self.closed.set()
        self._arrival.set()

    async def next(self) -> Tick | None:
        """Return the next tick; waits for it. None once the gateway shuts down."""
        while not self._waiting and not self.closed.is_set():
            self._arrival.clear()
            await self._arrival.wait()
        return None if self.closed.is_set() else self._waiting.popleft()


class Channel:
    """Follows one camera's track updates while it has viewers."""

    def __init__(self, bus: Bus, camera: str, mjpeg_fps: float) -> None:
        self.camera = camera
        self.viewers: set[Viewer] = set()
        self._bus = bus
        self._drawn_period_s = 1.0 / mjpeg_fps
        self._drawn_due = 0.0
        self._arrivals: deque[float] = deque()
        self._latest: list[Tick] = []
        self._task: asyncio.Task[None] | None = None

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; it gets the latest update at once."""
        self.viewers.add(viewer)
        for tick in self._latest:
            viewer.offer(tick)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"live {self.camera}")

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer; with the last one the reading stops."""
        self.viewers.discard(viewer)
        if not self.viewers:
            self.stop()

    def stop(self) -> None:
        """Stop reading and forget what was read."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._latest.clear()
        self._arrivals.clear()

    async def fetch(self, frame_id: str) -> bytes | None:
        """Return a frame's JPEG from the bus, None where it was trimmed. Raises BusUnavailable."""
        entry = await self._bus.entry(keys.frames(self.camera), frame_id) if frame_id else None
        return entry.payload if entry is not None else None

    async def _run(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=2.0)
        away = False
        while True:
            try:
                if away:
                    await self._bus.ping()
                    away = False
                    backoff.reset()
                    _log.info("live.bus_back", camera=self.camera)
                await self._follow()
            except BusUnavailable as error:
                if not away:
                    _log.warning("live.bus_away", camera=self.camera, error=str(error))
                away = True
                await backoff.sleep()

    async def _follow(self) -> None:
        """Pass updates on until the bus fails or turns out to have restarted."""
        key = keys.tracks(self.camera)
        epoch = self._bus.epoch_of(key)
        entries = await latest(self._bus, self.camera)
        for entry in entries:
            await self._pass_on(entry)
        reader = self._bus.reader(key, entries[-1].id if entries else START)
        while self._bus.epoch_of(key) == epoch:
            found = await reader.read(count=64, block_s=1.0)
            self._count(len(found))
            for entry in found[-QUEUE:]:
                await self._pass_on(entry)

    def _count(self, arrived: int) -> None:
        now = time.monotonic()
        self._arrivals.extend([now] * arrived)
        while self._arrivals and now - self._arrivals[0] > _RATE_WINDOW_S:
            self._arrivals.popleft()

    def _fps(self) -> float:
        if len(self._arrivals) < 2:
            return 0.0
        span = self._arrivals[-1] - self._arrivals[0]
        return (len(self._arrivals) - 1) / span if span > 0 else 0.0

    async def _pass_on(self, entry: Entry) -> None:
        message = entry.message
        if not isinstance(message, (TrackUpdate, SessionEnd)):
            return
        tick = Tick(message, self.fetch, self._fps())
        now = time.monotonic()
        due = now >= self._drawn_due
        if due:
            # Keeps the average rate; a pause does not lead to a burst after it.
            late_s = now - self._drawn_due
            self._drawn_due = (now if late_s > self._drawn_period_s else self._drawn_due) + (
                self._drawn_period_s
            )
        wanted = {viewer.wants for viewer in self.viewers}
        if "frames" in wanted or ("drawn" in wanted and due):
            await tick.jpeg()  # now, before the frame is trimmed from its stream
        self._latest = [tick] if isinstance(message, TrackUpdate) else [*self._latest[:1], tick]
        for viewer in self.viewers:
            if viewer.wants != "drawn" or due:
                viewer.offer(tick)


class Hub:
    """The channels of all cameras, and the limit of viewers."""

    def __init__(self, bus: Bus, *, max_viewers: int, mjpeg_fps: float) -> None:
        self._bus = bus
        self._max_viewers = max_viewers
        self._mjpeg_fps = mjpeg_fps
        self._channels: dict[str, Channel] = {}
        self._closed = False

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return sum(len(channel.viewers) for channel in self._channels.values())

    @contextlib.contextmanager
    def watch(self, camera: str, wants: Wants) -> Iterator[Viewer]:
        """Watch ``camera`` within the block. Raises TooManyViewers."""
        if self.viewers >= self._max_viewers:
            raise TooManyViewers(
                f"all {self._max_viewers} viewers are taken; raise api.max_viewers or try later"
            )
        viewer = Viewer(camera, wants)
        if self._closed:
            viewer.close()
        channel = self._channels.setdefault(camera, Channel(self._bus, camera, self._mjpeg_fps))
        channel.join(viewer)
        metrics.viewers.labels(camera=camera, kind=wants).inc()
        try:
            yield viewer
        finally:
            channel.leave(viewer)
            metrics.viewers.labels(camera=camera, kind=wants).dec()

    async def close(self, *, within_s: float) -> None:
        """Tell all viewers to go and wait until they have."""
        self._closed = True
        for channel in self._channels.values():
            for viewer in channel.viewers:
                viewer.close()
        deadline = time.monotonic() + within_s
        while self.viewers and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for channel in self._channels.values():
            channel.stop()


async def latest(bus: Bus, camera: str) -> list[Entry]:
    """Return the camera's newest update and, where its session is over, the SessionEnd after it.

    Raises BusUnavailable.
    """
    key = keys.tracks(camera)
    last = await bus.last(key)
    if last is None or not isinstance(last.message, SessionEnd):
        return [] if last is None else [last]
    reader = bus.reader(key)
    update: Entry | None = None
    while found := await reader.read(count=256, block_s=0.001):
        update = next((e for e in reversed(found) if isinstance(e.message, TrackUpdate)), update)
        if found[-1].id == last.id:
            break
    return [last] if update is None else [update, last]
