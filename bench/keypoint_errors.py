"""What kinds of errors keypoints have, after Ronchi & Perona, ICCV 2017.

A labelled keypoint of a person who was found is

- good:      similarity to its place at least .85;
- jittered:  close, .5 to .85;
- inverted:  on the same person's other side (left for right), at least .5;
- swapped:   on another person's keypoint of the same kind, at least .5;
- missed:    not given, or near nothing labelled.

People are *undetected* where no skeleton has a similarity of .1 to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GOOD, CLOSE = 0.85, 0.5
_FOUND = 0.1
_SIGMAS = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float64
) / 1000  # fmt: skip
_OTHER_SIDE = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
_KINDS = ("good", "jittered", "inverted", "swapped", "missed")


def diagnose(truth: Any, detections: list[dict[str, Any]]) -> dict[str, float]:
    """Return shares of the labelled keypoints by kind, and of people who were not found.

    Args:
        truth: pycocotools' COCO with keypoint annotations.
        detections: COCO's results.
    """
    counts = dict.fromkeys(_KINDS, 0)
    undetected = people = 0
    for key in truth.getImgIds():
        labelled = [
            (np.array(a["keypoints"], np.float64).reshape(17, 3), float(a["area"]))
            for a in truth.loadAnns(truth.getAnnIds(imgIds=[key]))
            if a["num_keypoints"] and not a["iscrowd"]
        ]
        found = [
            np.array(d["keypoints"], np.float64).reshape(17, 3)
            for d in sorted(detections, key=lambda d: -d["score"])
            if d["image_id"] == key
        ]
        people += len(labelled)
        pairs = _pairs(labelled, found)
        undetected += len(labelled) - len(pairs)
        for person, skeleton in pairs.items():
            for kind in _kinds(person, found[skeleton], labelled):
                counts[kind] += 1
    points = max(sum(counts.values()), 1)
    shares = {kind: round(count / points, 3) for kind, count in counts.items()}
    return shares | {"undetected": round(undetected / max(people, 1), 3)}


def _pairs(labelled: list[tuple[Array, float]], found: list[Array]) -> dict[int, int]:
    """Pair people with skeletons, most alike first."""
    likeness = []
    for i, (truth, area) in enumerate(labelled):
        shown = truth[:, 2] > 0
        for j, points in enumerate(found):
            near = _similarity(points, truth, area) * (points[:, 2] > 0)
            likeness.append((float(near[shown].mean()), i, j))
    pairs: dict[int, int] = {}
    for value, i, j in sorted(likeness, reverse=True):
        if value >= _FOUND and i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def _kinds(person: int, points: Array, labelled: list[tuple[Array, float]]) -> list[str]:
    truth, area = labelled[person]
    right = _similarity(points, truth, area)
    other_side = _similarity(points, truth[_OTHER_SIDE], area) * (truth[_OTHER_SIDE, 2] > 0)
    others = [
        _similarity(points, another, area) * (another[:, 2] > 0)
        for number, (another, _area) in enumerate(labelled)
        if number != person
    ]
    swapped = np.max(others, axis=0) if others else np.zeros(17)
    kinds = []
    for k in np.flatnonzero(truth[:, 2] > 0):
        if points[k, 2] <= 0:
            kinds.append("missed")
        elif right[k] >= CLOSE:
            kinds.append("good" if right[k] >= GOOD else "jittered")
        elif other_side[k] >= CLOSE:
            kinds.append("inverted")
        elif swapped[k] >= CLOSE:
            kinds.append("swapped")
        else:
            kinds.append("missed")
    return kinds


def _similarity(points: Array, truth: Array, area: float) -> Array:
    """Return COCO's keypoint similarity, shape (17,)."""
    squared = ((points[:, :2] - truth[:, :2]) ** 2).sum(1)
    similarity: Array = np.exp(-squared / (2 * max(area, 1.0) * (2 * _SIGMAS) ** 2))
    return similarity
