"""Finding people by pose networks that assemble everybody who is in a region of the picture.

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
expected is not found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from posewire.inference import people, regions, skeletons
from posewire.inference.appearance import dressed
from posewire.inference.detector import Detector
from posewire.inference.engines import model_run
from posewire.inference.finder import LOW_SCORE, Finder, Found, Frame, Prior, due
from posewire.inference.imaging import Image
from posewire.inference.networks import Array, Look, PoseNetwork
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


class BottomUpFinder(Finder):
    """A pose network, with a detector where it has one."""

    def __init__(
        self, effort: Effort, least_score: float, network: PoseNetwork, detector: Detector | None
    ) -> None:
        self._effort, self._least = effort, least_score
        self._network, self._detector = network, detector

    async def prepare(self, image: Image, t: float, before_t: float | None) -> BottomUpFrame:
        frame = BottomUpFrame(self, image)
        effort = self._effort
        # Without a detector, sweeps are what finds those who come in.
        sweep_s = effort.detect_every_s if self._detector is None else effort.sweep_every_s
        await asyncio.gather(
            frame.detect() if due(t, before_t, effort.detect_every_s) else _nothing(),
            frame.sweep() if due(t, before_t, sweep_s) else _nothing(),
        )
        return frame

    def close(self) -> None:
        self._network.close()
        if self._detector is not None:
            self._detector.close()


class BottomUpFrame(Frame):
    """One frame on its way through the steps. Each step is done once."""

    def __init__(self, finder: BottomUpFinder, image: Image) -> None:
        self._finder, self._image = finder, image
        self._picture = (image.shape[0], image.shape[1])
        only = finder._effort.only_shape
        self._shapes = regions.SHAPES if only is None else (only,)
        self._boxes: Array = _NO_BOXES
        self._detected: ModelRun | None = None
        self._looks: list[Look] = []
        self._swept = False
        self._merged: tuple[Skeletons, Array] = skeletons.merge(())

    async def find(self, prior: Prior | None) -> Found:
        if prior is None:
            # Its predecessor may have turned out to be no picture.
            await asyncio.gather(self.detect(), self.sweep())
            expected: tuple[Person, ...] = ()
        else:
            low = LOW_SCORE * self._finder._least
            expected = tuple(person for person in prior.persons if person.score >= low)
            if not all(person.keypoints for person in expected):
                await self.detect()  # who is known by a box alone cannot be followed by skeleton
        await self._look_closer(expected)
        if self._missed(expected):
            await (self.detect() if self._finder._detector is not None else self.sweep())
            await self._look_closer(())
        return await self._found(expected)

    async def _look_closer(self, expected: Sequence[Person]) -> None:
        """Look where people are known from this frame, or expected from the one before."""
        known = self._people(())
        unseen = [person for person in expected if not _among(person, known)]
        wanted = people.targets([*known, *unseen], *self._merged, self._picture)
        most_cost = self._finder._effort.region_cost * self._finder._network.decoder.area_factor
        await self._look(
            regions.plan(wanted, self._picture, most_cost, swept=self._swept, shapes=self._shapes)
        )

    def _missed(self, expected: Sequence[Person]) -> bool:
        """Return whether somebody was not found again, and nobody has searched the frame yet."""
        searched = self._swept if self._finder._detector is None else self._detected is not None
        if searched:
            return False
        again = people.pair_again(expected, self._merged[0], self._picture)
        return len(again) < len(expected)

    async def _found(self, expected: Sequence[Person]) -> Found:
        """Return what was found."""
        pose = None
        if self._looks:
            engine = await self._finder._network.engine(self._looks[0].region.shape)
            started = min(look.started for look in self._looks)
            ended = max(look.ended for look in self._looks)
            pixels = sum(look.pixels for look in self._looks)
            pose = model_run(engine, ended - started, len(self._looks), pixels)
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
        low = LOW_SCORE * self._finder._least
        self._boxes, self._detected = await detector.find(self._image, low)

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


async def _nothing() -> None:
    """Stand in for a step that is not due."""
