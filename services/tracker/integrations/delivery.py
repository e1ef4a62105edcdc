"""Passes events on from the outbox, beside the tracker and never in its way.

wait for the lock of the destination ─▶ connect ─▶ tell, acknowledged, delete ─▶ ...
        ▲                                                        │
        └───────────── pause, longer and longer ◀── anything fails
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from prometheus_client import Counter, Gauge

from posewire.shared.backoff import Backoff
from posewire.shared.errors import StoreUnavailable
from posewire.shared.messages import Event
from posewire.shared.redact import redact
from posewire.shared.settings import DatabaseSettings, Settings
from posewire.shared.tasks import cancel
from posewire.tracker.integrations.destination import Destination, Gone, Undelivered
from posewire.tracker.store.outbox import Delivery, Outbox

_log = structlog.get_logger(__name__)
_delivered = Counter("posewire_integration_delivered_total", "Events told", ["integration"])
_failed = Counter("posewire_integration_failed_total", "Tries that failed", ["integration"])
_dropped = Counter(
    "posewire_integration_dropped_total",
    "Events given up. old: older than integrations.keep_days; refused: the other side does not "
    "want this event; gone: it wants none any more",
    ["integration", "reason"],
)
_backlog = Gauge("posewire_integration_backlog", "Events that wait", ["integration"])

_LOOK_S = 1.0
"""Events of other trackers are seen after this long; those of this one at once."""
_TIDY_S = 60.0
_MOST_REFUSALS = 5
"""An event that was refused so often is given up, or it would hold up all that come after it."""


class Integrations:
    """All configured destinations; ``running`` delivers in the background."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._destinations = _destinations(settings)
        self._wakes = [asyncio.Event() for _ in self._destinations]

    def wanted_by(self, event: Event) -> list[str]:
        """Return the queues that an event belongs into."""
        return [d.name for d in self._destinations if d.wants(event.camera, event.kind)]

    def wake(self) -> None:
        """Say that there is something in the queues."""
        for wake in self._wakes:
            wake.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the body runs; never raises what goes wrong with it."""
        tasks = [
            asyncio.create_task(
                Deliverer(destination, self._settings, wake).run(), name=destination.name
            )
            for destination, wake in zip(self._destinations, self._wakes, strict=True)
        ]
        try:
            yield
        finally:
            await cancel(tasks)


def _destinations(settings: Settings) -> list[Destination]:
    found: list[Destination] = []
    if settings.integrations.mqtt is not None:
        from posewire.tracker.integrations.mqtt import MqttBroker

        cameras = [name for name, camera in settings.cameras.items() if camera.enabled]
        announced = [*cameras, *settings.cameras_elsewhere]
        found.append(MqttBroker(settings.integrations.mqtt, cameras, announced))
    for name, webhook in settings.integrations.webhooks.items():
        from posewire.tracker.integrations.webhook import Webhook

        found.append(Webhook(name, webhook))
    return found


class Deliverer:
    """Empties one destination's queue, for ever."""

    def __init__(self, destination: Destination, settings: Settings, wake: asyncio.Event) -> None:
        self._destination, self._wake = destination, wake
        self._database: DatabaseSettings = settings.database
        self._keep_days = settings.integrations.keep_days
        self._name = destination.name
        self._backoff = Backoff(first_s=0.5, most_s=60.0)
        for counter in (_delivered, _failed):
            counter.labels(self._name)
        for reason in ("old", "refused", "gone"):
            _dropped.labels(self._name, reason)

    async def run(self) -> None:
        """Deliver until cancelled; ends by itself where the other side is gone."""
        while True:
            pause_s: float | None = None
            try:
                async with Outbox.open(self._database, self._name) as outbox:
                    await self._work(outbox)
            except Gone as error:
                await self._end(str(error))
                return
            except (StoreUnavailable, Undelivered) as error:
                pause_s = getattr(error, "pause_s", None)
                reason = redact(str(error))
            except Exception as error:  # noqa: BLE001 -- a broken integration must not end tracking
                reason = redact(f"{type(error).__name__}: {error}")
            _failed.labels(self._name).inc()
            pause_s = max(self._backoff.next_s(), pause_s or 0.0)
            _log.warning(
                "integration.waits",
                integration=self._name,
                reason=reason,
                pause_s=round(pause_s, 1),
            )
            await asyncio.sleep(pause_s)

    async def _work(self, outbox: Outbox) -> None:
        while not await outbox.hold():  # another tracker delivers
            await asyncio.sleep(_LOOK_S)
        async with self._destination.connected(outbox):
            _log.info("integration.connected", integration=self._name)
            tidy_at = 0.0
            while True:
                if asyncio.get_running_loop().time() >= tidy_at:
                    await self._tidy(outbox)
                    tidy_at = asyncio.get_running_loop().time() + _TIDY_S
                deliveries = await outbox.next()
                _backlog.labels(self._name).set(await outbox.waiting() if deliveries else 0)
                for delivery in deliveries:
                    await self._tell(delivery, outbox)
                await self._destination.settle(deliveries, outbox)
                if not deliveries:
                    await self._rest()

    async def _tell(self, delivery: Delivery, outbox: Outbox) -> None:
        try:
            await self._destination.tell(delivery)
        except Undelivered as error:
            if not error.refused:
                raise
            await outbox.failed(delivery)
            if delivery.attempts + 1 < _MOST_REFUSALS:
                raise
            _dropped.labels(self._name, "refused").inc()
            _log.error(
                "integration.refused", integration=self._name, event_id=delivery.id,
                reason=redact(str(error)), tries=_MOST_REFUSALS,
            )  # fmt: skip
        else:
            _delivered.labels(self._name).inc()
            self._backoff.reset()
        await outbox.done(delivery)

    async def _tidy(self, outbox: Outbox) -> None:
        if old := await outbox.give_up(self._keep_days):
            _dropped.labels(self._name, "old").inc(old)
            _log.error("integration.gave_up", integration=self._name, events=old)

    async def _rest(self) -> None:
        self._wake.clear()
        # Not wait_for: before Python 3.12 it can swallow a cancellation.
        waiting = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({waiting}, timeout=_LOOK_S)
        finally:
            waiting.cancel()

    async def _end(self, reason: str) -> None:
        _log.error(
            "integration.gone", integration=self._name, reason=redact(reason),
            remedy="its events are dropped until Posewire is started again",
        )  # fmt: skip
        while True:
            with contextlib.suppress(StoreUnavailable):
                async with Outbox.open(self._database, self._name) as outbox:
                    while True:
                        if dropped := await outbox.give_up(0.0):
                            _dropped.labels(self._name, "gone").inc(dropped)
                        await asyncio.sleep(_TIDY_S)
            await asyncio.sleep(_TIDY_S)
