"""The time of a live source's pictures: the camera's own clock, as far as it can be believed."""

from __future__ import annotations


class LiveClock:
    """Turns a stream's timestamps into seconds since its first picture.

    Timestamps are steadier than arrivals, but cameras restart their clocks, and clocks drift.
    Where the stream's time is further than ``tolerance_s`` from the time that has really passed,
    it is set to that and goes on from there. Raise it to keep the camera's rhythm through slow
    networks; lower it to stay closer to the wall clock.
    """

    def __init__(self, tolerance_s: float = 0.5) -> None:
        self._tolerance_s = tolerance_s
        self._first_arrival: float | None = None
        self._offset = 0.0
        self._last = -1.0

    def time(self, stamp: float | None, arrival: float) -> float:
        """Return the seconds of a picture since the first; they never go back.

        Args:
            stamp: the stream's own time in seconds, None where it has none.
            arrival: monotonic time at which it came, in seconds.
        """
        if self._first_arrival is None:
            self._first_arrival = arrival
            self._offset = stamp if stamp is not None else 0.0
        passed = arrival - self._first_arrival
        t = passed
        if stamp is not None:
            t = stamp - self._offset
            if abs(t - passed) > self._tolerance_s:
                self._offset, t = stamp - passed, passed
        self._last = max(self._last, t, 0.0)
        return self._last
