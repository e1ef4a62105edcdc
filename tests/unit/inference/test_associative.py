"""Decoding of heatmaps with associative embeddings, against maps of known skeletons."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from posewire.inference.poses import associative
from posewire.shared.skeleton import from_coco, to_coco
from tests.unit.inference.test_paf import SIGMA, person


def render(skeletons: list[np.ndarray], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the maps a perfect network would give: one tag for each person, maxima kept."""
    heatmaps = np.zeros((17, height, width), np.float32)
    tags = np.zeros((17, height, width), np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for number, skeleton in enumerate(skeletons):
        for part, (px, py) in enumerate(skeleton):
            heat = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
            mine = heat > heatmaps[part]
            heatmaps[part][mine] = heat[mine]
            tags[part][mine] = 3.0 * number
    # The network negates what its own suppression has dropped.
    neighbours = [np.roll(heatmaps, shift, axis) for shift in (1, -1) for axis in (1, 2)]
    suppressed = heatmaps < np.max(neighbours, axis=0)
    heatmaps[suppressed] *= -1
    return heatmaps, tags


def coco_person(x: float, top: float, height: float) -> np.ndarray:
    points = np.concatenate([person(x, top, height), np.ones((18, 1), np.float32)], axis=1)
    return to_coco(points)[:, :2]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=12))
@settings(max_examples=25)
def test_known_skeletons_come_back(places: list[tuple[float, float]]) -> None:
    skeletons = [
        coco_person(14 + 20 * (n % 4) + 2 * dx, 1 + 36 * (n // 4) + 2 * dy, 30)
        for n, (dx, dy) in enumerate(places)
    ]
    found = associative.decode(*render(skeletons, 112, 90), keypoint_score=0.1)
    assert len(found) == len(skeletons)
    for skeleton in skeletons:
        expected = from_coco(np.concatenate([skeleton, np.ones((17, 1))], axis=1).astype("f4"))
        apart = np.abs(found.points[:, :, :2] - expected[:, :2]).max(axis=(1, 2))
        assert apart.min() <= 0.3


def test_people_who_overlap_are_told_apart_by_their_tags() -> None:
    one, two = coco_person(30, 2, 40), coco_person(36, 3, 40)
    found = associative.decode(*render([one, two], 48, 80), keypoint_score=0.1)
    assert len(found) == 2
    assert all((points[:, 2] > 0).sum() >= 16 for points in found.points)


def test_empty_maps_hold_nobody() -> None:
    zeros = np.zeros((17, 32, 32), np.float32)
    assert len(associative.decode(zeros, zeros, keypoint_score=0.1)) == 0
