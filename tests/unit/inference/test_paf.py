"""Decoding of heatmaps and part affinity fields, against maps of known skeletons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewire.inference.poses.paf import _LIMBS, PARTS, decode, find_peaks, mirror
from posewire.shared.skeleton import MIRRORED

Array = npt.NDArray[np.float32]
SIGMA = 0.9
"""Cells; OpenPose's targets have 7 pixels at a stride of 8."""

# A standing person, in units of its height: x from its middle, y from its top.
TEMPLATE = np.array([
    (0.00, 0.08), (0.00, 0.20), (-0.11, 0.20), (-0.15, 0.36), (-0.17, 0.50), (0.11, 0.20),
    (0.15, 0.36), (0.17, 0.50), (-0.07, 0.52), (-0.08, 0.74), (-0.08, 0.96), (0.07, 0.52),
    (0.08, 0.74), (0.08, 0.96), (-0.03, 0.06), (0.03, 0.06), (-0.06, 0.08), (0.06, 0.08),
])  # fmt: skip


def render(skeletons: list[Array], height: int, width: int) -> tuple[Array, Array]:
    """Draw the maps that a perfect network would give; skeletons in cells, cell centres at .5."""
    heatmaps = np.zeros((PARTS + 1, height, width), dtype=np.float32)
    fields = np.zeros((38, height, width), dtype=np.float32)
    y, x = np.mgrid[:height, :width] + 0.5
    for skeleton in skeletons:
        for part, (px, py) in enumerate(skeleton):
            heat = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
            heatmaps[part] = np.maximum(heatmaps[part], heat)
        for a, b, plane in _LIMBS:
            start, vector = skeleton[a], skeleton[b] - skeleton[a]
            length = float(np.hypot(*vector))
            unit = vector / max(length, 1e-6)
            along = (x - start[0]) * unit[0] + (y - start[1]) * unit[1]
            across = np.abs((x - start[0]) * unit[1] - (y - start[1]) * unit[0])
            on = (along >= -1) & (along <= length + 1) & (across <= 1)
            fields[plane][on], fields[plane + 1][on] = unit
    return heatmaps, fields


def person(x: float, top: float, height: float) -> Array:
    return (TEMPLATE * height + [x, top]).astype(np.float32)


def assert_found(skeletons: list[Array], found: Array) -> None:
    """Each skeleton came back whole, to a quarter of a cell, and nothing else did."""
    assert len(found) == len(skeletons)
    for skeleton in skeletons:
        distance = np.abs(found[:, :, :2] - skeleton).max(axis=(1, 2))
        assert distance.min() <= 0.25


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.8, 1)), min_size=0, max_size=20
    )
)
@settings(deadline=None, max_examples=40)
def test_known_skeletons_come_back(places: list[tuple[float, float, float]]) -> None:
    # A grid of places keeps people apart by a head's width; what is in a place is arbitrary.
    skeletons = [
        person(14 + 20 * (n % 7) + 2 * dx, 1 + 36 * (n // 7) + 2 * dy, 32 * size)
        for n, (dx, dy, size) in enumerate(places)
    ]
    found = decode(*render(skeletons, 112, 160), keypoint_score=0.1)
    assert_found(skeletons, found.points)
    assert (found.scores > 0.8).all()


@given(st.floats(0.2, 0.45), st.floats(-0.05, 0.05))
@settings(deadline=None, max_examples=25)
def test_people_who_overlap_stay_two(apart: float, lower: float) -> None:
    one = person(30, 2, 40)
    two = person(30 + 40 * apart, 2 + 40 * lower, 40)
    found = decode(*render([one, two], 48, 80), keypoint_score=0.1)
    assert len(found.points) == 2


@given(st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None, max_examples=25)
def test_somebody_cut_by_the_border_keeps_the_rest(dx: float, dy: float) -> None:
    whole = person(20 + dx, -6 + dy, 40)  # the head is outside
    found = decode(*render([whole], 40, 40), keypoint_score=0.3)
    assert len(found.points) == 1
    legs = slice(8, 14)
    assert np.abs(found.points[0, legs, :2] - whole[legs]).max() <= 0.25


@given(st.floats(0.3, 0.7), st.floats(0, 1))
@settings(deadline=None, max_examples=20)
def test_the_mirror_image_gives_the_same_person(dx: float, dy: float) -> None:
    somebody = person(20 + dx, 2 + dy, 40)
    somebody[4, 0] -= 4  # not symmetric
    mirrored = somebody[list(MIRRORED)].copy()
    mirrored[:, 0] = 60 - mirrored[:, 0]
    found = decode(*mirror(*render([mirrored], 48, 60)), keypoint_score=0.1)
    assert_found([somebody], found.points)


def test_empty_maps_hold_nobody() -> None:
    zeros = np.zeros((19, 32, 57), dtype=np.float32), np.zeros((38, 32, 57), dtype=np.float32)
    found = decode(*zeros, keypoint_score=0.1)
    assert found.points.shape == (0, 18, 3)
    assert found.scores.shape == (0,)


def test_noise_below_the_threshold_is_nobody() -> None:
    rng = np.random.default_rng(0)
    heatmaps = rng.uniform(0, 0.09, (19, 32, 57)).astype(np.float32)
    fields = rng.uniform(-1, 1, (38, 32, 57)).astype(np.float32)
    assert len(decode(heatmaps, fields, keypoint_score=0.1).points) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_maps_do_no_harm(shape: tuple[int, int]) -> None:
    heatmaps = np.ones((19, *shape), dtype=np.float32)
    fields = np.ones((38, *shape), dtype=np.float32)
    decode(heatmaps, fields, keypoint_score=0.1)


@given(st.floats(3, 12), st.floats(3, 12))
@settings(deadline=None)
def test_peaks_are_refined_below_the_grid(x: float, y: float) -> None:
    rows, columns = np.mgrid[:16, :16]
    heat = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * SIGMA**2)).astype(np.float32)
    _part, xy, _score = find_peaks(heat[None], 0.1)
    assert len(xy) == 1
    np.testing.assert_allclose(xy[0], [x, y], atol=0.02)


def test_a_plateau_is_one_peak() -> None:
    heat = np.zeros((1, 8, 8), dtype=np.float32)
    heat[0, 3, 3:5] = 0.7
    _part, xy, _score = find_peaks(heat, 0.1)
    assert len(xy) == 1


def test_a_crowd_in_one_map_is_bounded() -> None:
    heat = np.zeros((1, 60, 60), dtype=np.float32)
    heat[0, ::3, ::3] = np.linspace(0.2, 1, 400).reshape(20, 20)
    part, _xy, score = find_peaks(heat, 0.1)
    assert len(part) == 64
    assert score.min() > 0.8
