"""Who is who: detections of a frame assigned to tracks.

Two stages as in ByteTrack (Zhang et al., ECCV 2022): sure detections first, then the rest of the
tracks with the unsure ones. Boxes are widened before they are compared (buffered IoU, C-BIoU, Yang
et al., WACV 2023), so that somebody who moved by a whole width still overlaps; skeletons, where
both have one, decide among people who overlap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from services.tracker.geometry import Array, corner_form, grow, iou, oks

_UPPER_SHARE = 0.8
"""Worth of an overlap of the upper parts of two boxes, against that of the whole boxes."""
_POSE_SHARE = 0.4
"""Weight of the skeletons' similarity where both have one."""


def similarity(
    predicted: Array,
    spread: Array,
    track_points: Array,
    boxes: Array,
    points: Array,
) -> Array:
    """Return how well tracks fit detections: shape (tracks, detections), 0 to 1.

    Args:
        predicted: where tracks should be, shape (n, 4), [cx, top, w, h].
        spread: shape (n,), how far to widen each track's box, as a share of its size.
        track_points: skeletons moved along with the prediction, shape (n, 18, 3).
        boxes: detections, shape (m, 4), [cx, top, w, h].
        points: their skeletons, shape (m, 18, 3).
    """
    mine, theirs = corner_form(predicted), corner_form(boxes)
    margin = np.full(len(theirs), 0.1)
    overlap = iou(grow(mine, spread), grow(theirs, margin))
    # A track widened by much overlaps with everything around; a likely size keeps it honest.
    heights = np.maximum(predicted[:, 3:4], 1e-6), np.maximum(boxes[:, 3], 1e-6)[None]
    ratio = np.minimum(heights[0] / heights[1], heights[1] / heights[0])
    fit = np.maximum(overlap * np.sqrt(ratio), _UPPER_SHARE * _upper_overlap(predicted, boxes))
    posed = oks(track_points, points, predicted[:, 2] * predicted[:, 3])
    return np.where(
        np.isnan(posed), fit, (1 - _POSE_SHARE) * fit + _POSE_SHARE * np.nan_to_num(posed)
    )


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


def assign(likeness: Array, least: float) -> list[tuple[int, int]]:
    """Return pairs (row, column) with the greatest sum of ``likeness``, each at least ``least``.

    Hungarian assignment (scipy). Pairs below ``least`` are worth nothing, so a bad pair never
    pushes a good one aside.
    """
    if 0 in likeness.shape:
        return []
    worth: npt.NDArray[np.float64] = np.where(likeness >= least, likeness, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if worth[row, column] > 0
    ]
