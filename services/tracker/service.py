"""The tracker worker: poses from the bus in; rows to Postgres, track updates to the bus out.

The updates of a batch of pose results are published at once. The rows it makes, the tracker's state
after it and its position in the stream are committed together, beside that (saving.py); then the
progress is told. After any crash it goes on from the checkpoint: frames that come again are tracked
again, rows that are there already stay as they are, and updates that were published are not again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from posewire.shared.bus import START, Bus, Entry, Lease, keys
from posewire.shared.errors import StoreUnavailable
from posewire.shared.fleet import Fleet
from posewire.shared.health import Health
from posewire.shared.messages import EventKind, PoseResult, Progress, SessionEnd, TrackUpdate
from posewire.shared.settings import Settings
from posewire.shared.tasks import cancel
from posewire.shared.worker import holding, note_failure, require, run_cameras
from posewire.tracker.integrations import Integrations
from posewire.tracker.saving import Moment, Saver
from posewire.tracker.store import Checkpoint, Drawn, Rows, Store
from posewire.tracker.store.retention import keep_tidy
from posewire.tracker.tracking import CameraTracker

_log = structlog.get_logger(__name__)
_frames = Counter("posewire_tracker_frames_total", "Frames tracked", ["camera"])
_repeated = Counter("posewire_tracker_repeated_total", "Frames dropped as known", ["camera"])
_late = Counter(
    "posewire_tracker_late_total",
    "Frames dropped as late: their session has ended, or their capture has lost the camera",
    ["camera"],
)
_missing = Counter("posewire_tracker_missing_total", "Lossless frames that never came", ["camera"])
_events = Counter("posewire_events_total", "Events confirmed", ["camera", "kind"])
_people = Gauge("posewire_people", "Confirmed people in view", ["camera"])
_latency = Histogram(
    "posewire_latency_seconds",
    "From capture to the track update, live cameras",
    ["camera"],
    buckets=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5),
)
_BATCH = 64
_HEARTBEAT_S = 1.0
_AREAS_S = 0.5
"""Zones drawn on the page are in force after this long at most."""


async def run(settings: Settings, bus: Bus, health: Health | None = None) -> None:
    """Serve all enabled cameras until cancelled.

    ``health`` is told once the database has been tried: where it answers, its schema is there.
    """
    integrations = Integrations(settings)
    store = Store(settings.database, integrations.wanted_by)
    cameras = [name for name, camera in settings.cameras.items() if camera.enabled]
    fleet = Fleet(bus, "tracker", cameras, ttl_s=settings.bus.lease_s)
    tidying = asyncio.create_task(keep_tidy(settings, store), name="retention")
    try:
        with contextlib.suppress(StoreUnavailable):  # each camera waits for it below
            await store.open()
        (health or Health()).ready(f"follows {', '.join(cameras) or 'nobody'}")
        async with fleet, integrations.running():
            await run_cameras(
                cameras,
                lambda camera: serve(
                    camera, settings, bus, store, fleet.lease(camera), integrations.wake
                ),
            )
    finally:
        await cancel([tidying])
        await store.close()


async def serve(
    camera: str,
    settings: Settings,
    bus: Bus,
    store: Store,
    lease: Lease,
    on_events: Callable[[], None] = lambda: None,
) -> None:
    """Hold the camera's lease and follow its people until bus or database fail.

    ``on_events`` is called after events were committed.
    """
    async with holding(lease):
        saved = await store.checkpoint(camera)
        await _CameraWorker(camera, settings, bus, store, lease, saved, on_events).work()


class _CameraWorker:
    def __init__(
        self,
        camera: str,
        settings: Settings,
        bus: Bus,
        store: Store,
        lease: Lease,
        saved: Checkpoint | None,
        on_events: Callable[[], None],
    ) -> None:
        self._on_events = on_events
        self._camera, self._bus, self._store, self._lease = camera, bus, store, lease
        self._maxlen = settings.bus.results_maxlen
        for counter in (_frames, _repeated, _late, _missing):
            counter.labels(camera)  # seen as 0 from the start: rates need a first value
        for kind in get_args(EventKind):
            _events.labels(camera, kind)
        committed = saved or Checkpoint(camera, "", -1, START, b"", 0, ended=False)
        self._saver = Saver(
            store,
            committed,
            every_s=settings.tracker.commit_every_s,
            moment=self._moment,
            saved=self._saved,
        )
        self._configured = settings.cameras[camera].areas()
        self._tracker = (
            CameraTracker.load(saved.state, settings.tracker, self._configured)
            if saved is not None
            else CameraTracker(settings.tracker, camera, self._configured)
        )
        self._drawn = Drawn(0, None)
        self._seen = self._committed_seen = self._tracker.seen
        """Of the last moment that was to be committed, and of the last one that was."""
        self._at = committed
        """Where the tracker is in memory; ahead of what is committed."""
        self._lossless = False
        self._rows = Rows()
        self._updates: list[TrackUpdate | SessionEnd] = []
        self._published = ("", -1.0)
        """Session and frame of the newest update on the bus."""

    async def work(self) -> None:
        """Read, track, publish; and commit beside that."""
        await self._look_at_areas()
        last = await self._bus.last(keys.tracks(self._camera))
        self._published = ("", -1.0) if last is None else _place(last.message)
        loops = (self._follow, self._saver.run, self._keep_telling, self._keep_areas)
        tasks = [asyncio.create_task(loop(), name=f"camera {self._camera}") for loop in loops]
        try:
            done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(tasks)
        for task in done:
            task.result()  # raises what has ended it

    async def _follow(self) -> None:
        key = keys.poses(self._camera)
        epoch = self._bus.epoch_of(key)
        reader = self._bus.reader(key, await self._position(key))
        while True:
            require(self._lease, self._camera)
            if self._bus.epoch_of(key) != epoch:
                epoch = self._bus.epoch_of(key)
                reader.position = await self._position(key)
            before = self._at
            entries = await reader.read(count=_BATCH, block_s=_AREAS_S)
            for entry in entries:
                await self._take(entry)
            await self._publish()
            if self._at is not before:
                # The credit of the lossless policy hangs on the commit: now, unless more is coming.
                credit = self._lossless and len(entries) < _BATCH
                self._saver.ask(urgent=credit or bool(self._rows))

    async def _keep_areas(self) -> None:
        while True:
            await asyncio.sleep(_AREAS_S)
            with contextlib.suppress(StoreUnavailable):  # those in force stay so
                await self._look_at_areas()

    async def _keep_telling(self) -> None:
        while True:
            await self._tell()
            await asyncio.sleep(_HEARTBEAT_S)

    async def _position(self, key: str) -> str:
        """Return where to read on: after what was taken last, where the stream still has that.

        A server that has lost it counts ids anew, perhaps below ours, and by its own clock: then
        all that it has is read, and what is known is dropped.
        """
        at = self._at
        entry = await self._bus.entry(key, at.position) if at.position != START else None
        message = entry.message if entry is not None else None
        there = (
            (message.frame.session, message.frame.seq) == (at.session, at.seq)
            if isinstance(message, PoseResult)
            else isinstance(message, SessionEnd) and message.session == at.session and at.ended
        )
        return at.position if there else START

    async def _look_at_areas(self) -> None:
        """Put zones into force that were drawn in the meantime."""
        drawn = await self._store.areas(self._camera)
        if drawn != self._drawn:
            self._drawn = drawn
            self._tracker.areas = drawn.areas or self._configured
            _log.info("tracker.areas", camera=self._camera, version=drawn.version)

    async def _take(self, entry: Entry) -> None:
        message = entry.message
        if isinstance(message, PoseResult):
            session, seq, term = message.frame.session, float(message.frame.seq), message.frame.term
        elif isinstance(message, SessionEnd):
            session, seq, term = message.session, math.inf, message.term
        else:
            self._pass_over(entry, TypeError(f"{type(message).__name__} among the poses"))
            return
        if self._known(session, seq):
            _repeated.labels(self._camera).inc()
        elif await self._late(session, term):
            _late.labels(self._camera).inc()
        else:
            try:
                if isinstance(message, PoseResult):
                    self._track(message, entry.id)
                else:
                    self._end(message, entry.id)
            except Exception as error:  # noqa: BLE001 -- one message must not stop those after it
                self._pass_over(entry, error)

    def _pass_over(self, entry: Entry, error: Exception) -> None:
        """Leave a message behind for good: the position that is committed lies after it."""
        message, seq = entry.message, self._at.seq
        if isinstance(message, PoseResult) and message.frame.session == self._at.session:
            seq = message.frame.seq  # capture may wait for it
        self._at = replace(self._at, seq=seq, position=entry.id)
        note_failure(self._camera, "tracker.message_failed", error, entry=entry.id)

    def _known(self, session: str, seq: float) -> bool:
        return session == self._at.session and (self._at.ended or seq <= self._at.seq)

    async def _late(self, session: str, term: int) -> bool:
        """Return whether a message is of a session that has ended, or of an earlier capture.

        A lower term is an earlier one only if the bus has given a higher one since: a bus that has
        come back empty counts anew. Raises BusUnavailable.
        """
        if session == self._at.session:
            return False
        if self._tracker.is_over(session):
            return True
        if not 0 < term < self._tracker.term:
            return False
        return term < await self._bus.term(keys.lease(self._camera, "capture"))

    def _track(self, result: PoseResult, position: str) -> None:
        frame = result.frame
        update = self._tracker.update(result)
        if frame.session != self._at.session:
            self._rows.sessions.append(frame)
            expected = 0
        else:
            expected = self._at.seq + 1
        if frame.policy == "lossless" and frame.seq != expected:
            _missing.labels(self._camera).inc(frame.seq - expected)
            # Pictures of a folder that cannot be read leave gaps, too.
            _log.warning("tracker.gap", camera=self._camera, seq=frame.seq, expected=expected)
        self._lossless = frame.policy == "lossless"
        self._rows.events.extend(update.events)
        self._updates.append(update)
        self._at = replace(
            self._at, session=frame.session, seq=frame.seq, position=position, ended=False
        )
        _frames.labels(self._camera).inc()

    def _end(self, end: SessionEnd, position: str) -> None:
        self._rows.events.extend(self._tracker.end(end))
        self._rows.ends.append(end)
        self._updates.append(end)
        seq = self._at.seq if end.session == self._at.session else -1
        self._at = replace(self._at, session=end.session, seq=seq, position=position, ended=True)

    def _moment(self) -> Moment:
        rows, self._rows = self._rows, Rows()
        self._seen = self._tracker.seen
        state = replace(self._at, state=self._tracker.dump())
        return Moment(state, rows, self._lossless)

    async def _saved(self, rows: Rows) -> None:
        self._committed_seen = self._seen
        for event in rows.events:
            _events.labels(self._camera, event.kind).inc()
        if rows.events:
            self._on_events()
        await self._tell()

    async def _publish(self) -> None:
        updates, self._updates = self._updates, []
        _people.labels(self._camera).set(self._tracker.people)
        for update in updates:
            session, seq = _place(update)
            if session == self._published[0] and seq <= self._published[1]:
                continue  # tracked again after a crash
            await self._lease.publish(
                keys.tracks(self._camera), self._stamped(update), maxlen=self._maxlen
            )
            self._published = session, seq

    def _stamped(self, update: TrackUpdate | SessionEnd) -> TrackUpdate | SessionEnd:
        if isinstance(update, SessionEnd):
            return update
        update = msgspec.structs.replace(update, term=self._lease.term)
        if update.frame.policy != "live":
            return update
        latency_s = max(time.time() - update.frame.captured_at, 0.0)
        _latency.labels(self._camera).observe(latency_s)
        return msgspec.structs.replace(update, latency_ms=round(latency_s * 1000, 1))

    async def _tell(self) -> None:
        """Tell how far the commits are; repeated, because the bus forgets when it restarts."""
        committed = self._saver.committed
        if committed.session:
            t, persons = self._committed_seen
            progress = Progress(
                camera=self._camera,
                session=committed.session,
                seq=committed.seq,
                ended=committed.ended,
                t=t,
                persons=persons,
                term=self._lease.term,
            )
            await self._lease.put(keys.progress(self._camera), progress)


def _place(message: object) -> tuple[str, float]:
    """Return session and frame of what is in the stream of tracks; an end comes after all."""
    if isinstance(message, TrackUpdate):
        return message.frame.session, message.frame.seq
    return (message.session, math.inf) if isinstance(message, SessionEnd) else ("", -1.0)
