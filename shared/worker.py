"""The shell around every service: one task per camera, restarts, leases, signals.

serve(camera) ── raises BusUnavailable, StoreUnavailable, LeaseLost ──▶ pause, again
              ── raises DeviceError, ModelError, ConfigError ──▶ the process ends non-zero, its
              │                                                   supervisor restarts it
              └─ raises anything else ──▶ counted, logged; pause, again: no other camera notices
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import structlog
from prometheus_client import Counter

from posewire.shared.backoff import Backoff
from posewire.shared.bus import Lease
from posewire.shared.causes import Causes
from posewire.shared.errors import (
    BusUnavailable,
    ConfigError,
    DeviceError,
    LeaseLost,
    ModelError,
    StoreUnavailable,
)
from posewire.shared.tasks import cancel

_log = structlog.get_logger(__name__)
_ASK_S = 0.5
"""Pause between two tries to take a camera over."""
_PASSING = (BusUnavailable, StoreUnavailable, LeaseLost)
_OF_THE_PROCESS = (DeviceError, ModelError, ConfigError)
"""What no camera can be served without."""
_causes = Causes()
failures = Counter(
    "posewire_worker_failures_total",
    "Faults in the work on one camera that it was begun anew for, or a message passed over",
    ["camera"],
)


async def run_cameras(
    cameras: Iterable[str], serve: Callable[[str], Awaitable[None]], *, most_pause_s: float = 2.0
) -> None:
    """Run ``serve`` for every camera until cancelled, again after passing faults.

    A ``serve`` that returns is started again at once; one that raises, after a pause. Only what no
    camera can be served without (a device, a model, a setting) cancels the others and is raised.
    """
    cameras = list(cameras)
    for name in cameras:
        failures.labels(name)  # seen as 0 from the start: rates need a first value
    tasks = [
        asyncio.create_task(_keep_serving(name, serve, most_pause_s), name=f"camera {name}")
        for name in cameras
    ]
    if not tasks:
        await asyncio.get_running_loop().create_future()  # nothing to do is no reason to end
    try:
        done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await cancel(tasks)
    for task in done:
        task.result()  # raises what has ended the task


async def _keep_serving(
    camera: str, serve: Callable[[str], Awaitable[None]], most_pause_s: float
) -> None:
    backoff = Backoff(first_s=0.1, most_s=most_pause_s)
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            await serve(camera)
        except _PASSING as error:
            if loop.time() - started > 10:
                backoff.reset()
            pause = backoff.next_s()
            _log.warning("worker.waits", camera=camera, reason=str(error), pause_s=round(pause, 2))
            await asyncio.sleep(pause)
        except _OF_THE_PROCESS:
            raise
        except Exception as error:  # noqa: BLE001 -- one camera's fault must not stop the others
            note_failure(camera, "worker.failed", error)
            await asyncio.sleep(backoff.next_s())
        else:
            await asyncio.sleep(0)


def note_failure(camera: str, event: str, error: Exception, **details: object) -> None:
    """Count a fault in the work on a camera, and log it, with where it was, once per cause."""
    failures.labels(camera).inc()
    if times := _causes.due(event, camera, type(error).__name__, error):
        _log.error(
            event, camera=camera, error=f"{type(error).__name__}: {error}", times=times,
            exc_info=error, **details,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def holding(
    lease: Lease, standing_by: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Lease]:
    """Hold a camera's lease; waits until it is free, and calls ``standing_by`` again and again.

    Publish through the lease. Before work that takes long, ``require`` it.
    """
    while not await lease.acquire():
        if standing_by is not None:
            await standing_by()
        await asyncio.sleep(_ASK_S)
    try:
        yield lease
    finally:
        await lease.release()


def require(lease: Lease, camera: str) -> None:
    """Raise LeaseLost where ``lease`` is not held any more."""
    if not lease.held:
        raise LeaseLost(
            f"the lease on camera {camera} is lost or given up; another worker may have it"
        )


async def until_stopped(main: Awaitable[None], *, ask_again_s: float = 3.0) -> None:
    """Run ``main`` until it ends or SIGINT or SIGTERM comes, which cancels it.

    Cancels again after ``ask_again_s``, because a cancellation can be swallowed: see ``cancel``.
    Raise it for a ``main`` that takes longer to end in order.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    stop = asyncio.create_task(asked.wait(), name="signals")
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=ask_again_s)
        await task  # raises what has ended it
    except asyncio.CancelledError:
        _log.info("service.stopped")
    finally:
        task.cancel()
        stop.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
