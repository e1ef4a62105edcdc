"""Skeletons of one picture, and joining those that several looks at it gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posewire.shared.skeleton import KEYPOINTS, MIRRORED, OKS_SIGMAS

Array = npt.NDArray[np.float32]

BEST_PX = 180.0
"""How long the longer side of a person is in the input where the networks are most accurate.

Measured on COCO people shown at 64 to 400 px: flat from 130 to 250 for human-pose-estimation-0001
and for MoveNet, falling on either side (docs/accuracy.md).
"""
_SAME = 0.5
"""Object keypoint similarity from which two skeletons are one person's."""
_SAME_BOX = 0.65
"""The same for the boxes that a network gives, where skeletons differ."""
_SLACK_OCTAVES = 0.3
_NEAR = 0.06
"""Keypoints of one person this close, as a share of the person's extent, are averaged."""
_LOSS_PER_OCTAVE = 0.5


@dataclass(frozen=True, slots=True)
class Skeletons:
    """``points``: (n, 18, 3), [x, y, score]; missing (0, 0, 0). ``scores``: (n,), 0 to 1.

    ``boxes``: (n, 4), [x0, y0, x1, y1], where the network gives them; otherwise None.
    """

    points: Array
    scores: Array
    boxes: Array | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def only(self, rows: Sequence[int] | npt.NDArray[np.intp]) -> Skeletons:
        """Return some of them, in the order of ``rows``."""
        index = np.asarray(rows, dtype=np.intp)
        boxes = None if self.boxes is None else self.boxes[index]
        return Skeletons(self.points[index], self.scores[index], boxes)


NOBODY = Skeletons(np.zeros((0, len(KEYPOINTS), 3), np.float32), np.zeros(0, np.float32))


def merge(seen: Sequence[tuple[Skeletons, float]]) -> tuple[Skeletons, Array]:
    """Join the skeletons of several looks at a picture to one for each person.

    The best leads: it has the highest sum of keypoint scores, discounted where the person was shown
    much smaller or larger than ``BEST_PX``, for there networks are sure of points that are wrong.
    Its keypoints are averaged with the others' that are close by, and those it lacks are theirs.

    Args:
        seen: skeletons in pixels of the picture, and their look's scale (input pixels per picture
            pixel).

    Returns:
        The skeletons, best first, and how large each was shown: the longer side of its keypoints'
        extent in input pixels, shape (n,).
    """
    found = [(skeletons, scale) for skeletons, scale in seen if len(skeletons)]
    if not found:
        return NOBODY, np.zeros(0, np.float32)
    boxes = [s.boxes for s, _scale in found if s.boxes is not None]
    together = Skeletons(
        np.concatenate([s.points for s, _scale in found]),
        np.concatenate([s.scores for s, _scale in found]),
        np.concatenate(boxes) if len(boxes) == len(found) else None,
    )
    scales = np.concatenate([np.full(len(s), scale, np.float32) for s, scale in found])
    shown = np.array([extent(points) for points in together.points], np.float32) * scales
    octaves = np.abs(np.log2(np.maximum(shown, 1.0) / BEST_PX))
    value = together.points[:, :, 2].sum(1)
    value = value * np.exp(-_LOSS_PER_OCTAVE * np.maximum(octaves - _SLACK_OCTAVES, 0))
    kept: list[list[int]] = []
    for index in np.argsort(-value, kind="stable"):
        for same in kept:
            if _are_one(together, same[0], int(index)):
                same.append(int(index))
                break
        else:
            kept.append([int(index)])
    fit = value / np.maximum(together.points[:, :, 2].sum(1), 1e-6)
    best = together.only([same[0] for same in kept])
    for row, same in enumerate(kept):
        best.points[row] = _joined(together.points[same], fit[same])
    return best, shown[[same[0] for same in kept]]


def _are_one(skeletons: Skeletons, one: int, two: int) -> bool:
    if oks(skeletons.points[one], skeletons.points[two]) >= _SAME:
        return True
    # Who is half hidden gets other guesses for the rest from every look.
    boxes = skeletons.boxes
    return boxes is not None and iou(boxes[one], boxes[two]) >= _SAME_BOX


def iou(a: Array, b: Array) -> float:
    """Return the intersection over union of two boxes, [x0, y0, x1, y1]."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def mirror(skeletons: Skeletons, width: float) -> Skeletons:
    """Return the skeletons of a mirrored picture of ``width`` as those of the picture."""
    points = skeletons.points[:, list(MIRRORED)]
    points[..., 0] = np.where(points[..., 2] > 0, width - points[..., 0], 0)
    boxes = skeletons.boxes
    if boxes is not None:
        boxes = boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32)
        boxes += np.array([width, 0, width, 0], np.float32)
    return Skeletons(points, skeletons.scores, boxes)


def _joined(points: Array, weights: Array) -> Array:
    """Return the first skeleton, averaged with the others where they agree and completed by them.

    Args:
        points: skeletons of one person, best first, shape (n, 18, 3).
        weights: how well each was shown, shape (n,), 0 to 1.
    """
    first = points[0]
    apart = np.hypot(*(points[:, :, :2] - first[:, :2]).transpose(2, 0, 1))
    near = (points[:, :, 2] > 0) & (apart <= _NEAR * extent(first))
    weight = points[:, :, 2] * weights[:, None] ** 2 * near
    out: Array = first.copy()
    total = weight.sum(0)
    seen = (first[:, 2] > 0) & (total > 0)
    out[seen, :2] = ((points[:, :, :2] * weight[..., None]).sum(0)[seen]) / total[seen, None]
    for other, fits in zip(points[1:], weights[1:], strict=True):
        lacks = (out[:, 2] <= 0) & (other[:, 2] > 0)
        out[lacks] = other[lacks] * np.array([1, 1, fits], np.float32)
    return out


def oks(one: Array, two: Array) -> float:
    """Return the object keypoint similarity of two skeletons, shape (18, 3), pixels; 0 to 1.

    COCO's measure over the keypoints both have; the area is that of the larger skeleton's box.
    Skeletons that share fewer than two keypoints have similarity 0.
    """
    shared = (one[:, 2] > 0) & (two[:, 2] > 0)
    if shared.sum() < 2:
        return 0.0
    area = max(_extent_area(one), _extent_area(two))
    squared = ((one[shared, :2] - two[shared, :2]) ** 2).sum(1)
    spread = 2 * area * (2 * OKS_SIGMAS[shared]) ** 2
    return float(np.exp(-squared / np.maximum(spread, 1e-6)).mean())


def oks_with(one: Array, others: Array) -> Array:
    """Return the object keypoint similarity of a skeleton with each of ``others``, (n, 18, 3).

    As ``oks``, with points weighed by how sure both are of them: top-down networks place every
    point, whether it shows or not.
    """
    weight = np.minimum(one[:, 2], others[..., 2])
    squared = ((one[:, :2] - others[..., :2]) ** 2).sum(-1)
    areas = np.array([_extent_area(points) for points in (one, *others) if points[:, 2].any()])
    if not len(others) or not len(areas) or not one[:, 2].any():
        return np.zeros(len(others), np.float32)
    spread = 2 * areas.max() * (2 * OKS_SIGMAS) ** 2
    likeness = np.exp(-squared / spread)
    total = weight.sum(-1)
    return np.asarray((likeness * weight).sum(-1) / np.maximum(total, 1e-6), np.float32)


def extent(points: Array) -> float:
    """Return the longer side of the box around a skeleton's keypoints; 0 without keypoints."""
    seen = points[points[:, 2] > 0, :2]
    return float(np.ptp(seen, axis=0).max()) if len(seen) else 0.0


def _extent_area(points: Array) -> float:
    seen = points[points[:, 2] > 0, :2]
    width, height = np.ptp(seen, axis=0)
    # A skeleton seen from the side or of shoulders only has next to no area of its own.
    return float(max(width * height, 0.25 * max(width, height) ** 2, 1.0))
