"""Scenes for tests of the tracker: people on paths, as pose results without pictures."""

from __future__ import annotations

from collections.abc import Callable

from services.tracker.tracking import CameraTracker
from shared.messages import Event, FrameHeader, Person, PoseResult, SessionEnd
from shared.settings import TrackerSettings

FPS = 10.0
Path = Callable[[float], tuple[float, float] | None]
"""Where somebody is at a time: middle x and top of the box, relative; None: not to be seen."""


def header(seq: int, *, session: str = "s", fps: float = FPS) -> FrameHeader:
    return FrameHeader(
        camera="door", session=session, seq=seq, t=seq / fps, captured_at=1000 + seq / fps,
        width=640, height=480, source="demo", policy="lossless", fps=fps,
    )  # fmt: skip


def person(x: float, top: float, score: float = 0.9, height: float = 0.5) -> Person:
    """A box of a standing person, cut at the picture's border."""
    half = 0.2 * height * 480 / 640 / 2 * 2
    box = (max(x - half, 0.0), max(top, 0.0), min(x + half, 1.0), min(top + height, 1.0))
    return Person(box=box, score=score)


def results(
    people: list[Path], seconds: float, *, session: str = "s", fps: float = FPS
) -> list[PoseResult]:
    """Return the pose results of a scene."""
    found = []
    for seq in range(round(seconds * fps)):
        places = [path(seq / fps) for path in people]
        persons = tuple(person(*place) for place in places if place is not None)
        # Somebody of whom only a sliver is in the picture is not detected.
        persons = tuple(p for p in persons if p.box[2] - p.box[0] > 0.03)
        frame = header(seq, session=session, fps=fps)
        found.append(PoseResult(frame=frame, frame_id=f"{seq + 1}-0", persons=persons))
    return found


def walk(start: float, x0: float, x1: float, speed: float = 0.2, top: float = 0.3) -> Path:
    """Somebody who appears at ``start``, walks from x0 to x1, and is gone then."""

    def path(t: float) -> tuple[float, float] | None:
        done = (t - start) * speed / abs(x1 - x0)
        return (x0 + (x1 - x0) * done, top) if 0 <= done <= 1 else None

    return path


def stand(x: float, start: float = 0.0, end: float = 1e9, top: float = 0.3) -> Path:
    """Somebody who stands at ``x`` from ``start`` to ``end``."""
    return lambda t: (x, top) if start <= t <= end else None


def end_of(frames: list[PoseResult]) -> SessionEnd:
    last = frames[-1].frame
    return SessionEnd(
        camera="door", session=last.session, frames=last.seq + 1, t=last.t,
        captured_at=last.captured_at, frame_id=f"{last.seq + 2}-0",
    )  # fmt: skip


def events_of(
    frames: list[PoseResult], settings: TrackerSettings | None = None, *, end: bool = True
) -> list[Event]:
    """Return the events of a scene from a fresh tracker."""
    tracker = CameraTracker(settings or TrackerSettings(), "door")
    events = [event for frame in frames for event in tracker.update(frame).events]
    return events + (list(tracker.end(end_of(frames))) if end else [])
