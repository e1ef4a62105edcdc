"""Boxes and skeletons compared, in isotropic units: both axes in picture heights.

Relative x is a share of the width and relative y of the height; multiplied by the picture's aspect
ratio, x comes into the unit of y, so that distances and speeds mean the same in both directions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posewire.shared.skeleton import OKS_SIGMAS, SURE_POINT

Array = npt.NDArray[np.float64]
BORDER = 0.03
"""A box nearer than this share of the picture to its border touches it."""


def head_form(boxes: Array) -> Array:
    """Turn [x0, y0, x1, y1] into [cx, top, w, h]; shape (n, 4).

    People are followed by the top middle of their box, the head: when furniture hides their legs,
    the box loses its lower part, and the head stays where it was.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    middle = boxes[:, :1] + size[:, :1] / 2
    return np.concatenate([middle, boxes[:, 1:2], size], axis=1)


def corner_form(boxes: Array) -> Array:
    """Turn [cx, top, w, h] into [x0, y0, x1, y1]; shape (n, 4). Negative sizes count as none."""
    corners = np.empty_like(boxes)
    size = np.maximum(boxes[:, 2:], 0)
    corners[:, 0] = boxes[:, 0] - size[:, 0] / 2
    corners[:, 1] = boxes[:, 1]
    corners[:, 2:] = corners[:, :2] + size
    return corners


def at_border(boxes: Array, aspect: float) -> npt.NDArray[np.bool_]:
    """Return which [cx, top, w, h] boxes (n, 4) touch a side of the picture: (n,)."""
    x0, y0, x1, y1 = corner_form(boxes).T
    sides = (x0 / aspect, y0, 1 - x1 / aspect, 1 - y1)
    touches: npt.NDArray[np.bool_] = np.min(sides, axis=0) <= BORDER
    return touches


def grow(boxes: Array, margins: Array) -> Array:
    """Grow corner boxes, shape (n, 4), at every side by ``margins`` (n, 2), across and down."""
    return np.concatenate([boxes[:, :2] - margins, boxes[:, 2:] + margins], axis=1)


def iou(one: Array, two: Array) -> Array:
    """Return intersection over union of corner boxes (n, 4) and (m, 4): shape (n, m), 0 to 1."""
    top_left = np.maximum(one[:, None, :2], two[None, :, :2])
    bottom_right = np.minimum(one[:, None, 2:], two[None, :, 2:])
    both = np.prod(np.maximum(bottom_right - top_left, 0), axis=2)
    areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=1) for b in (one, two)]
    union = areas[0][:, None] + areas[1][None, :] - both
    ratio: Array = both / np.maximum(union, 1e-12)
    return ratio


def inside_share(inner: Array, outer: Array) -> Array:
    """Return the share of each corner box of ``inner`` (n, 4) inside ``outer`` (m, 4): (n, m)."""
    low = np.maximum(inner[:, None, :2], outer[None, :, :2])
    high = np.minimum(inner[:, None, 2:], outer[None, :, 2:])
    area = np.prod(np.maximum(inner[:, 2:] - inner[:, :2], 0), axis=1)
    share: Array = np.prod(np.maximum(high - low, 0), axis=2) / np.maximum(area, 1e-12)[:, None]
    return share


def oks(one: Array, two: Array, areas: Array, doubt: Array) -> Array:
    """Return object keypoint similarities of skeletons (n, 18, 3) and (m, 18, 3).

    ``areas``: shape (n,), of the people in ``one``; ``doubt``: (n,), the variance of where they
    are, which widens what counts as near. Points count from ``SURE_POINT`` on: a network that
    places every point guesses those that are hidden. NaN where fewer than three points are shared:
    then the skeletons say nothing about each other.
    """
    shared = (one[:, None, :, 2] >= SURE_POINT) & (two[None, :, :, 2] >= SURE_POINT)
    squared = ((one[:, None, :, :2] - two[None, :, :, :2]) ** 2).sum(3)
    spread = np.maximum(areas, 1e-9)[:, None, None] * (2 * OKS_SIGMAS) ** 2
    spread = 2 * (spread + doubt[:, None, None])
    likeness = np.where(shared, np.exp(-squared / spread), 0.0).sum(2)
    count = shared.sum(2)
    return np.where(count >= 3, likeness / np.maximum(count, 1), np.nan)
