"""Workers of one role share the cameras: each holds its fair share of leases, no more.

    share = cameras / workers, rounded up

    a worker comes   everybody's share falls; who holds more gives leases back, the newest first
    a worker goes    shares rise; its leases run out, and are taken by whoever has room

Nobody commands: each worker says every third of a lease's time that it lives, and counts who does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import Sequence
from types import TracebackType

import structlog
from prometheus_client import Gauge

from posewire.shared.bus import Bus, Lease, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import Message
from posewire.shared.tasks import cancel, finish

_log = structlog.get_logger(__name__)
_cameras = Gauge("posewire_worker_cameras", "Cameras that this worker holds", ["role"])


class Fleet:
    """This worker among those of its role. Use it as a context; then ``lease`` cameras."""

    def __init__(self, bus: Bus, role: str, cameras: Sequence[str], *, ttl_s: float) -> None:
        """``cameras``: those to share; ``ttl_s``: who is silent for so long is gone."""
        self._bus, self._role, self._count, self._ttl_s = bus, role, len(cameras), ttl_s
        # Who serves other cameras is no help with these.
        chosen = hashlib.sha256("\n".join(sorted(cameras)).encode()).hexdigest()[:16]
        self._key = keys.workers(role, chosen)
        self._name = uuid.uuid4().hex
        self._workers = 1
        self._held: list[_SharedLease] = []
        self._beating: asyncio.Task[None] | None = None
        _cameras.labels(role).set(0)

    @property
    def share(self) -> int:
        """Most cameras that this worker holds now."""
        return -(-self._count // self._workers)

    def lease(self, camera: str) -> Lease:
        """Return a lease on ``camera`` that is only taken, and only kept, within the share."""
        key = keys.lease(camera, self._role)
        return _SharedLease(self, self._bus.lease(key, ttl_s=self._ttl_s))

    def take(self, lease: _SharedLease) -> bool:
        """Make room for a lease; return whether there is any."""
        if len(self._held) >= self.share:
            return False
        self._held.append(lease)
        _cameras.labels(self._role).set(len(self._held))
        return True

    def drop(self, lease: _SharedLease) -> None:
        """Forget a lease."""
        if lease in self._held:
            self._held.remove(lease)
            _cameras.labels(self._role).set(len(self._held))

    async def __aenter__(self) -> Fleet:
        # Count before anything is taken: a worker that joins many takes its share at once.
        await self._beat()
        self._beating = asyncio.create_task(self._keep_beating(), name=f"fleet {self._role}")
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._beating is not None:
            await cancel([self._beating])
        with contextlib.suppress(BusUnavailable):
            await finish(self._bus.leave(self._key, self._name))

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            await self._beat()

    async def _beat(self) -> None:
        try:
            workers = await self._bus.beat(self._key, self._name, ttl_s=self._ttl_s)
        except BusUnavailable:
            return  # leases run out by themselves; the count of before is as good as any
        if workers != self._workers:
            _log.info("fleet.counted", role=self._role, workers=workers, cameras=self._count)
        self._workers = workers
        for lease in self._held[self.share :]:
            lease.give_up()


class _SharedLease(Lease):
    """A lease of the bus that its worker may have to give up."""

    def __init__(self, fleet: Fleet, lease: Lease) -> None:
        self._fleet, self._lease = fleet, lease
        self._given_up = False

    @property
    def held(self) -> bool:
        return self._lease.held and not self._given_up

    @property
    def term(self) -> int:
        return self._lease.term

    @property
    def owner(self) -> str:
        return self._lease.owner

    def give_up(self) -> None:
        """Let the work on this camera end; another worker has room for it."""
        self._given_up = True

    async def acquire(self) -> bool:
        if not self._fleet.take(self):
            return False
        taken = False
        try:
            taken = await self._lease.acquire()
        finally:
            if not taken:
                self._fleet.drop(self)
        return taken

    async def release(self) -> None:
        # Given back before the room is free: nobody here may take it again in between.
        try:
            await self._lease.release()
        finally:
            self._fleet.drop(self)

    async def publish(
        self,
        key: str,
        message: Message,
        *,
        maxlen: int,
        payload: bytes | None = None,
        epoch: int | None = None,
    ) -> str:
        return await self._lease.publish(key, message, maxlen=maxlen, payload=payload, epoch=epoch)

    async def put(self, key: str, message: Message, *, ttl_s: float | None = None) -> None:
        await self._lease.put(key, message, ttl_s=ttl_s)
