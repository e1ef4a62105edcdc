"""Skeletons from MoveNet MultiPose's output (Google, 2021; model card in the wheel)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posewire.inference.skeletons import Skeletons
from posewire.shared.skeleton import from_coco

Array = npt.NDArray[np.float32]

_SURE = 0.6
"""MoveNet's score of a person in full view; others are given in proportion, so that one threshold
suits both families."""


def full(output: Array, *, least_score: float) -> bool:
    """Return whether all six places are taken: there may be more people."""
    return bool((np.clip(output.reshape(-1, 56)[:, 55] / _SURE, 0, 1) >= least_score).all())


def decode(
    output: Array, shape: tuple[int, int], *, least_score: float, keypoint_score: float
) -> Skeletons:
    """Read the output, shape (1, 6, 56): 17 x [y, x, score], then y0, x0, y1, x1, score; relative.

    Args:
        output: the network's output.
        shape: height and width of the input, pixels.
        least_score: people below are dropped.
        keypoint_score: points below are missing; the network places all 17 always, if it must
            guess.

    Returns:
        Skeletons with boxes in pixels of the input, best first.
    """
    rows = output.reshape(-1, 56)
    scores = np.clip(rows[:, 55] / _SURE, 0, 1)
    order = np.argsort(-scores, kind="stable")
    order = order[(scores[order] >= least_score) & np.isfinite(rows[order]).all(1)]
    rows, scores = rows[order], scores[order].astype(np.float32)
    height, width = shape
    points = rows[:, :51].reshape(-1, 17, 3)[:, :, [1, 0, 2]].astype(np.float32)
    points *= np.array([width, height, 1], dtype=np.float32)
    points[points[:, :, 2] < keypoint_score] = 0
    corners = rows[:, [52, 51, 54, 53]] * np.array([width, height] * 2, dtype=np.float32)
    seen = (points[:, :, 2] > 0).any(1)
    skeletons = Skeletons(from_coco(points), scores, corners.astype(np.float32))
    return skeletons.only(np.flatnonzero(seen))
