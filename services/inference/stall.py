"""A device that has taken a frame and never answers: nothing raises, everything else goes on."""

from __future__ import annotations

import time
from collections.abc import Callable


class Stall:
    """Notices that frames have waited for a device for too long."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``limit_s``: as setting inference.stuck_after_s."""
        self._limit_s, self._clock = limit_s, clock
        self._since: dict[str, float] = {}

    def waits(self, camera: str) -> None:
        """A frame of ``camera`` is on its way; it may wait behind others of the same camera."""
        self._since.setdefault(camera, self._clock())

    def answered(self, camera: str, *, more: bool) -> None:
        """The oldest frame of ``camera`` is done or given up; ``more`` are on their way."""
        self._since.pop(camera, None)
        if more:
            self.waits(camera)

    def reason(self) -> str | None:
        """Return what is stuck, None where nothing is."""
        now = self._clock()
        for camera, since in self._since.items():
            if now - since > self._limit_s:
                return f"no answer from the device for {now - since:.0f} s, camera {camera}"
        return None
