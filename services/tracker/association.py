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
        predicted: where tracks should be, shape (n, 4), [cx, cy, w, h].
        spread: shape (n,), how far to widen each track's box, as a share of its size.
        track_points: skeletons moved along with the prediction, shape (n, 18, 3).
        boxes: detections, shape (m, 4), [cx, cy, w, h].
        points: their skeletons, shape (m, 18, 3).
    """
    mine, theirs = corner_form(predicted), corner_form(boxes)
    overlap = iou(grow(mine, spread), grow(theirs, np.full(len(theirs), 0.1)))
    # A track widened by much overlaps with everything around; a likely size keeps it honest.
    heights = np.maximum(predicted[:, 3:4], 1e-6), np.maximum(boxes[:, 3], 1e-6)[None]
    ratio = np.minimum(heights[0] / heights[1], heights[1] / heights[0])
    fit = overlap * np.sqrt(ratio)
    posed = oks(track_points, points, predicted[:, 2] * predicted[:, 3])
    return np.where(
        np.isnan(posed), fit, (1 - _POSE_SHARE) * fit + _POSE_SHARE * np.nan_to_num(posed)
    )


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
