"""How long ago something was, on a machine that may sleep and whose wall clock may be set."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Return seconds since an arbitrary moment; they go on while the machine is suspended.

    Everywhere but on Linux this is the monotonic clock, which may stand still in suspend.
    """
    return time.clock_gettime(_CLOCK)
