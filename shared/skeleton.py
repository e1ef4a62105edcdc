"""The skeleton: 18 keypoints (OpenPose's order), the limbs between them, colours, conversions.

           l_eye r_eye                     l_ and r_ are the person's own left and right.
        l_ear  nose  r_ear
                |
l_shoulder --- neck --- r_shoulder
    |          /  \\           |
 l_elbow   l_hip   r_hip    r_elbow
    |        |       |         |
 l_wrist  l_knee  r_knee    r_wrist
             |       |
         l_ankle  r_ankle
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

KEYPOINTS = (
    "nose", "neck",
    "r_shoulder", "r_elbow", "r_wrist", "l_shoulder", "l_elbow", "l_wrist",
    "r_hip", "r_knee", "r_ankle", "l_hip", "l_knee", "l_ankle",
    "r_eye", "l_eye", "r_ear", "l_ear",
)  # fmt: skip
INDEX = {name: index for index, name in enumerate(KEYPOINTS)}

LIMBS = tuple(
    (INDEX[a], INDEX[b])
    for a, b in (
        ("neck", "r_shoulder"), ("neck", "l_shoulder"),
        ("r_shoulder", "r_elbow"), ("r_elbow", "r_wrist"),
        ("l_shoulder", "l_elbow"), ("l_elbow", "l_wrist"),
        ("neck", "r_hip"), ("r_hip", "r_knee"), ("r_knee", "r_ankle"),
        ("neck", "l_hip"), ("l_hip", "l_knee"), ("l_knee", "l_ankle"),
        ("neck", "nose"), ("nose", "r_eye"), ("r_eye", "r_ear"),
        ("nose", "l_eye"), ("l_eye", "l_ear"),
    )
)  # fmt: skip
"""Pairs of keypoint indices that are drawn as lines."""

COCO_KEYPOINTS = (
    "nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow",
    "l_wrist", "r_wrist", "l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle",
)  # fmt: skip
_TO_COCO = np.array([INDEX[name] for name in COCO_KEYPOINTS])

OKS_SIGMAS = np.array(
    [
        0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062,
        0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025, 0.035, 0.035,
    ]
)  # fmt: skip
"""COCO's per-keypoint standard deviations in our order; the neck takes the shoulders'."""

_OTHER_SIDE = {"l": "r", "r": "l"}
MIRRORED = tuple(
    INDEX[_OTHER_SIDE[name[0]] + name[1:]] if name[1] == "_" else INDEX[name] for name in KEYPOINTS
)
"""For each keypoint the one that takes its place in a mirrored picture."""

COCO_MIRRORED = tuple(
    COCO_KEYPOINTS.index(_OTHER_SIDE[name[0]] + name[1:] if name[1] == "_" else name)
    for name in COCO_KEYPOINTS
)
"""The same for COCO's keypoints."""

SURE_POINT = 0.2
"""Score of a keypoint from which conclusions are drawn from where it is; lower ones may be guesses
of where a hidden point is, and are there for those who ask for all 18."""

COLOURS = (
    (64, 196, 255), (255, 145, 77), (129, 220, 120), (255, 112, 166), (190, 148, 255),
    (255, 214, 77), (77, 224, 208), (240, 98, 98), (158, 197, 92), (122, 158, 255),
)  # fmt: skip
"""RGB; a person's colour is ``COLOURS[track % len(COLOURS)]`` in every overlay."""


def from_coco(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Map COCO's 17 keypoints to our 18; the neck is the midpoint of the shoulders.

    Args:
        points: shape (..., 17, 3), [x, y, score]; a missing point has score 0.

    Returns:
        Shape (..., 18, 3). The neck's score is the lower of the shoulders'.
    """
    if points.shape[-2:] != (len(COCO_KEYPOINTS), 3):
        raise ValueError(f"expected shape (..., 17, 3), got {points.shape}")
    out = np.zeros((*points.shape[:-2], len(KEYPOINTS), 3), dtype=np.float32)
    out[..., _TO_COCO, :] = points
    right, left = out[..., INDEX["r_shoulder"], :], out[..., INDEX["l_shoulder"], :]
    score = np.minimum(right[..., 2], left[..., 2])
    neck = (right + left) / 2
    neck[..., 2] = score
    out[..., INDEX["neck"], :] = np.where(score[..., None] > 0, neck, 0)
    return out


def to_coco(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Map our 18 keypoints, shape (..., 18, 3), to COCO's 17, shape (..., 17, 3)."""
    if points.shape[-2:] != (len(KEYPOINTS), 3):
        raise ValueError(f"expected shape (..., 18, 3), got {points.shape}")
    return points[..., _TO_COCO, :]


def as_array(keypoints: Sequence[Sequence[float]]) -> npt.NDArray[np.float32]:
    """Return keypoints of a message as float32, shape (18, 3); all zero for a box alone."""
    if not keypoints:
        return np.zeros((len(KEYPOINTS), 3), dtype=np.float32)
    return np.asarray(keypoints, dtype=np.float32)


def rel_to_px(
    rel_points: npt.NDArray[np.float32], width: int, height: int
) -> npt.NDArray[np.float32]:
    """Scale relative keypoints, shape (..., 3), to pixels of a picture; scores stay."""
    return rel_points * np.array([width, height, 1], dtype=np.float32)
