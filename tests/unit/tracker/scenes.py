"""Scenes for tests of the tracker: people on paths, as pose results without pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from posewire.shared.messages import Event, FrameHeader, Keypoint, Person, PoseResult, SessionEnd
from posewire.shared.settings import Areas, TrackerSettings
from posewire.tracker.tracking import CameraTracker

FPS = 10.0
ASPECT = 640 / 480
Path = Callable[[float], tuple[float, float] | None]
"""Where somebody is at a time: middle x and top of the box, relative; None: not to be seen."""


def header(seq: int, *, session: str = "s", fps: float = FPS) -> FrameHeader:
    return FrameHeader(
        camera="door", session=session, seq=seq, t=seq / fps, captured_at=1000 + seq / fps,
        width=640, height=480, source="demo", policy="lossless", fps=fps,
    )  # fmt: skip


def person(x: float, top: float, score: float = 0.9, height: float = 0.5) -> Person:
    """A box of a standing person, cut at the picture's border."""
    half = 0.2 * height / ASPECT
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


@dataclass(frozen=True, slots=True)
class Walker:
    """Somebody who walks in over a side of the picture, perhaps stops, and walks out again."""

    start: float
    """When they are at the side, seconds."""
    speed: float
    """Picture heights per second; to the right, or to the left where it is negative."""
    feet: float = 0.85
    height: float = 0.4
    """Relative to the picture's height, as is where their feet are."""
    pause: tuple[float, float] = (0.5, 0.0)
    """Where (share of the way) and for how long (seconds) they stop."""
    dress: int = 0

    @property
    def width(self) -> float:
        return 0.4 * self.height

    @property
    def leaves(self) -> float:
        """When they are out of the picture."""
        return self.start + (ASPECT + self.width) / abs(self.speed) + self.pause[1]

    def x(self, t: float) -> float | None:
        """Middle of the body in picture heights; None where they are not in the picture."""
        way, whole = abs(self.speed) * (t - self.start), ASPECT + self.width
        stop = self.pause[0] * whole
        if way > stop:
            way = max(stop, way - abs(self.speed) * self.pause[1])
        if not 0 <= way <= whole:
            return None
        x = way - self.width / 2
        return x if self.speed > 0 else ASPECT - x


@dataclass(frozen=True, slots=True)
class Camera:
    """What camera and networks make of a scene."""

    fps: float = 10.0
    noise: float = 0.01
    """Standard deviation of boxes, in heights of the person."""
    misses: float = 0.05
    """Share of people who are not found."""
    ghosts: float = 0.02
    """Boxes of nobody, per frame."""
    dropped: float = 0.0
    """Share of frames that are passed over."""
    posed: bool = True
    dressed: bool = True
    seed: int = 0
    least_shown: float = 0.3
    """Who is in the picture, or in sight, by less is not found."""


@dataclass
class Scene:
    """People before a camera."""

    walkers: Sequence[Walker]
    camera: Camera = field(default_factory=Camera)
    tail_s: float = 5.0

    def results(self) -> list[PoseResult]:
        """Return what inference would publish."""
        camera, rng = self.camera, np.random.default_rng(self.camera.seed)
        seconds = max((w.leaves for w in self.walkers), default=0.0) + self.tail_s
        found = []
        for seq in range(math.ceil(seconds * camera.fps)):
            persons = self._persons(seq / camera.fps, rng)
            if rng.random() < camera.dropped:
                continue
            frame = header(seq, fps=camera.fps)
            found.append(PoseResult(frame=frame, frame_id=f"{seq + 1}-0", persons=persons))
        return found

    def _persons(self, t: float, rng: np.random.Generator) -> tuple[Person, ...]:
        camera = self.camera
        there = [(w, x) for w in self.walkers if (x := w.x(t)) is not None]
        persons = []
        for walker, x in there:
            shown = min(x + walker.width / 2, ASPECT) - max(x - walker.width / 2, 0)
            hidden = max((_hidden(walker, x, *other) for other in there), default=0.0)
            unseen = shown < camera.least_shown * walker.width or 1 - hidden < camera.least_shown
            if unseen or rng.random() < camera.misses:
                continue
            persons.append(self._person(walker, x, hidden, rng))
        for _ in range(rng.poisson(camera.ghosts)):
            x, top = rng.uniform(0.1, 0.9), rng.uniform(0, 0.5)
            persons.append(person(x, top, rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.5)))
        return tuple(persons)

    def _person(self, walker: Walker, x: float, hidden: float, rng: np.random.Generator) -> Person:
        camera = self.camera
        dx, dy, dw, dh = rng.normal(0, camera.noise * walker.height, 4).tolist()
        half, tall = (walker.width + dw) / 2, walker.height + dh
        low = walker.feet + dy
        box = (
            max((x + dx - half) / ASPECT, 0.0), max(low - tall, 0.0),
            min((x + dx + half) / ASPECT, 1.0), min(low, 1.0),
        )  # fmt: skip
        return Person(
            box=box,
            score=float(np.clip(0.95 - 0.5 * hidden + rng.normal(0, 0.03), 0.1, 1.0)),
            keypoints=_skeleton(x + dx, low, tall, rng, camera.noise) if camera.posed else (),
            appearance=clothes(walker.dress) if camera.dressed else b"",
        )


def _hidden(one: Walker, x: float, other: Walker, other_x: float) -> float:
    """Return the share of ``one`` that ``other`` hides, who stands before them."""
    if other is one or other.feet <= one.feet:
        return 0.0
    across = (one.width + other.width) / 2 - abs(x - other_x)
    down = min(one.feet, other.feet) - max(one.feet - one.height, other.feet - other.height)
    return max(min(across / one.width, 1.0), 0.0) * max(down / one.height, 0.0)


def _skeleton(
    x: float, low: float, tall: float, rng: np.random.Generator, noise: float
) -> tuple[Keypoint, ...]:
    places = (
        (0, 0.92), (0, 0.82), (-0.1, 0.8), (-0.13, 0.65), (-0.13, 0.5), (0.1, 0.8), (0.13, 0.65),
        (0.13, 0.5), (-0.07, 0.5), (-0.07, 0.27), (-0.07, 0.04), (0.07, 0.5), (0.07, 0.27),
        (0.07, 0.04), (-0.02, 0.94), (0.02, 0.94), (-0.04, 0.93), (0.04, 0.93),
    )  # fmt: skip
    points = np.array([(x + dx * tall, low - up * tall) for dx, up in places])
    points += rng.normal(0, noise * tall, points.shape)
    points[:, 0] /= ASPECT
    inside = ((points >= 0) & (points <= 1)).all(axis=1)
    return tuple(
        (float(px), float(py), 0.8) if shown else (0.0, 0.0, 0.0)
        for (px, py), shown in zip(points, inside, strict=True)
    )


def clothes(dress: int) -> bytes:
    """Return an appearance; different numbers look different."""
    bins = [0] * 24
    for part in (0, 12):
        bins[part + (dress * 5 + part) % 12] = bins[part + (dress * 5 + 1 + part) % 12] = 180
    return bytes(bins)


def end_of(frames: list[PoseResult]) -> SessionEnd:
    last = frames[-1].frame
    return SessionEnd(
        camera="door", session=last.session, frames=last.seq + 1, t=last.t,
        captured_at=last.captured_at, frame_id=f"{last.seq + 2}-0",
    )  # fmt: skip


def events_of(
    frames: list[PoseResult],
    settings: TrackerSettings | None = None,
    *,
    areas: Areas | None = None,
    end: bool = True,
) -> list[Event]:
    """Return the events of a scene from a fresh tracker."""
    tracker = CameraTracker(settings or TrackerSettings(), "door", areas)
    events = [event for frame in frames for event in tracker.update(frame).events]
    return events + (list(tracker.end(end_of(frames))) if end else [])
