"""The durable path: what a camera's tracker has found goes to Postgres, beside following people.

    poses ──▶ follow ──▶ tracks          at once, whatever the database does
                 │
                 └──▶ Saver ──▶ Postgres  rows at once; else the state now and then

A commit with rows, and every commit of the lossless policy, returns when the disk has it. The
state of a live camera alone does not wait for the disk: what a crash takes back is followed again
from the poses on the bus.

While the database is away the rows are kept here and the camera is followed on. The next commit
that succeeds has them all; those that an earlier one had stored after all stay as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter, Histogram

from posewire.shared.backoff import Backoff
from posewire.shared.errors import LeaseLost, StoreUnavailable
from posewire.tracker.store import Checkpoint, Rows, Store

_log = structlog.get_logger(__name__)
_commit = Histogram("posewire_tracker_commit_seconds", "Time of one commit")
_failed = Counter("posewire_tracker_commits_failed_total", "Commits that failed", ["camera"])
_MOST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a camera's tracker is between two frames."""

    checkpoint: Checkpoint
    """Its ``version`` is given by the saver."""
    rows: Rows
    """What has come since the moment before."""
    lossless: bool
    """Whether capture waits for the commit."""


class Saver:
    """Commits a camera's moments, one after the other."""

    def __init__(
        self,
        store: Store,
        committed: Checkpoint,
        *,
        every_s: float,
        moment: Callable[[], Moment],
        saved: Callable[[Rows], Awaitable[None]],
    ) -> None:
        """``moment`` takes the rows along; ``saved`` is told what was committed with them."""
        self._store, self._every_s = store, every_s
        self._moment, self._saved = moment, saved
        self.committed = committed
        self._attempted: int | None = None
        """Version of a commit of which it is not known whether it took place."""
        self._rows = Rows()
        self._asked = asyncio.Event()
        self._urgent = asyncio.Event()
        self._backoff = Backoff(first_s=0.1, most_s=_MOST_PAUSE_S)
        _failed.labels(committed.camera)

    def ask(self, *, urgent: bool) -> None:
        """Say that there is something new; ``urgent``: not only now and then."""
        self._asked.set()
        if urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Commit what is asked for, until cancelled. Raises LeaseLost, StoreError."""
        while True:
            committed_at = time.monotonic()
            await self._asked.wait()
            await self._until_due(committed_at + self._every_s)
            self._asked.clear()
            self._urgent.clear()
            await self._commit()

    async def _until_due(self, then: float) -> None:
        # Not wait_for: before Python 3.12 it can swallow a cancellation.
        waiting = asyncio.ensure_future(self._urgent.wait())
        try:
            await asyncio.wait({waiting}, timeout=max(then - time.monotonic(), 0.0))
        finally:
            waiting.cancel()

    async def _commit(self) -> None:
        while True:
            moment = self._moment()
            rows = self._rows = self._rows + moment.rows
            try:
                await self._settle()
                new = replace(moment.checkpoint, version=self.committed.version + 1)
                self._attempted = new.version
                with _commit.time():
                    await self._store.commit(rows, new, on_disk=bool(rows) or moment.lossless)
            except StoreUnavailable as error:
                await self._wait(error)
                continue
            self._attempted, self._rows = None, Rows()
            self.committed = new
            self._backoff.reset()
            await self._saved(rows)
            return

    async def _settle(self) -> None:
        """Find out whether the last commit took place. Raises LeaseLost, StoreUnavailable."""
        if self._attempted is None:
            return
        there = await self._store.checkpoint(self.committed.camera)
        version = 0 if there is None else there.version
        if version not in (self.committed.version, self._attempted):
            raise LeaseLost(f"camera {self.committed.camera} was committed by another tracker")
        self.committed = replace(self.committed, version=version)
        self._attempted = None

    async def _wait(self, error: StoreUnavailable) -> None:
        camera, pause_s = self.committed.camera, self._backoff.next_s()
        _failed.labels(camera).inc()
        _log.warning(
            "tracker.not_saved", camera=camera, reason=str(error), pause_s=round(pause_s, 2),
            rows=len(self._rows.events),
        )  # fmt: skip
        await asyncio.sleep(pause_s)
