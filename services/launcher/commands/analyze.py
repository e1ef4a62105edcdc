"""posewire analyze: the same stages as the services, in one process and without servers."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from posewire.capture.sources import Picture, Source, open_source
from posewire.inference.pipeline import PersonPipeline
from posewire.inference.regions import FULL_AREA
from posewire.inference.watch import Examined, Findings, Watch
from posewire.launcher.options import settings_for
from posewire.launcher.writers import (
    EventsCsv,
    MotTxt,
    PosesJsonl,
    VideoFile,
    Writer,
    Writers,
    event_columns,
    event_row,
)
from posewire.shared.errors import ConfigError, SourceError
from posewire.shared.messages import (
    Event,
    FrameHeader,
    PoseResult,
    SessionEnd,
    TrackedPerson,
    TrackUpdate,
)
from posewire.shared.settings import Areas, Settings, SourceSettings
from posewire.shared.telemetry import configure_logging
from posewire.shared.worker import until_stopped
from posewire.tracker.tracking import CameraTracker

_CAMERA = "analyze"


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files to write; None: not this one."""

    events: Path | None = None
    poses: Path | None = None
    mot: Path | None = None
    video: Path | None = None


def analyze(
    url: str,
    config: Path | None,
    overrides: Mapping[str, Any],
    outputs: Outputs,
    *,
    camera: str | None = None,
    most_frames: int = 0,
    as_json: bool = False,
) -> None:
    """Analyse ``url`` and write ``outputs``. Raises PosewireError.

    ``camera``: whose zones, lines and masks are in force; None: of the one that plays ``url``.
    """
    settings = settings_for(config, overrides)
    configure_logging(settings.telemetry)
    configured = settings.sources.get(url)
    source = configured or SourceSettings(url=url)
    areas = _areas(settings, url, camera)
    source = source.model_copy(update={"loop": False})
    run = _Analysis(settings, source, areas, outputs, most_frames)
    try:
        asyncio.run(until_stopped(run.run()))
    finally:
        if run.frames:
            run.report(as_json=as_json)
    if run.error is not None and not run.frames:
        raise run.error
    if not run.frames and run.error is None:
        raise SourceError(f"{url} has no pictures")


class _Analysis:
    def __init__(
        self,
        settings: Settings,
        source: SourceSettings,
        areas: Areas,
        outputs: Outputs,
        most_frames: int,
    ) -> None:
        self._settings, self._source, self._outputs = settings, source, outputs
        self._most_frames = most_frames or math.inf
        self._areas, self._zones = areas, bool(areas.zones or areas.lines)
        self._tracker = CameraTracker(settings.tracker, _CAMERA, areas)
        self._session = uuid.uuid4().hex
        self._events: list[Event] = []
        self._models = ""
        self._seconds = 0.0
        self._last: FrameHeader | None = None
        self.frames = 0
        self.broken = 0
        self._pose_pixels = self._detector_runs = 0
        self.most_people = 0
        self.error: SourceError | None = None

    async def run(self) -> None:
        source = await open_source(self._source, self._settings.capture)
        try:
            pipeline = await PersonPipeline.open(self._settings.inference)
            self._models = pipeline.describe()
            try:
                with Writers(self._writers(source)) as writers, self._progress(source) as progress:
                    await self._work(source, pipeline, writers, progress)
            finally:
                await pipeline.close()
        finally:
            await source.close()

    async def _work(
        self, source: Source, pipeline: PersonPipeline, writers: Writers, progress: Progress
    ) -> None:
        stills = not source.live and not source.fps
        bar = progress.add_task("analysing", total=source.frames)
        started = time.perf_counter()
        epoch = time.time()
        try:
            async for jpeg, examined in self._examined(source, pipeline, epoch):
                header, findings = examined.frame, examined.findings
                update = _still(header, findings) if stills else self._track(header, findings)
                writers.frame(update, jpeg)
                self._count(update, findings)
                self._seconds = time.perf_counter() - started
                progress.update(bar, completed=self.frames)
        finally:
            if self._last is not None and not stills:
                self._events += (events := self._tracker.end(_end(self._last, self.frames)))
                writers.events(events)

    async def _examined(
        self, source: Source, pipeline: PersonPipeline, epoch: float
    ) -> AsyncIterator[tuple[bytes, Examined]]:
        """Yield pictures with what was found in them, in order."""
        watch = Watch(pipeline)
        pending: deque[tuple[bytes, asyncio.Task[Examined]]] = deque()
        try:
            try:
                async for picture in source:
                    header = self._header(picture, source, epoch)
                    pending.append((picture.jpeg, watch.take(header, picture.jpeg)))
                    if len(pending) >= self._settings.inference.in_flight:
                        jpeg, examined = pending.popleft()
                        yield jpeg, await examined
                    if self.frames + len(pending) >= self._most_frames:
                        break
            except SourceError as error:
                # What was read until then counts: a truncated file has a beginning.
                self.error = error
                Console(stderr=True).print(f"posewire: {error}", style="red", highlight=False)
            while pending:
                jpeg, examined = pending.popleft()
                yield jpeg, await examined
        finally:
            for _jpeg, rest in pending:
                rest.cancel()

    def _header(self, picture: Picture, source: Source, epoch: float) -> FrameHeader:
        return FrameHeader(
            camera=_CAMERA,
            session=self._session,
            seq=picture.index,
            t=picture.t,
            captured_at=epoch + picture.t,
            width=picture.width,
            height=picture.height,
            source=self._source.url,
            policy="lossless",
            fps=source.fps,
            file=picture.file,
        )

    def _track(self, header: FrameHeader, findings: Findings) -> TrackUpdate:
        return self._tracker.update(
            PoseResult(
                frame=header,
                frame_id="",
                persons=findings.persons,
                detector=findings.detector,
                pose=findings.pose,
                decode_ms=findings.decode_ms,
                total_ms=findings.total_ms,
                error=findings.error,
            )
        )

    def _count(self, update: TrackUpdate, findings: Findings) -> None:
        self._last = update.frame
        self._events += update.events
        self.frames += 1
        self.broken += findings.error is not None
        self._pose_pixels += findings.pose.pixels if findings.pose is not None else 0
        self._detector_runs += findings.detector is not None
        self.most_people = max(self.most_people, update.people)

    def _writers(self, source: Source) -> list[Writer]:
        writers: list[Writer] = []
        tracked = source.live or bool(source.fps)
        if self._outputs.events:
            writers.append(EventsCsv(self._outputs.events, zones=self._zones))
        if self._outputs.poses:
            writers.append(PosesJsonl(self._outputs.poses, tracked=tracked))
        if self._outputs.mot:
            writers.append(MotTxt(self._outputs.mot))
        if self._outputs.video:
            writers.append(VideoFile(self._outputs.video, source.fps, self._areas))
        return writers

    @staticmethod
    def _progress(source: Source) -> Progress:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        return Progress(
            *columns,
            TextColumn("{task.completed} frames"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def report(self, *, as_json: bool) -> None:
        """Print the summary."""
        columns = event_columns(zones=self._zones)
        rows = [event_row(event, zones=self._zones) for event in self._events]
        fps = round(self.frames / self._seconds, 2) if self._seconds else 0.0
        if as_json:
            summary = {
                "frames": self.frames,
                "broken": self.broken,
                "seconds": round(self._seconds, 3),
                "fps": fps,
                "models": self._models,
                "pose_compute": round(self._pose_pixels / FULL_AREA / self.frames, 3),
                "detector_runs": round(self._detector_runs / self.frames, 3),
                "most_people": self.most_people,
                "events": [dict(zip(columns, row, strict=True)) for row in rows],
            }
            sys.stdout.write(json.dumps(summary) + "\n")
            return
        console = Console(highlight=False)
        console.print(f"{self.frames} frames in {self._seconds:.1f} s: {fps:.1f} frames/s")
        if self.broken:
            console.print(f"{self.broken} frames were no pictures", style="yellow")
        console.print(self._models, style="dim")
        if self._events:
            table = Table(*columns)
            for row in rows:
                table.add_row(*(str(value) for value in row))
            console.print(table)


def _areas(settings: Settings, url: str, camera: str | None) -> Areas:
    if camera is not None:
        if camera not in settings.cameras:
            known = ", ".join(sorted(settings.cameras)) or "none"
            raise ConfigError(f"no camera is called {camera!r}; there are: {known}")
        return settings.cameras[camera].areas()
    playing = (one for one in settings.cameras.values() if one.source == url)
    found = next(playing, None)
    return Areas() if found is None else found.areas()


def _still(header: FrameHeader, findings: Findings) -> TrackUpdate:
    """Return a picture's people as they are: unrelated pictures have no tracks."""
    return TrackUpdate(
        frame=header,
        frame_id="",
        persons=tuple(
            TrackedPerson(track=number, visit=None, box=p.box, score=p.score, keypoints=p.keypoints)
            for number, p in enumerate(findings.persons, start=1)
        ),
        people=len(findings.persons),
        detector=findings.detector,
        pose=findings.pose,
        inference_ms=findings.total_ms,
    )


def _end(last: FrameHeader, frames: int) -> SessionEnd:
    return SessionEnd(
        camera=_CAMERA,
        session=last.session,
        frames=frames,
        t=last.t,
        captured_at=last.captured_at,
        source=last.source,
    )
