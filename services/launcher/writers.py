"""The files that analyze writes; coordinates in pixels of the source."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from posewire.shared.errors import SourceError
from posewire.shared.messages import Box, Event, FrameHeader, Keypoint, TrackedPerson, TrackUpdate
from posewire.shared.settings import Areas

EVENT_COLUMNS = ("frame", "t", "kind", "reason", "visit", "track", "people")
ZONE_COLUMNS = ("zone", "direction", "seconds")
"""Further columns where zones or lines are configured."""


def event_columns(*, zones: bool) -> tuple[str, ...]:
    """Return the columns of events.csv."""
    return EVENT_COLUMNS + ZONE_COLUMNS if zones else EVENT_COLUMNS


def event_row(event: Event, *, zones: bool) -> tuple[str | int, ...]:
    """Return an event in the columns of events.csv."""
    row = (
        event.seq, f"{event.t:.3f}", event.kind, event.reason or "",
        event.visit, event.track, event.people,
    )  # fmt: skip
    if not zones:
        return row
    seconds = "" if event.seconds is None else f"{event.seconds:.3f}"
    return (*row, event.zone or "", event.direction or "", seconds)


class Writer(Protocol):
    """Takes frames as they are done."""

    def frame(self, update: TrackUpdate, jpeg: bytes) -> None:
        """Write what a frame adds."""

    def events(self, events: Iterable[Event]) -> None:
        """Write events."""

    def close(self) -> None:
        """Finish the file; it is valid also when the run was cut short."""


class _File:
    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise SourceError(f"{path} cannot be written: {error}") from None

    def frame(self, update: TrackUpdate, jpeg: bytes) -> None:
        """Nothing by default."""

    def events(self, events: Iterable[Event]) -> None:
        """Nothing by default."""

    def close(self) -> None:
        self._file.close()


class EventsCsv(_File):
    """events.csv: one line an event, in the order of confirmation."""

    def __init__(self, path: Path, *, zones: bool) -> None:
        super().__init__(path)
        self._zones = zones
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(event_columns(zones=zones))

    def events(self, events: Iterable[Event]) -> None:
        self._rows.writerows(event_row(event, zones=self._zones) for event in events)


class PosesJsonl(_File):
    """poses.jsonl: one line a frame with its people."""

    def __init__(self, path: Path, *, tracked: bool) -> None:
        super().__init__(path)
        self._tracked = tracked

    def frame(self, update: TrackUpdate, jpeg: bytes) -> None:
        header = update.frame
        line = {
            "frame": header.seq,
            "file": header.file,
            "t": round(header.t, 4),
            "persons": [self._person(person, header) for person in update.persons],
        }
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")

    def _person(self, person: TrackedPerson, header: FrameHeader) -> dict[str, Any]:
        return {
            "track": person.track if self._tracked else None,
            "score": round(person.score, 4),
            "box": px_box(person.box, header),
            "keypoints": px_keypoints(person.keypoints, header),
        }


class MotTxt(_File):
    """tracks.txt: frame (from 1), id, left, top, width, height, confidence, -1, -1, -1."""

    def frame(self, update: TrackUpdate, jpeg: bytes) -> None:
        for person in update.persons:
            x0, y0, x1, y1 = px_box(person.box, update.frame)
            self._file.write(
                f"{update.frame.seq + 1},{person.track},{x0:.2f},{y0:.2f},"
                f"{x1 - x0:.2f},{y1 - y0:.2f},{person.score:.4f},-1,-1,-1\n"
            )


def px_box(rel_box: Box, header: FrameHeader) -> list[float]:
    """Return a relative box in pixels of the source."""
    width, height = header.width, header.height
    return [round(v * s, 2) for v, s in zip(rel_box, (width, height, width, height), strict=True)]


def px_keypoints(rel_points: Sequence[Keypoint], header: FrameHeader) -> list[list[float]]:
    """Return relative keypoints in pixels of the source; a missing point is [0, 0, 0]."""
    points = rel_points or ((0.0, 0.0, 0.0),) * 18
    width, height = header.width, header.height
    return [[round(x * width, 2), round(y * height, 2), round(score, 4)] for x, y, score in points]


class VideoFile:
    """out.mp4: H.264 with the overlay and the zones drawn in."""

    def __init__(self, path: Path, fps: float, areas: Areas) -> None:
        import av

        self._av, self._areas = av, areas
        rate = Fraction(fps or 2.0).limit_denominator(1001)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w", format="mp4")
            self._stream: Any = self._container.add_stream("libx264", rate=rate)
        except (OSError, ValueError) as error:
            raise SourceError(f"{path} cannot be written: {error}") from None
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "23", "preset": "veryfast"}
        self._size: tuple[int, int] | None = None

    def frame(self, update: TrackUpdate, jpeg: bytes) -> None:
        import cv2

        from posewire.shared.overlay import draw

        decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            return
        image: npt.NDArray[np.uint8] = np.asarray(decoded, dtype=np.uint8)
        draw(image, update, areas=self._areas)
        if self._size is None:
            # H.264 in 4:2:0 wants even sides.
            self._size = (image.shape[1] // 2 * 2 or 2, image.shape[0] // 2 * 2 or 2)
            self._stream.width, self._stream.height = self._size
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size), dtype=np.uint8)
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        self._container.mux(self._stream.encode(picture))

    def events(self, events: Iterable[Event]) -> None:
        """Events are drawn with their frames."""

    def close(self) -> None:
        if self._size is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


class Writers:
    """Several writers as one; closes them however the run ends."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for writer in self._writers:
            writer.close()

    def frame(self, update: TrackUpdate, jpeg: bytes) -> None:
        """Hand a frame and its events to all."""
        for writer in self._writers:
            writer.frame(update, jpeg)
            writer.events(update.events)

    def events(self, events: Iterable[Event]) -> None:
        """Hand events of the session's end to all."""
        for writer in self._writers:
            writer.events(events)
