"""The live line per camera that demo and up show."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from rich.text import Text

from posewire.shared.backoff import Backoff
from posewire.shared.bus import Bus, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import CameraState, TrackUpdate

_WINDOW_S = 3.0


class CameraLine:
    """Follows one camera on the bus."""

    def __init__(self, camera: str, bus: Bus) -> None:
        self.camera = camera
        self._bus = bus
        self._arrivals: deque[float] = deque(maxlen=1000)
        self._state: CameraState | None = None
        self._latest: TrackUpdate | None = None
        self._events = 0

    async def follow(self) -> None:
        """Read the camera's tracks until cancelled."""
        backoff = Backoff()
        reader = self._bus.reader(keys.tracks(self.camera), "$")
        while True:
            try:
                for entry in await reader.read(count=256, block_s=0.5):
                    if isinstance(entry.message, TrackUpdate):
                        self._arrivals.append(time.monotonic())
                        self._latest = entry.message
                        self._events += len(entry.message.events)
                state = await self._bus.get(keys.state(self.camera))
                self._state = state if isinstance(state, CameraState) else None
                backoff.reset()
            except BusUnavailable:
                await backoff.sleep()
            await asyncio.sleep(0.1)

    def text(self) -> Text:
        """Return the line: source, frames per second, people, latency, events."""
        now = time.monotonic()
        fps = sum(now - arrival < _WINDOW_S for arrival in self._arrivals) / _WINDOW_S
        line = Text(f"{self.camera:<10}", style="bold")
        state, latest = self._state, self._latest
        if state is None:
            return line.append(" waiting for capture")
        line.append(f" {state.source:<12} {state.status:<12}")
        if state.error:
            return line.append(state.error, style="red")
        if latest is None:
            return line.append(" no people yet")
        if not fps:
            return line.append(f"{self._events} events", style="green")
        line.append(f"{fps:5.1f} fps  {latest.people:2d} people  ", style="cyan")
        line.append(f"{latest.inference_ms:4.0f} ms inference  {latest.latency_ms:4.0f} ms latency")
        return line.append(f"  {self._events} events", style="green")
