"""The design that Posewire replaces, as a yardstick: one loop, both networks on every whole frame.

Both inputs are stretched to the networks' shapes, each network runs synchronously, and skeletons
are read off the raw stride-8 grid, peak by peak and pair by pair in Python. Written anew after the
description of that app and the published OpenPose decoding; only bench/ uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov

Array = npt.NDArray[np.float32]
DETECTOR_SIZE = (320, 544)
POSE_SIZE = (256, 456)
_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11),
    (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
_FIELDS = (
    (12, 13), (20, 21), (14, 15), (16, 17), (22, 23), (24, 25), (0, 1), (2, 3), (4, 5), (6, 7),
    (8, 9), (10, 11), (28, 29), (30, 31), (34, 35), (32, 33), (36, 37),
)  # fmt: skip


class OldDesign:
    """Both networks, compiled for one synchronous request each."""

    def __init__(self, models: Path, precision: str = "FP16-INT8") -> None:
        core = ov.Core()
        hint = {"PERFORMANCE_HINT": "LATENCY"}
        names = ("person-detection-retail-0013", "human-pose-estimation-0001")
        detector, pose = (
            core.compile_model(str(models / name / precision / f"{name}.xml"), "CPU", hint)
            for name in names
        )
        self.detector, self.pose = detector, pose
        self._detect, self._estimate = detector.create_infer_request(), pose.create_infer_request()

    def frame(self, picture: cv2.typing.MatLike) -> tuple[Array, list[list[Any]]]:
        """Return the boxes, shape (n, 7), and the skeletons of a BGR ``picture``."""
        boxes = self._detect.infer({0: network_input(picture, DETECTOR_SIZE)})[0][0, 0]
        maps = self._estimate.infer({0: network_input(picture, POSE_SIZE)})
        by_name = {key.any_name: value for key, value in maps.items()}
        people = decode(by_name["Mconv7_stage2_L2"][0], by_name["Mconv7_stage2_L1"][0])
        return boxes[boxes[:, 2] > 0.5], people


def network_input(picture: cv2.typing.MatLike, size: tuple[int, int]) -> Array:
    """Stretch a BGR picture to ``size`` (height, width); float32, shape (1, 3, height, width)."""
    stretched = cv2.resize(picture, size[::-1])
    return np.ascontiguousarray(stretched.transpose(2, 0, 1)[None], dtype=np.float32)


def decode(heatmaps: Array, fields: Array, threshold: float = 0.1) -> list[list[Any]]:
    """Greedy OpenPose decoding on the raw grid (Cao et al. 2017), without refinement."""
    candidates = [_peaks(heatmaps[part], threshold) for part in range(18)]
    people: list[list[Any]] = []
    for (a, b), (x_field, y_field) in zip(_LIMBS, _FIELDS, strict=True):
        for start, end in _connect(candidates[a], candidates[b], fields[x_field], fields[y_field]):
            for person in people:
                if person[a] == start and person[b] is None:
                    person[b] = end
                    break
            else:
                person = [None] * 18
                person[a], person[b] = start, end
                people.append(person)
    return [person for person in people if sum(point is not None for point in person) >= 3]


def _peaks(heatmap: Array, threshold: float) -> list[tuple[int, int]]:
    padded = np.pad(heatmap, 1)
    centre = padded[1:-1, 1:-1]
    highest = (
        (centre > threshold)
        & (centre >= padded[:-2, 1:-1]) & (centre >= padded[2:, 1:-1])
        & (centre >= padded[1:-1, :-2]) & (centre >= padded[1:-1, 2:])
    )  # fmt: skip
    return [(int(x), int(y)) for y, x in np.argwhere(highest)]


def _connect(
    starts: list[tuple[int, int]], ends: list[tuple[int, int]], x_field: Array, y_field: Array
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    scored = []
    for start in starts:
        for end in ends:
            vector = np.subtract(end, start)
            length = float(np.hypot(*vector))
            if length == 0:
                continue
            samples = []
            for share in np.linspace(0, 1, 10):
                x, y = np.rint(start + share * vector).astype(int)
                samples.append((x_field[y, x] * vector[0] + y_field[y, x] * vector[1]) / length)
            if np.mean(np.greater(samples, 0.05)) >= 0.8:
                scored.append((float(np.mean(samples)), start, end))
    pairs, used = [], set()
    for _score, start, end in sorted(scored, reverse=True):
        if ("start", start) not in used and ("end", end) not in used:
            used |= {("start", start), ("end", end)}
            pairs.append((start, end))
    return pairs
