"""Who is who: detections of a frame compared with tracks, and assigned to them.

What a pair is worth adds up from

- their boxes' overlap, both widened before they are compared (buffered IoU, C-BIoU, Yang et al.,
  WACV 2023), so that somebody who moved by a whole width still overlaps, times how alike their
  heights are;
- their skeletons' similarity (OKS), where both have one;
- whether the step goes where the person was going (as the momentum of OC-SORT, Cao et al., CVPR
  2023, here against the Kalman filter's velocity);
- whether they are dressed alike (services/inference/appearance.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from posewire.shared.messages import Person
from posewire.shared.skeleton import KEYPOINTS
from posewire.tracker.geometry import Array, at_border, corner_form, grow, iou, oks

_WIDEN = 0.1
"""Every box is widened by this share of its size,"""
_WIDEN_PER_S = 0.5
"""and a track's by this much more for each second that it was out of sight,"""
_MOST_WIDENING = 0.5
"""up to this."""
_LOST = 0.05
"""Cost of somebody who was out of sight: widened, they would take those who were not."""
_UPPER_SHARE = 0.5
"""Worth of an overlap of the upper parts of two boxes, against that of the whole boxes."""
_BARE = 0.2
"""Cost of a box alone for somebody who has a skeleton: it may be two people in one box."""
_POSE_SHARE = 0.4
"""Weight of the skeletons' similarity where both have one."""
_DIRECTION = 0.05
"""Worth of a step straight ahead; a step straight back costs as much."""
_WALKING = 0.5
"""Whoever moves at this speed, heights per second, has a direction; slower ones less of one."""
_STEP = 0.2
"""A step this long, in heights, has a direction; shorter ones less of one."""
_DRESS = 0.4
"""Worth of clothes that are the same; different ones cost as much."""
_COVERED_DRESS = 0.5
"""How much less clothes count of somebody who is wholly behind another."""
_ALIKE = 0.86
"""Bhattacharyya coefficient of clothes that say nothing: halfway between one person's, .96 in the
median, and two people's, .75."""
_ALIKE_RANGE = 0.1


@dataclass(frozen=True, slots=True)
class Detections:
    """People of a frame as arrays, in isotropic units."""

    boxes: Array
    """(m, 4), [cx, top, w, h]."""
    points: Array
    """(m, 18, 3), x, y, score; zeros for a box alone."""
    posed: npt.NDArray[np.bool_]
    """(m,), who has a skeleton."""
    scores: Array
    """(m,)"""
    looks: Array
    """(m, 2, bins) as ``look`` gives them."""
    covered: Array
    """(m,), share of the box that lies behind others."""
    cut: npt.NDArray[np.bool_]
    """(m,), whether the box touches the picture's border."""

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> Detections:
        return Detections(
            self.boxes[rows], self.points[rows], self.posed[rows], self.scores[rows],
            self.looks[rows], self.covered[rows], self.cut[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """Tracks as they are expected in a frame, in isotropic units."""

    boxes: Array
    """(n, 4), [cx, top, w, h], where they should be."""
    velocities: Array
    """(n, 2), heights of the picture per second."""
    last: Array
    """(n, 2), [cx, top] where they were last seen."""
    unseen_s: Array
    """(n,), how long they have been out of sight, besides the time between frames."""
    stride: Array
    """(n,), how far they may have gone without that showing yet, picture heights."""
    points: Array
    """(n, 18, 3), the last skeleton moved along; zeros where there is none."""
    looks: Array
    """(n, 2, bins)"""


def detections(boxes: Array, points: Array, persons: Sequence[Person], aspect: float) -> Detections:
    """Return the people of a frame as arrays, ``boxes`` and ``points`` in isotropic units."""
    return Detections(
        boxes,
        points,
        np.array([bool(person.keypoints) for person in persons], dtype=np.bool_),
        np.array([person.score for person in persons], dtype=np.float64),
        look([person.appearance for person in persons]),
        _covered(boxes),
        at_border(boxes, aspect),
    )


def look(appearances: Sequence[bytes]) -> Array:
    """Return appearances as unit vectors, (n, 2, bins); zeros for parts that are not known.

    Those of another length than the first known one, of an older inference worker, are not known.
    """
    length = next((len(a) for a in appearances if a and len(a) % 2 == 0), 0)
    if not length:
        return np.zeros((len(appearances), 2, 0))
    raw = b"".join(a if len(a) == length else bytes(length) for a in appearances)
    parts = np.frombuffer(raw, np.uint8).reshape(len(appearances), 2, length // 2).astype(float)
    unit: Array = parts / np.maximum(np.linalg.norm(parts, axis=2, keepdims=True), 1e-9)
    return unit


def alike(one: Array, two: Array) -> Array:
    """Return how alike (n, 2, bins) and (m, 2, bins) are dressed: (n, m), -1 to 1; 0: unknown."""
    if one.shape[2] != two.shape[2] or not one.shape[2]:
        return np.zeros((len(one), len(two)))
    products = np.einsum("ipb,jpb->pij", one, two)
    known = one.any(axis=2).T[:, :, None] & two.any(axis=2).T[:, None]
    count = known.sum(0)
    mean = products.sum(0) / np.maximum(count, 1)
    likeness: Array = np.clip((mean - _ALIKE) / _ALIKE_RANGE, -1, 1)
    return np.where(count > 0, likeness, 0.0)


def similarity(tracks: Expected, found: Detections) -> Array:
    """Return what pairs are worth, (n, m): about 0 to 1; 0 or less where they do not touch."""
    fit = _overlap(tracks, found.boxes)
    touching = fit > 0
    posed_tracks: npt.NDArray[np.bool_] = np.any(tracks.points[:, :, 2], axis=1)
    posed_both = bool(found.posed.any() and posed_tracks.any())
    if posed_both:
        areas = tracks.boxes[:, 2] * tracks.boxes[:, 3]
        posed = oks(tracks.points, found.points, areas, tracks.stride**2)
        fit = np.where(np.isnan(posed), fit, fit + _POSE_SHARE * (np.nan_to_num(posed) - fit))
    fit = fit + _DIRECTION * _ahead(tracks, found.boxes)
    if tracks.looks.shape[2] == found.looks.shape[2] > 0:
        # Colours of somebody half covered are in part those of who stands in front; at the border,
        # one may go where another comes in.
        weight = (1 - _COVERED_DRESS * found.covered) * (1 + found.cut)
        fit += _DRESS * weight * alike(tracks.looks, found.looks)
    if posed_both:
        fit -= _BARE * (posed_tracks[:, None] & ~(found.posed | found.cut)[None])
    fit -= _LOST * (tracks.unseen_s > 0)[:, None]
    return np.where(touching, fit, 0.0)


def _overlap(tracks: Expected, boxes: Array) -> Array:
    predicted = tracks.boxes
    spread = np.minimum(_WIDEN + _WIDEN_PER_S * tracks.unseen_s, _MOST_WIDENING)
    margins = predicted[:, 2:] * spread[:, None]
    margins[:, 0] += tracks.stride
    mine, theirs = corner_form(predicted), corner_form(boxes)
    overlap = iou(grow(mine, margins), grow(theirs, _WIDEN * boxes[:, 2:]))
    # A track widened by much overlaps with everything around; a likely size keeps it honest.
    ratio = np.maximum(predicted[:, 3:4], 1e-6) / np.maximum(boxes[:, 3], 1e-6)[None]
    overlap *= np.minimum(ratio, 1 / ratio)
    return np.maximum(overlap, _UPPER_SHARE * _upper_overlap(predicted, boxes))


def _upper_overlap(one: Array, two: Array) -> Array:
    """Return the IoU of upper parts of [cx, top, w, h] boxes (n, 4), (m, 4), cut equally long.

    It is high for somebody of whom a counter suddenly hides the legs, or shows them again.
    """
    left = np.maximum((one[:, 0] - one[:, 2] / 2)[:, None], (two[:, 0] - two[:, 2] / 2)[None])
    right = np.minimum((one[:, 0] + one[:, 2] / 2)[:, None], (two[:, 0] + two[:, 2] / 2)[None])
    length = np.minimum(one[:, 3:4], two[None, :, 3])
    down = np.maximum(length - np.abs(one[:, 1:2] - two[None, :, 1]), 0)
    both = np.maximum(right - left, 0) * down
    union = length * (one[:, 2:3] + two[None, :, 2]) - both
    ratio: Array = both / np.maximum(union, 1e-12)
    return ratio


def _ahead(tracks: Expected, boxes: Array) -> Array:
    """Return the cosine between velocities and steps (n, m), less where either is small."""
    steps = boxes[None, :, :2] - tracks.last[:, None]
    speed = np.hypot(tracks.velocities[:, 0], tracks.velocities[:, 1])[:, None]
    length = np.hypot(steps[..., 0], steps[..., 1])
    height = np.maximum(tracks.boxes[:, 3:4], 1e-3)
    cosine: Array = (steps * tracks.velocities[:, None]).sum(2) / np.maximum(speed * length, 1e-9)
    sure: Array = np.minimum(speed / height / _WALKING, 1) * np.minimum(length / height / _STEP, 1)
    return cosine * sure


def _covered(boxes: Array) -> Array:
    """Return the share of each [cx, top, w, h] box that lies behind the one that covers it most.

    Of two people, the one whose feet are lower on the picture stands in front.
    """
    if len(boxes) < 2:
        return np.zeros(len(boxes))
    corners = corner_form(boxes)
    low = np.maximum(corners[:, None, :2], corners[None, :, :2])
    high = np.minimum(corners[:, None, 2:], corners[None, :, 2:])
    both = np.maximum(high - low, 0).prod(2) / np.maximum(boxes[:, 2] * boxes[:, 3], 1e-9)[:, None]
    behind = corners[:, None, 3] < corners[None, :, 3]
    covered: Array = np.minimum(np.where(behind, both, 0.0).max(axis=1), 1.0)
    return covered


def assign(worth: Array, least: float) -> list[tuple[int, int]]:
    """Return pairs (row, column) with the greatest sum of ``worth``, each at least ``least``.

    Hungarian assignment (scipy). Pairs below ``least`` are worth nothing, so a bad pair never
    pushes a good one aside.
    """
    if 0 in worth.shape:
        return []
    worth = np.where(worth >= least, worth, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if worth[row, column] > 0
    ]


NO_POINTS = np.zeros((len(KEYPOINTS), 3))
