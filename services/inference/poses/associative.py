"""Skeletons from heatmaps and associative embeddings.

Newell et al., "Associative Embedding: End-to-End Learning for Joint Detection and Grouping", NIPS
2017: each keypoint has a tag beside its heat, and keypoints of one person have tags alike. For
networks with COCO's 17 keypoints such as human-pose-estimation-0005, -0006 and -0007, whose files
could not be had for a test: tested on rendered maps only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from posewire.inference.poses.paf import find_peaks
from posewire.inference.skeletons import NOBODY, Skeletons
from posewire.shared.skeleton import from_coco

Array = npt.NDArray[np.float32]

_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
"""From the middle of the body outwards, as in the paper's reference code."""
_MOST_PEOPLE = 30
_TAG_DISTANCE = 1.0
"""Tags further apart than this are two people's, as in the reference code."""
_LEAST_POINTS = 3


def decode(heatmaps: Array, tags: Array, *, keypoint_score: float) -> Skeletons:
    """Find skeletons.

    Args:
        heatmaps: shape (17, h, w); negative where the network suppressed what is no maximum.
        tags: shape (17, h, w).
        keypoint_score: heat from which a peak is a keypoint.

    Returns:
        Skeletons in cells, measured from the maps' top left corner; a skeleton's score is its
        keypoints' mean score.
    """
    # Suppressed neighbours keep their magnitude: refinement needs it.
    part, xy, heat = find_peaks(np.abs(heatmaps), keypoint_score)
    x = np.clip(np.round(xy[:, 0]).astype(np.intp), 0, heatmaps.shape[2] - 1)
    y = np.clip(np.round(xy[:, 1]).astype(np.intp), 0, heatmaps.shape[1] - 1)
    tag = tags[part, y, x]
    people: list[dict[int, int]] = []
    for keypoint in _ORDER:
        rows = np.flatnonzero(part == keypoint)[:_MOST_PEOPLE]
        _join(people, keypoint, rows, tag, heat)
    found = [members for members in people if len(members) >= _LEAST_POINTS]
    if not found:
        return NOBODY
    points = np.zeros((len(found), 17, 3), dtype=np.float32)
    for row, members in enumerate(found):
        own = np.fromiter(members.values(), dtype=np.intp)
        points[row, part[own], :2] = xy[own] + 0.5
        points[row, part[own], 2] = np.minimum(heat[own], 1.0)
    seen = np.maximum((points[:, :, 2] > 0).sum(1), 1)
    return Skeletons(from_coco(points), (points[:, :, 2].sum(1) / seen).astype(np.float32))


def _join(
    people: list[dict[int, int]], keypoint: int, rows: npt.NDArray[np.intp], tag: Array, heat: Array
) -> None:
    """Give the peaks of one keypoint to the people whose tags they have; others begin people."""
    if not len(rows):
        return
    given: dict[int, int] = {}
    if people:
        means = np.array([tag[list(members.values())].mean() for members in people])
        apart = np.abs(tag[rows][:, None] - means[None, :])
        # Whole distances first, then the surer peak: as in the reference code.
        cost = np.round(apart) * 100 - heat[rows][:, None]
        for row, person in zip(*linear_sum_assignment(cost), strict=True):
            if apart[row, person] < _TAG_DISTANCE:
                given[int(row)] = int(person)
    for index, peak in enumerate(rows):
        if index in given:
            people[given[index]][keypoint] = int(peak)
        elif len(people) < _MOST_PEOPLE:
            people.append({keypoint: int(peak)})
