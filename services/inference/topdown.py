"""Finding people with a detector, and looking at each of them with a top-down pose network.

              ┌─ detector, when due ─▶ boxes ─▶ their keypoints ─┐
    picture ──┤                                                  ├─▶ a person for each skeleton
              └─ people of the frame before ─▶ their keypoints ──┘              │
                                                                                ▼
                          the detector, once, and those it finds ◀── somebody is lost

Between runs of the detector a person's box follows from their keypoints, as in MediaPipe's pose
tracking (Bazarevsky et al., "BlazePose", 2020). A crop that shows nobody sends the detector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from posewire.inference import people
from posewire.inference.appearance import dressed
from posewire.inference.detections import iou_with
from posewire.inference.detector import Detector
from posewire.inference.estimator import Estimate, PoseEstimator
from posewire.inference.finder import LOW_SCORE, Finder, Found, Frame, Prior, due
from posewire.inference.imaging import Image
from posewire.inference.presets import TopDownEffort
from posewire.inference.skeletons import oks_with
from posewire.shared.messages import ModelRun, Person
from posewire.shared.skeleton import INDEX, SURE_POINT

Array = npt.NDArray[np.float32]

_SAME_BOX = 0.3
"""IoU from which a box may be that of somebody expected."""
_SAME_SKELETON = 0.8
"""OKS from which two crops show one person. High, because the area in it is that of the skeleton's
box, about twice that of the person."""
_BEYOND = 0.05
"""Points this far outside of the picture, as a share of the skeleton's size, are at its border."""
_OTHER_BOX = 0.6
"""IoU below which two boxes with one skeleton are two people, one of them hidden."""
_VOUCHES = 0.35
"""Mean keypoint score from which a skeleton vouches for somebody without the detector; below, it
is sent to look."""
_LEAST_POINTS = 4
"""Points that a box needs to follow them; with fewer it stays where it was."""
_UNKNOWN = 0.4
"""Mean keypoint score of somebody whom there was no time to look at: says neither yes nor no."""
_UNSEEN_BOX = 0.15
"""Score of the box of somebody whom the detector, when it ran, did not see."""
_MOST_SCORE = 0.99
_TORSO = [INDEX[name] for name in ("r_shoulder", "l_shoulder", "r_hip", "l_hip")]
_NO_BOXES = np.zeros((0, 5), np.float32)


def certainty(box_score: Array, keypoint_score: Array) -> Array:
    """Return how likely it is that there is a person, given the box's and mean keypoints' scores.

    A logistic regression on the boxes of PicoDet-S and the keypoints of PP-TinyPose (COCO images, a
    street, rendered people; docs/accuracy.md). Either score alone says much less: among boxes with
    a score of .3 to .5, the share of people is a tenth where the keypoints' is below .2, and more
    than half where it is above .4.
    """
    chance = np.clip(box_score, 1e-6, 1 - 1e-6)
    odds = 1.25 * np.log(chance / (1 - chance)) + 5.6 * keypoint_score - 2.2
    return np.asarray(np.minimum(1 / (1 + np.exp(-odds)), _MOST_SCORE), np.float32)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Places where somebody may be, and what a look at them showed."""

    boxes: Array
    """(n, 5), [x0, y0, x1, y1, score of the box], pixels."""
    points: Array
    """(n, 18, 3), pixels; all points that the network placed."""
    scores: Array
    """(n,), how likely it is that somebody is there."""
    detected: npt.NDArray[np.bool_]
    """(n,), whether the detector saw them in this frame."""

    @property
    def vouched(self) -> npt.NDArray[np.bool_]:
        """Whether the skeletons alone say that somebody is there, (n,)."""
        torso = (self.points[:, _TORSO, 2] >= SURE_POINT).any(1)
        return np.asarray(torso & (_mean_score(self.points) >= _VOUCHES))

    def unseen(self) -> _Candidates:
        """Return the same people, as certain as it leaves them that the detector saw none."""
        box_scores = np.full(len(self.scores), _UNSEEN_BOX, np.float32)
        doubted = certainty(box_scores, _mean_score(self.points))
        return replace(self, scores=np.minimum(self.scores, doubted))

    def only(self, rows: npt.NDArray[np.intp] | Sequence[int]) -> _Candidates:
        index = np.asarray(rows, np.intp)
        return _Candidates(
            self.boxes[index], self.points[index], self.scores[index], self.detected[index]
        )

    def with_others(self, others: _Candidates) -> _Candidates:
        return _Candidates(
            np.concatenate([self.boxes, others.boxes]),
            np.concatenate([self.points, others.points]),
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.detected, others.detected]),
        )


_NO_CANDIDATES = _Candidates(
    _NO_BOXES, np.zeros((0, 18, 3), np.float32), np.zeros(0, np.float32), np.zeros(0, bool)
)


class TopDownFinder(Finder):
    """A detector, and a network that looks at one person at a time."""

    def __init__(
        self,
        effort: TopDownEffort,
        least_score: float,
        keypoint_score: float,
        estimator: PoseEstimator,
        detector: Detector,
    ) -> None:
        """``least_score``: from here on somebody is a person; ``keypoint_score``: a keypoint."""
        self.effort, self.low_score = effort, LOW_SCORE * least_score
        self.keypoint_score = keypoint_score
        self.estimator, self.detector = estimator, detector

    async def prepare(self, image: Image, t: float, before_t: float | None) -> TopDownFrame:
        frame = TopDownFrame(self, image)
        if due(t, before_t, self.effort.detect_every_s):
            await frame.detect()
        return frame

    def close(self) -> None:
        self.estimator.close()
        self.detector.close()


class TopDownFrame(Frame):
    """One frame on its way."""

    def __init__(self, finder: TopDownFinder, image: Image) -> None:
        self._finder, self._image = finder, image
        self._picture = (image.shape[0], image.shape[1])
        self._detected: ModelRun | None = None
        self._found = _NO_CANDIDATES
        self._estimates: list[Estimate] = []

    async def detect(self) -> None:
        """Let the detector find people, and look at those who may be some."""
        if self._detected is not None:
            return
        finder = self._finder
        low = finder.effort.box_share * finder.detector.least_score
        boxes, self._detected = await finder.detector.find(self._image, low)
        points, shown = await self._look(boxes)
        scores = certainty(boxes[:, 4], shown)
        self._found = _Candidates(boxes, points, scores, np.ones(len(boxes), bool))

    async def find(self, prior: Prior | None) -> Found:
        low = self._finder.low_score
        expected = [] if prior is None else [p for p in prior.persons if p.score >= low]
        if prior is None or not all(person.keypoints for person in expected):
            # Who is known by a box alone cannot be followed by their skeleton.
            await self.detect()
        known = [person for person in expected if person.keypoints]
        before = np.array([self._in_pixels(person) for person in known], np.float32).reshape(-1, 5)
        followed = await self._follow([known[row] for row in self._unseen(before)])
        persons = one_each(self._found.with_others(followed))
        if self._detected is None and (
            len(persons.scores) < len(expected) or not followed.vouched.all()
        ):
            await self.detect()
            followed = followed.only(self._unseen(followed.boxes))
            persons = one_each(self._found.with_others(followed.unseen()))
        return await self._told(persons.only(np.flatnonzero(persons.scores >= low)))

    def _unseen(self, boxes: Array) -> list[int]:
        """Return the rows of the people expected in ``boxes`` whose box the detector has not given.

        Each box that it gave is one person's, of whom it overlaps most.
        """
        candidates = [
            (float(overlap), row, other)
            for row, box in enumerate(boxes)
            for other, overlap in enumerate(iou_with(box, self._found.boxes))
            if overlap >= _SAME_BOX
        ]
        pairs = people.best_pairs(candidates)
        return [row for row in range(len(boxes)) if row not in pairs]

    async def _follow(self, known: Sequence[Person]) -> _Candidates:
        """Look for people of the frame before where they were."""
        if not known:
            return _NO_CANDIDATES
        boxes = np.stack([self._in_pixels(person) for person in known])
        points, _shown = await self._look(boxes)
        for row, person in enumerate(known):
            boxes[row, :4] = self._moved(person, boxes[row, :4], points[row])
        scores = boxes[:, 4].copy()
        found = _Candidates(boxes, points, scores, np.zeros(len(known), bool))
        return found if self._detected is None else found.unseen()

    def _moved(self, person: Person, box: Array, now: Array) -> Array:
        """Return the box of somebody, moved as their points have since the frame before."""
        _box, before = people.in_pixels(person, self._picture)
        assert before is not None
        both = (before[:, 2] >= SURE_POINT) & (now[:, 2] >= SURE_POINT)
        if both.sum() < _LEAST_POINTS:
            return box
        sure = both[:, None].astype(np.float32)
        return people.carry_box(box, before * sure, self._kept(now) * sure, self._picture)

    async def _look(self, boxes: Array) -> tuple[Array, Array]:
        """Return the keypoints of people in ``boxes``, (n, 18, 3), and their mean scores, (n,).

        Those beyond the most that are looked at have no keypoints, and a score that says nothing.
        """
        most = self._finder.effort.most_people
        estimate = await self._finder.estimator.estimate(self._image, boxes[:most])
        self._estimates.append(estimate)
        points = np.zeros((len(boxes), 18, 3), np.float32)
        points[:most] = estimate.points
        shown = np.full(len(boxes), _UNKNOWN, np.float32)
        shown[:most] = _mean_score(estimate.points)
        return points, shown

    def _kept(self, points: Array) -> Array:
        """Return the points that are keypoints: sure enough, and in the picture.

        A point beyond the border is a guess at what is cut off, unless it is only just beyond.
        """
        limits = np.array([self._picture[1] - 1, self._picture[0] - 1], np.float32)
        room = _BEYOND * np.ptp(points[..., :2], axis=-2).max(-1)[..., None, None]
        inside = ((points[..., :2] >= -room) & (points[..., :2] <= limits + room)).all(-1)
        out = points.copy()
        out[..., :2] = np.clip(points[..., :2], 0, limits)
        good = inside & (points[..., 2] >= self._finder.keypoint_score)
        return np.where(good[..., None], out, 0).astype(np.float32)

    def _in_pixels(self, person: Person) -> Array:
        box, _points = people.in_pixels(person, self._picture)
        return np.append(box, np.float32(person.score)).astype(np.float32)

    async def _told(self, found: _Candidates) -> Found:
        order = np.argsort(-found.scores, kind="stable")
        points = self._kept(found.points)
        persons = tuple(
            people.person(
                found.boxes[row, :4], float(found.scores[row]), points[row], self._picture
            )
            for row in order
        )
        runs = [estimate.run for estimate in self._estimates if estimate.run is not None]
        decode_ms = round(sum(estimate.decode_ms for estimate in self._estimates), 2)
        persons = await asyncio.to_thread(dressed, self._image, persons)
        return Found(persons, self._detected, _together(runs), decode_ms)


def one_each(found: _Candidates) -> _Candidates:
    """Return one candidate for each person.

    The surest has the skeleton. Another with the same one is the same person, unless the detector
    gave it another box: then it is somebody whom the first one hides, a box without a skeleton.
    """
    order = np.argsort(-found.scores, kind="stable")
    found = found.only(order)
    points, scores = found.points.copy(), found.scores.copy()
    kept: list[int] = []
    for row in range(len(scores)):
        likeness = oks_with(found.points[row], found.points[kept])
        same = [kept[k] for k in np.flatnonzero(likeness >= _SAME_SKELETON)]
        if same:
            overlaps = iou_with(found.boxes[row, :4], found.boxes[same, :4])
            if not found.detected[row] or (overlaps >= _OTHER_BOX).any():
                continue
            points[row] = 0
            scores[row] = certainty(found.boxes[[row], 4], np.zeros(1, np.float32))[0]
        kept.append(row)
    return _Candidates(found.boxes, points, scores, found.detected).only(kept)


def _mean_score(points: Array) -> Array:
    """Return the mean score of people's keypoints, (n,), without the neck, which has none."""
    own = np.delete(points[..., 2], INDEX["neck"], axis=1)
    return np.asarray(own.mean(1), np.float32)


def _together(runs: Sequence[ModelRun]) -> ModelRun | None:
    if not runs:
        return None
    first = runs[0]
    return ModelRun(
        model=first.model,
        precision=first.precision,
        device=first.device,
        ms=round(sum(run.ms for run in runs), 2),
        runs=sum(run.runs for run in runs),
        pixels=sum(run.pixels for run in runs),
    )
