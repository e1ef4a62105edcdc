"""Ends this process when it hangs, whoever started it.

systemd restarts a service that has fallen silent, and so does Kubernetes; Compose does not. So each
service watches itself. The timer is faulthandler's: a thread of its own, written in C, that needs
neither the event loop nor the interpreter's lock, and so also ends a process in which native code
holds that lock for ever.
"""

from __future__ import annotations

import faulthandler

HANG_S = 20.0
"""A service that has not shown a sign of life for so long is ended."""
START_S = 180.0
"""The same while a service starts: compiling models for a device may take minutes."""
_STDERR = 2


class Watchdog:
    """A timer of the whole process; it runs from the first ``feed`` until the process ends.

    When it runs out, the stacks of all threads are written to standard error, and the process ends
    at once with exit code 1. Python 3.10 measures by the wall clock: there a clock that is set
    forward by more than the limit ends the process, too.
    """

    def __init__(self, hang_s: float = HANG_S, start_s: float = START_S) -> None:
        self._hang_s, self._start_s = hang_s, start_s

    def feed(self, *, started: bool) -> None:
        """Start the timer anew. ``started``: whether the service has begun to serve."""
        limit_s = self._hang_s if started else self._start_s
        faulthandler.dump_traceback_later(limit_s, exit=True, file=_STDERR)
