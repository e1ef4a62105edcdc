"""Keypoints of one person from two one-dimensional classifications.

Li et al., "SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation", ECCV
2022, the output of RTMPose (Jiang et al., 2023): for each keypoint a row of bins along x and one
along y, finer than the input's pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def decode(x_bins: Array, y_bins: Array, shape: tuple[int, int]) -> Array:
    """Return the keypoints of people who have two rows of bins each.

    Args:
        x_bins, y_bins: shape (people, keypoints, bins).
        shape: height and width of the input, pixels, which the bins divide evenly.

    Returns:
        float32, shape (people, keypoints, 3), [x, y, score]: x and y in pixels of the input; the
        score is the lower one of the two highest bins, 0 to 1, as in MMPose.
    """
    height, width = shape
    x = x_bins.argmax(2) * (width / x_bins.shape[2])
    y = y_bins.argmax(2) * (height / y_bins.shape[2])
    # fmax: bins with NaN are a joint with score 0.
    score = np.fmin(np.fmax(np.minimum(x_bins.max(2), y_bins.max(2)), 0), 1)
    return np.stack([x, y, score], axis=2).astype(np.float32)


def mirror(x_bins: Array, y_bins: Array, pairs: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the bins of a mirrored input as those of the input itself; see ``heatmap.mirror``."""
    return x_bins[:, list(pairs), ::-1], y_bins[:, list(pairs)]
