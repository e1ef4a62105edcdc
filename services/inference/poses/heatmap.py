"""Keypoints of one person from heat maps.

Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation", CVPR 2020
(DARK): around a joint the heat is nearly a Gaussian, so its logarithm is nearly a parabola, and one
Newton step on that leads from the hottest cell to the maximum between the cells.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_COLDEST = 1e-6
_MOST_STEP = 1.0
"""A longer step, in cells, comes from a shape that is no Gaussian; the cell itself is better."""
_RIM = 2
"""The second derivatives reach this many cells."""


def decode(heatmaps: Array) -> Array:
    """Return the keypoints of people who have a set of maps each.

    Args:
        heatmaps: shape (people, keypoints, height, width).

    Returns:
        float32, shape (people, keypoints, 3), [x, y, score]: x and y in cells, where an integer is
        the centre of a cell; the score is the heat of the hottest cell, at least 0.
    """
    people, keypoints, height, width = heatmaps.shape
    flat = heatmaps.reshape(people * keypoints, height * width)
    hottest = flat.argmax(1)
    heat = flat[np.arange(len(flat)), hottest]
    y, x = np.divmod(hottest, width)
    step = _newton_step(heatmaps.reshape(-1, height, width), x, y)
    # fmax: a map with NaN, which half floats can overflow to, is a joint with score 0.
    out = np.stack([x + step[:, 0], y + step[:, 1], np.fmax(heat, 0)], axis=1)
    return out.reshape(people, keypoints, 3).astype(np.float32)


def _newton_step(
    maps: Array, x: npt.NDArray[np.intp], y: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the way from each map's hottest cell to its maximum, shape (maps, 2), [x, y]."""
    height, width = maps.shape[1:]
    inner = (x >= _RIM) & (x < width - _RIM) & (y >= _RIM) & (y < height - _RIM)
    step = np.zeros((len(maps), 2))
    rows, x, y = np.flatnonzero(inner), x[inner], y[inner]

    def log_heat(dx: int, dy: int) -> npt.NDArray[np.float64]:
        heat = maps[rows, y + dy, x + dx].astype(np.float64)
        return np.asarray(np.log(np.maximum(heat, _COLDEST)))

    middle = log_heat(0, 0)
    right, left, below, above = log_heat(1, 0), log_heat(-1, 0), log_heat(0, 1), log_heat(0, -1)
    grad_x, grad_y = (right - left) / 2, (below - above) / 2
    xx = (log_heat(2, 0) - 2 * middle + log_heat(-2, 0)) / 4
    yy = (log_heat(0, 2) - 2 * middle + log_heat(0, -2)) / 4
    xy = (log_heat(1, 1) - log_heat(-1, 1) - log_heat(1, -1) + log_heat(-1, -1)) / 4
    determinant = xx * yy - xy**2
    # Of a maximum the second derivatives are negative and the determinant is positive.
    peaked = (xx < 0) & (determinant > 1e-9)
    safe = np.where(peaked, determinant, 1.0)
    move = np.stack([xy * grad_y - yy * grad_x, xy * grad_x - xx * grad_y], axis=1) / safe[:, None]
    peaked &= (np.abs(move) <= _MOST_STEP).all(1)
    step[rows[peaked]] = move[peaked]
    return step


def mirror(heatmaps: Array, pairs: tuple[int, ...]) -> Array:
    """Return the maps of a mirrored input as those of the input itself.

    Args:
        heatmaps: shape (..., keypoints, height, width), of an input whose columns were reversed.
        pairs: for each keypoint the one that takes its place in a mirrored picture.

    An input pixel x shows up at cell x / 4. Reversed, it is pixel W - 1 - x, that is cell
    (W - 1 - x) / 4, and reversing the cells leads to x / 4 - 3 / 4: a shift of one cell to the
    right brings the maps together to a quarter of a cell.
    """
    back = heatmaps[..., list(pairs), :, :][..., ::-1]
    return np.concatenate([back[..., :1], back[..., :-1]], axis=-1)
