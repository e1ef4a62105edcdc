"""Whether a service serves, and whether it still does: told to whoever started it.

::

    service ── ready("plays door") ──▶ READY=1, once the bus has answered
    event loop turns, nothing stuck ──▶ WATCHDOG=1, and this process's own watchdog is fed
    bus away, bus back              ──▶ STATUS=...
    the same two by HTTP            ◀── GET /readyz, GET /healthz of containers' probes

Once the loop stands still, or something is stuck, the own watchdog ends the process (20 s), the
supervisor of ``posewire up`` kills it (25 s), and systemd (WatchdogSec=30) and Kubernetes do, too.

READY=1 means that the service has done its own part: models are loaded, the port listens. It waits
for the bus a little, so that whatever is ordered after it finds a working system; but a bus that
stays away must not keep systemd waiting until it kills a service that would find the bus by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from posewire.shared.errors import BusUnavailable
from posewire.shared.systemd import Notifier
from posewire.shared.tasks import cancel
from posewire.shared.watchdog import Watchdog

_log = structlog.get_logger(__name__)
Ping = Callable[[], Awaitable[None]]
Check = Callable[[], str | None]
"""Returns why the service is stuck, None where it is not."""

_STATUS_S = 5.0
_PULSE_S = 0.5
_SILENT_S = 15.0
"""An event loop that has not turned for so long hangs."""


class Health:
    """What a service tells about itself; shows signs of life only within ``reporting``."""

    def __init__(
        self,
        notifier: Notifier | None = None,
        *,
        watchdog: Watchdog | None = None,
        watchdog_s: float | None = None,
        patience_s: float = 10.0,
    ) -> None:
        """Without ``notifier`` nobody listens.

        Args:
            notifier: where to.
            watchdog: ends this process when it hangs; None: nothing does, as in tests.
            watchdog_s: silence after which the listener restarts the process; None: it does not.
            patience_s: how long READY waits for the bus. Raise it for a bus that starts slowly.
        """
        self._notifier = notifier
        self._watchdog = watchdog
        self._watchdog_s = watchdog_s
        self._patience_s = patience_s
        self._ready = asyncio.Event()
        self._does = ""
        self._checks: list[Check] = []
        self._turned_at = time.monotonic()
        self._stuck: str | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with this service, None where it is well. For any thread."""
        silent_s = time.monotonic() - self._turned_at
        if silent_s > _SILENT_S:
            return f"the event loop has not turned for {silent_s:.0f} s"
        return self._stuck

    @property
    def serving(self) -> bool:
        """Whether the service has started. For any thread."""
        return self._ready.is_set()

    def ready(self, does: str) -> None:
        """Say that the service has started. ``does``: what it does, for its status line."""
        self._does = does
        self._ready.set()

    def add_check(self, check: Check) -> None:
        """Ask ``check`` before each sign of life; there is none while it names a reason.

        For what an event loop that turns does not prove: an answer from a device.
        """
        self._checks.append(check)

    @contextlib.asynccontextmanager
    async def reporting(self, ping: Ping) -> AsyncIterator[None]:
        """Tell the manager while the body runs. ``ping`` raises BusUnavailable while it is away."""
        tasks = [asyncio.create_task(self._pulse(), name="pulse")]
        if self._notifier is not None:
            tasks.append(asyncio.create_task(self._tell(self._notifier, ping), name="status"))
        try:
            yield
        finally:
            if self._notifier is not None:
                self._notifier.send(STOPPING="1", STATUS="Stops")
            await cancel(tasks)
            if self._watchdog is not None:
                self._watchdog.feed(started=True)  # what is left to do must end, too
            if self._notifier is not None:
                self._notifier.close()

    async def _pulse(self) -> None:
        every_s = _PULSE_S if self._watchdog_s is None else min(_PULSE_S, self._watchdog_s / 2)
        while True:
            stuck = self._ask_checks()
            if stuck is None:
                self._show_life()
            elif self._stuck is None:
                _log.error("service.stuck", reason=stuck)
                if self._notifier is not None:
                    self._notifier.send(STATUS=f"Stuck: {stuck}")
            self._turned_at, self._stuck = time.monotonic(), stuck
            await asyncio.sleep(every_s)

    def _show_life(self) -> None:
        if self._watchdog is not None:
            self._watchdog.feed(started=self.serving)
        if self._notifier is not None and self._watchdog_s is not None:
            self._notifier.send(WATCHDOG="1")

    def _ask_checks(self) -> str | None:
        return next(filter(None, (ask() for ask in self._checks)), None)

    async def _tell(self, notifier: Notifier, ping: Ping) -> None:
        await self._ready.wait()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience_s
        while (away := await _away(ping)) is not None and loop.time() < give_up:
            notifier.send(STATUS=f"Waits: {away}")
            await asyncio.sleep(0.2)
        told = self._status(away)
        notifier.send(READY="1", STATUS=told)
        _log.info("service.ready", status=told)
        while True:
            await asyncio.sleep(_STATUS_S)
            status = self._status(await _away(ping))
            if status != told:
                notifier.send(STATUS=status)
                told = status

    def _status(self, away: str | None) -> str:
        return f"Waits: {away}" if away is not None else f"Ready: {self._does}"


async def _away(ping: Ping) -> str | None:
    """Return why the bus does not answer, None where it does."""
    try:
        await asyncio.wait_for(ping(), _STATUS_S)
    except BusUnavailable as error:
        return str(error)
    except asyncio.TimeoutError:
        return "the bus does not answer in time"
    return None
