"""The inference worker: frames from the bus in, poses to the bus out.

Where it goes on follows from what it has published: the last entry of the poses stream names the
frame it came from. So a worker that takes over, or finds the bus restarted, repeats at most what
had not been published, and the tracker drops what it already has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog
from msgspec.structs import replace
from prometheus_client import Counter, Histogram

from posewire.inference.pipeline import PersonPipeline
from posewire.inference.stall import Stall
from posewire.inference.watch import Examined, Examiner, Findings, Watch
from posewire.shared.bus import START, Bus, Entry, Lease, keys
from posewire.shared.causes import Causes
from posewire.shared.fleet import Fleet
from posewire.shared.health import Health
from posewire.shared.messages import FrameHeader, PoseResult, Progress, SessionEnd
from posewire.shared.settings import Settings
from posewire.shared.tasks import cancel
from posewire.shared.worker import holding, require, run_cameras

_log = structlog.get_logger(__name__)
_frames = Counter("posewire_inference_frames_total", "Frames examined", ["camera"])
_skipped = Counter("posewire_inference_skipped_total", "Frames the live policy skipped", ["camera"])
_broken = Counter("posewire_inference_broken_total", "Frames that are no pictures", ["camera"])
_seconds = Histogram(
    "posewire_inference_seconds",
    "Time to examine a frame, by stage",
    ["stage"],
    buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5),
)
_causes = Causes()
_LIVE_IN_FLIGHT = 2
"""Live frames examined at once: more would only make each of them older."""


async def run(settings: Settings, bus: Bus, health: Health | None = None) -> None:
    """Serve all enabled cameras until cancelled. Raises ModelError, DeviceError at the start.

    ``health`` is told once the models are loaded; it stops where the device does not answer.
    """
    health = health or Health()
    pipeline = await PersonPipeline.open(settings.inference)
    _log.info("inference.ready", models=pipeline.describe())
    cameras = [name for name, camera in settings.cameras.items() if camera.enabled]
    stall = Stall(settings.inference.stuck_after_s)
    health.add_check(stall.reason)
    health.ready(f"examines {', '.join(cameras) or 'nothing'} by {pipeline.describe()}")
    fleet = Fleet(bus, "inference", cameras, ttl_s=settings.bus.lease_s)
    try:
        async with fleet:
            await run_cameras(
                cameras,
                lambda camera: serve(camera, settings, bus, pipeline, fleet.lease(camera), stall),
            )
    finally:
        await pipeline.close()


async def serve(
    camera: str,
    settings: Settings,
    bus: Bus,
    examiner: Examiner,
    lease: Lease,
    stall: Stall | None = None,
) -> None:
    """Hold the camera's lease and work on its frames until the bus fails or restarts."""
    stall = stall or Stall(settings.inference.stuck_after_s)
    async with holding(lease):
        worker = _CameraWorker(camera, settings, bus, examiner, lease, stall)
        try:
            await worker.work()
        finally:
            await worker.cancel()


@dataclass(frozen=True, slots=True)
class _Pending:
    """A frame on its way through the pipeline."""

    entry_id: str
    header: FrameHeader
    examined: asyncio.Task[Examined]
    skipped: int


class _CameraWorker:
    def __init__(
        self,
        camera: str,
        settings: Settings,
        bus: Bus,
        examiner: Examiner,
        lease: Lease,
        stall: Stall,
    ) -> None:
        self._camera, self._bus, self._lease, self._stall = camera, bus, lease, stall
        self._examiner, self._watch = examiner, Watch(examiner)
        self._in_flight = settings.inference.in_flight
        self._maxlen = settings.bus.results_maxlen
        for counter in (_frames, _skipped, _broken):
            counter.labels(camera)  # seen as 0 from the start: rates need a first value
        self._pending: deque[_Pending] = deque()
        self._last: FrameHeader | None = None
        self._epoch = 0

    async def work(self) -> None:
        """Read, examine, publish; returns when the bus has become another server."""
        key = keys.frames(self._camera)
        self._epoch = self._bus.epoch_of(key)
        reader = self._bus.reader(key, await self._position())
        while self._bus.epoch_of(key) == self._epoch:
            require(self._lease, self._camera)
            live = self._last is not None and self._last.policy == "live"
            free = (min(self._in_flight, _LIVE_IN_FLIGHT) if live else self._in_flight) - len(
                self._pending
            )
            if free <= 0:
                await self._publish_ready(wait=True)
                continue
            # While frames are being examined, look for more without waiting.
            block_s = 0.001 if self._pending else 1.0
            if live:
                newest = await reader.newest(block_s=block_s)
                entries = [newest] if newest is not None else []
            else:
                entries = await reader.read(count=free, block_s=block_s)
            for entry in entries:
                await self._take(entry)
            await self._publish_ready(wait=bool(self._pending) and not entries)
        # A server that came back may lack what was published: begin again from what it has.

    async def _position(self) -> str:
        last = await self._bus.last(keys.poses(self._camera))
        if last is not None and isinstance(last.message, (PoseResult, SessionEnd)):
            if isinstance(last.message, PoseResult):
                self._go_on_from(last.message)
            return last.message.frame_id or START
        return START

    def _go_on_from(self, result: PoseResult) -> None:
        self._last = result.frame
        known = Findings(
            result.persons, result.detector, result.pose, result.total_ms, error=result.error
        )
        self._watch = Watch(self._examiner, Examined(result.frame, known))

    async def _take(self, entry: Entry) -> None:
        message = entry.message
        if isinstance(message, SessionEnd):
            await self._drain()
            end = replace(message, frame_id=entry.id)
            await self._append(end)
            return
        if not isinstance(message, FrameHeader):
            if times := _causes.due(self._camera, type(message).__name__):
                _log.warning(
                    "inference.unexpected",
                    camera=self._camera, message=type(message).__name__, times=times,
                )  # fmt: skip
            return
        if message.policy == "lossless" and not _follows(message, self._last):
            await self._catch_up(message)
        skipped = _gap(self._last, message)
        self._last = message
        _skipped.labels(self._camera).inc(skipped)
        examined = self._watch.take(message, entry.payload or b"")
        self._pending.append(_Pending(entry.id, message, examined, skipped))
        self._stall.waits(self._camera)

    async def _catch_up(self, frame: FrameHeader) -> None:
        """Go on from the tracker's last commit, where the bus has lost our own last result."""
        progress = await self._bus.get(keys.progress(self._camera))
        if (
            isinstance(progress, Progress)
            and progress.persons is not None
            and (progress.session, progress.seq) == (frame.session, frame.seq - 1)
        ):
            before = replace(frame, seq=progress.seq, t=progress.t)
            known = Findings(progress.persons, None, None, 0.0)
            self._watch = Watch(self._examiner, Examined(before, known))

    async def _publish_ready(self, *, wait: bool) -> None:
        """Publish what is done, in order; with ``wait``, at least the oldest."""
        while self._pending and (wait or self._pending[0].examined.done()):
            wait = False
            done = self._pending[0]
            findings = (await done.examined).findings
            self._pending.popleft()
            self._stall.answered(self._camera, more=bool(self._pending))
            await self._publish(done, findings)

    async def _drain(self) -> None:
        while self._pending:
            await self._publish_ready(wait=True)

    async def _publish(self, done: _Pending, findings: Findings) -> None:
        result = PoseResult(
            frame=done.header,
            frame_id=done.entry_id,
            persons=findings.persons,
            detector=findings.detector,
            pose=findings.pose,
            decode_ms=findings.decode_ms,
            total_ms=findings.total_ms,
            skipped=done.skipped,
            error=findings.error,
            term=self._lease.term,
        )
        await self._append(result)
        _frames.labels(self._camera).inc()
        _seconds.labels("total").observe(findings.total_ms / 1000)
        _seconds.labels("decode").observe(findings.decode_ms / 1000)
        for stage, run_ in (("detector", findings.detector), ("pose", findings.pose)):
            if run_ is not None:
                _seconds.labels(stage).observe(run_.ms / 1000)
        if findings.error is not None:
            _broken.labels(self._camera).inc()
            if times := _causes.due(self._camera, findings.error):
                _log.warning(
                    "inference.broken_frame",
                    camera=self._camera, seq=done.header.seq, error=findings.error, times=times,
                )  # fmt: skip

    async def _append(self, message: PoseResult | SessionEnd) -> None:
        # The server asks for the lease: it may have been lost while the frame was examined. A
        # server that has come since then may lack the results before this one.
        await self._lease.publish(
            keys.poses(self._camera), message, maxlen=self._maxlen, epoch=self._epoch
        )

    async def cancel(self) -> None:
        """Give up what is on its way."""
        await cancel(pending.examined for pending in self._pending)
        self._pending.clear()
        self._stall.answered(self._camera, more=False)


def _follows(frame: FrameHeader, last: FrameHeader | None) -> bool:
    if last is None or last.session != frame.session:
        return frame.seq == 0
    return frame.seq == last.seq + 1


def _gap(last: FrameHeader | None, header: FrameHeader) -> int:
    """Frames between two of one session."""
    if last is None or last.session != header.session or header.seq <= last.seq:
        return 0
    return header.seq - last.seq - 1
