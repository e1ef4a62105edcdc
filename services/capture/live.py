"""The live policy's sending: always the newest frame; nothing waits for the bus."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import structlog
from msgspec.structs import replace

from posewire.capture import metrics
from posewire.shared.backoff import Backoff
from posewire.shared.bus import Lease, keys
from posewire.shared.errors import BusUnavailable, LeaseLost
from posewire.shared.messages import FrameHeader, SessionEnd

_log = structlog.get_logger(__name__)
_MOST_FRAMES = 2
_MOST_ENDS = 16


class LiveSender:
    """Publishes from a task of its own; while the bus is away or slow, frames are dropped.

    Ends of sessions are kept until they could be sent: visits end by them.
    """

    def __init__(self, lease: Lease, camera: str, *, maxlen: int) -> None:
        self._lease, self._camera, self._maxlen = lease, camera, maxlen
        self._waiting: deque[tuple[FrameHeader | SessionEnd, bytes | None]] = deque()
        self._more = asyncio.Event()

    def frame(self, header: FrameHeader, jpeg: bytes) -> None:
        """Send a frame, unless newer ones come before the bus takes it."""
        self._waiting.append((header, jpeg))
        frames = [item for item in self._waiting if item[1] is not None]
        for item in frames[:-_MOST_FRAMES]:
            self._waiting.remove(item)
            self._drop()
        self._more.set()

    def end(self, end: SessionEnd) -> None:
        """Send a session's end, after its frames."""
        self._waiting.append((end, None))
        ends = [item for item in self._waiting if item[1] is None]
        for item in ends[:-_MOST_ENDS]:
            self._waiting.remove(item)
        self._more.set()

    async def run(self) -> None:
        """Send until cancelled. Raises LeaseLost."""
        backoff = Backoff(first_s=0.05, most_s=2.0)
        away = False
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                try:
                    await self._send_first()
                except BusUnavailable as error:
                    if not away:
                        _log.warning("capture.bus_away", camera=self._camera, reason=str(error))
                    away = True
                    await backoff.sleep()
                else:
                    if away:
                        _log.info("capture.bus_back", camera=self._camera)
                    away = False
                    backoff.reset()

    async def flush(self, timeout_s: float) -> None:
        """Send what waits, when ``run`` is over; gives up after ``timeout_s``."""

        async def send_all() -> None:
            while self._waiting:
                await self._send_first()

        with contextlib.suppress(BusUnavailable, LeaseLost, asyncio.TimeoutError):
            await asyncio.wait_for(send_all(), timeout_s)

    async def _send_first(self) -> None:
        message, jpeg = item = self._waiting.popleft()
        try:
            await self._lease.publish(
                keys.frames(self._camera),
                replace(message, term=self._lease.term),
                maxlen=self._maxlen,
                payload=jpeg,
            )
        except (BusUnavailable, asyncio.CancelledError):
            if jpeg is None:
                self._waiting.appendleft(item)
            else:
                self._drop()
            raise
        if jpeg is not None:
            metrics.frames.labels(camera=self._camera).inc()

    def _drop(self) -> None:
        metrics.dropped.labels(camera=self._camera, reason="bus").inc()


class Pacer:
    """Plays a file at its own rate.

    Raise ``patience_s`` to make up for longer hold-ups by playing faster; behind by more, playing
    goes on from where it is, later.
    """

    def __init__(self, patience_s: float = 0.5) -> None:
        self._patience_s = patience_s
        self._began: float | None = None

    def delay(self, t: float, now: float) -> float:
        """Return how long to wait, in seconds, before showing the picture of time ``t``."""
        if self._began is None:
            self._began = now - t
        wait = self._began + t - now
        if wait < -self._patience_s:
            self._began -= wait
            return 0.0
        return max(0.0, wait)
