"""Finds the people of one frame: what to run on it, where, and what follows from it.

              ┌── detector, when due ──┐
    picture ──┤                        ├──▶ people known ──▶ regions ──▶ closer looks
              └── sweeps, when due ────┘    and expected                     │
                                                 ▲                           ▼
    people of the frame before ──────────────────┘            merge, match ──▶ people
                                                                   │
                        the detector, once ◀── somebody is missed ─┘

Stills and the first frame of a video are swept: the pose network looks at the whole picture, in a
small input for people close by and in a larger one for others. After that each frame is looked at
where people were in the one before, and the detector runs now and then, and whenever somebody
expected is not found. What is run follows from the frame's time and the result before it alone, so
a frame that is examined again after a crash gives the same people. What is due by time alone runs
before the frame's predecessor is done, so one camera keeps several cores busy.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posewire.inference import people, regions, skeletons
from posewire.inference.appearance import dressed
from posewire.inference.detector import Detector
from posewire.inference.engines import Engine
from posewire.inference.imaging import Image
from posewire.inference.networks import LOW_SCORE, Array, Look, PoseNetwork
from posewire.inference.presets import Effort
from posewire.inference.skeletons import Skeletons
from posewire.shared.messages import ModelRun, Person

_KEPT_SCORE = 0.95
"""Share of a box's score that it keeps on a frame without the detector."""
_SAME_BOX = 0.3
_OVERLAP_CARRIED = 0.5
_CLOSE_UP = 0.27
"""Area of another sweep where the others show nobody: people who fill the picture are too large."""
_NO_BOXES = np.zeros((0, 5), np.float32)


@dataclass(frozen=True, slots=True)
class Prior:
    """The people of the frame before."""

    persons: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The people of a frame, and what ran to find them."""

    persons: tuple[Person, ...]
    detector: ModelRun | None
    pose: ModelRun | None
    decode_ms: float


class Finder:
    """A pose network, with a detector where it has one."""

    def __init__(
        self, effort: Effort, least_score: float, network: PoseNetwork, detector: Detector | None
    ) -> None:
        self._effort, self._least = effort, least_score
        self._network, self._detector = network, detector

    async def prepare(self, image: Image, t: float, before_t: float | None) -> Frame:
        """Run what is due on a frame by its time alone, before its predecessor is examined.

        Args:
            image: the picture.
            t: its time, seconds since the session began.
            before_t: its predecessor's; None where it stands alone.
        """
        frame = Frame(self, image)
        effort = self._effort
        # Without a detector, sweeps are what finds those who come in.
        sweep_s = effort.detect_every_s if self._detector is None else effort.sweep_every_s
        await asyncio.gather(
            frame.detect() if _due(t, before_t, effort.detect_every_s) else _nothing(),
            frame.sweep() if _due(t, before_t, sweep_s) else _nothing(),
        )
        return frame

    async def find(self, frame: Frame, prior: Prior | None) -> Found:
        """Return the people of a prepared frame; without ``prior`` it stands alone."""
        if prior is None:
            # Its predecessor may have turned out to be no picture.
            await asyncio.gather(frame.detect(), frame.sweep())
            expected: tuple[Person, ...] = ()
        else:
            low = LOW_SCORE * self._least
            expected = tuple(person for person in prior.persons if person.score >= low)
            if not all(person.keypoints for person in expected):
                await frame.detect()  # who is known by a box alone cannot be followed by skeleton
        await frame.look_closer(expected)
        if frame.missed(expected):
            await (frame.detect() if self._detector is not None else frame.sweep())
            await frame.look_closer(())
        return await frame.found(expected)

    def close(self) -> None:
        """Release the networks."""
        self._network.close()
        if self._detector is not None:
            self._detector.engine.close()


class Frame:
    """One frame on its way through the steps of a Finder. Each step is done once."""

    def __init__(self, finder: Finder, image: Image) -> None:
        self._finder, self._image = finder, image
        self._picture = (image.shape[0], image.shape[1])
        only = finder._effort.only_shape
        self._shapes = regions.SHAPES if only is None else (only,)
        self._boxes: Array = _NO_BOXES
        self._detected: ModelRun | None = None
        self._looks: list[Look] = []
        self._swept = False
        self._merged: tuple[Skeletons, Array] = skeletons.merge(())

    async def look_closer(self, expected: Sequence[Person]) -> None:
        """Look where people are known from this frame, or expected from the one before."""
        known = self._people(())
        unseen = [person for person in expected if not _among(person, known)]
        wanted = people.targets([*known, *unseen], *self._merged, self._picture)
        most_cost = self._finder._effort.region_cost * self._finder._network.decoder.area_factor
        await self._look(
            regions.plan(wanted, self._picture, most_cost, swept=self._swept, shapes=self._shapes)
        )

    def missed(self, expected: Sequence[Person]) -> bool:
        """Return whether somebody was not found again, and nobody has searched the frame yet."""
        searched = self._swept if self._finder._detector is None else self._detected is not None
        if searched:
            return False
        again = people.pair_again(expected, self._merged[0], self._picture)
        return len(again) < len(expected)

    async def found(self, expected: Sequence[Person]) -> Found:
        """Return what was found."""
        pose = None
        if self._looks:
            engine = await self._finder._network.engine(self._looks[0].region.shape)
            started = min(look.started for look in self._looks)
            ended = max(look.ended for look in self._looks)
            pixels = sum(look.pixels for look in self._looks)
            pose = _run(engine, ended - started, len(self._looks), pixels)
        decode_ms = round(sum(look.decode_ms for look in self._looks), 2)
        persons = await asyncio.to_thread(dressed, self._image, self._people(expected))
        return Found(persons, self._detected, pose, decode_ms)

    def _people(self, expected: Sequence[Person]) -> tuple[Person, ...]:
        boxes = np.concatenate([self._boxes, self._carried(expected)])
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        return people.match_people(boxes, self._merged[0], self._picture, self._finder._least)

    def _carried(self, expected: Sequence[Person]) -> Array:
        """Return the boxes of people found again, moved with their skeletons, shape (n, 5).

        Where the detector ran its boxes come first: only who it did not see keeps the former.
        """
        found = self._merged[0]
        if found.boxes is not None:
            return _NO_BOXES  # the network gives boxes of this frame
        carried = []
        for one, other in people.pair_again(expected, found, self._picture).items():
            box, before = people.in_pixels(expected[one], self._picture)
            assert before is not None
            moved = people.carry_box(box, before, found.points[other], self._picture)
            if any(skeletons.iou(moved, seen) >= _OVERLAP_CARRIED for seen in self._boxes):
                continue
            score = _KEPT_SCORE * expected[one].score
            if self._detected is not None:
                score = min(score, float(found.scores[other]))
            carried.append([*moved, score])
        return np.array(carried, np.float32).reshape(-1, 5)

    async def detect(self) -> None:
        """Run the detector, where there is one."""
        detector = self._finder._detector
        if detector is None or self._detected is not None:
            return
        started = time.perf_counter()
        tensor, view = await asyncio.to_thread(detector.prepare, self._image)
        low = LOW_SCORE * self._finder._least
        self._boxes = await detector.find(tensor, view, self._picture, low)
        pixels = math.prod(detector.engine.input_shape)
        self._detected = _run(detector.engine, time.perf_counter() - started, 1, pixels)

    async def sweep(self) -> None:
        """Look at the whole picture."""
        if self._swept:
            return
        areas = self._finder._network.decoder.sweeps(self._finder._effort.sweeps)
        await self._look([regions.sweep(self._picture, area, self._shapes) for area in areas])
        if not len(self._merged[0]) and min(areas) > _CLOSE_UP and len(self._shapes) > 1:
            await self._look([regions.sweep(self._picture, _CLOSE_UP)])
        self._swept = True

    async def _look(self, parts: Sequence[regions.Region]) -> None:
        if not parts:
            return
        self._looks += await self._finder._network.looks(self._image, parts)
        # In an order that does not depend on which of several looks ended first.
        self._looks.sort(key=lambda look: (look.region.px_box, look.region.shape))
        seen = [(look.skeletons, look.region.scale) for look in self._looks]
        self._merged = skeletons.merge(seen)


def _among(person: Person, known: Sequence[Person]) -> bool:
    box = np.array(person.box)
    return any(skeletons.iou(box, np.array(other.box)) >= _SAME_BOX for other in known)


def _due(t: float, before_t: float | None, every_s: float) -> bool:
    """Return whether a multiple of ``every_s`` lies after ``before_t`` and not after ``t``.

    It follows from the frames' times alone, whichever frames were skipped.
    """
    if before_t is None or every_s <= 0:
        return True
    # Times of frames are decimal fractions: 0.6 / 0.2 must count as 3.
    return math.floor(t / every_s + 1e-6) > math.floor(before_t / every_s + 1e-6)


def _run(engine: Engine, seconds: float, runs: int, pixels: int) -> ModelRun:
    return ModelRun(
        model=engine.model,
        precision=engine.precision,
        device=engine.device,
        ms=round(seconds * 1000, 2),
        runs=runs,
        pixels=pixels,
    )


async def _nothing() -> None:
    """Stand in for a step that is not due."""
