"""What capture says of a camera: its state on the bus, and how fast frames come."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from posewire.capture import metrics
from posewire.capture.waiting import set_within
from posewire.shared.bus import Lease, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import CameraState, CameraStatus, Policy, as_text

TTL_S = 6.0
_EVERY_S = 2.0
_TICK_S = 0.25
_RATE_OVER_S = 3.0


class StateBoard:
    """Keeps a camera's ``CameraState`` on the bus: at every change, and every two seconds."""

    def __init__(self, lease: Lease, camera: str, policy: Policy) -> None:
        """Only the holder of ``lease`` speaks for the camera."""
        self._lease, self._camera, self._policy = lease, camera, policy
        self._status: CameraStatus = "starting"
        self._source = ""
        self._session: str | None = None
        self._size = (0, 0)
        self._frames = 0
        self._error: str | None = None
        self.complaint: str | None = None
        """A control message that could not be followed."""
        self._stalls_after_s: float | None = None
        self._arrivals: deque[float] = deque()
        self._last_arrival: float | None = None
        self._changed = asyncio.Event()

    def set(self, status: CameraStatus, source: str, error: str | None = None) -> None:
        """Say how it is with the camera."""
        self._status, self._source, self._error = status, source, error
        if status != "running":
            self._stalls_after_s = None
        self._changed.set()

    def playing(self, session: str | None, *, stalls_after_s: float | None) -> None:
        """Say that a session runs; without frames for ``stalls_after_s`` it is stalled."""
        self._session, self._stalls_after_s = session, stalls_after_s
        self._frames = 0
        self._changed.set()

    def frame(self, seq: int, width: int, height: int) -> None:
        """Note a frame."""
        now = time.monotonic()
        self._arrivals.append(now)
        self._last_arrival = now
        self._frames, self._size = seq + 1, (width, height)

    def complain(self, text: str) -> None:
        """Report a wish that cannot be followed, beside whatever else there is."""
        self.complaint = text
        self._changed.set()

    def current(self) -> CameraState:
        """Return the state as it is now."""
        now = time.monotonic()
        while self._arrivals and now - self._arrivals[0] > _RATE_OVER_S:
            self._arrivals.popleft()
        seen = len(self._arrivals)
        span = self._arrivals[-1] - self._arrivals[0] if seen > 1 else 0.0
        status = self._status
        if (
            status == "running"
            and self._stalls_after_s is not None
            and self._last_arrival is not None
            and now - self._last_arrival > self._stalls_after_s
        ):
            status = "stalled"
        return CameraState(
            camera=self._camera,
            status=status,
            source=self._source,
            session=self._session,
            updated_at=time.time(),
            policy=self._policy,
            width=self._size[0],
            height=self._size[1],
            fps=round((seen - 1) / span, 2) if span > 0 else 0.0,
            frames=self._frames,
            error=as_text(error) if (error := self._error or self.complaint) else None,
        )

    async def run(self) -> None:
        """Keep the state on the bus until cancelled; waits while it is away. Raises LeaseLost."""
        said: CameraStatus | None = None
        said_at = 0.0
        while True:
            state = self.current()
            if self._last_arrival is not None:
                age = time.monotonic() - self._last_arrival
                metrics.frame_age.labels(camera=self._camera).set(age)
            due = time.monotonic() - said_at > _EVERY_S - _TICK_S
            if self._changed.is_set() or due or state.status != said:
                self._changed.clear()
                try:
                    await self._lease.put(keys.state(self._camera), state, ttl_s=TTL_S)
                except BusUnavailable:
                    self._changed.set()
                    await asyncio.sleep(_TICK_S)
                else:
                    said, said_at = state.status, time.monotonic()
            await set_within(self._changed, _TICK_S)
