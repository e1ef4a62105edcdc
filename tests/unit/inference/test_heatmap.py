"""Keypoints from heat maps, against maps of Gaussians whose places are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posewire.inference.poses import heatmap
from posewire.shared.skeleton import COCO_MIRRORED

HEIGHT, WIDTH = 64, 48
SIGMA = 2.0
"""Cells, as PP-TinyPose was trained."""

sides = st.integers(1, 12)
any_maps = st.tuples(st.integers(1, 3), st.integers(1, 4), sides, sides).flatmap(
    lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-2, 2, width=32))
)


def gaussian(
    x: float, y: float, *, sigma: float = SIGMA, peak: float = 0.9, noise: float = 0.0
) -> np.ndarray:
    """Return the map of a joint at (x, y), in cells."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    heat = peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    grain = np.random.default_rng(0).uniform(-noise, noise, heat.shape)
    return np.asarray(heat + grain, np.float32)


@given(
    x=st.floats(2.5, WIDTH - 3.51),
    y=st.floats(2.5, HEIGHT - 3.51),
    sigma=st.floats(1.0, 3.0),
    peak=st.floats(0.05, 1.0),
)
def test_a_joint_is_found_between_the_cells(x: float, y: float, sigma: float, peak: float) -> None:
    found = heatmap.decode(gaussian(x, y, sigma=sigma, peak=peak)[None, None])[0, 0]
    assert found[:2] == pytest.approx((x, y), abs=0.1)
    # The score is that of the hottest cell, whose centre is at most half a cell away.
    assert peak * np.exp(-0.25 / sigma**2) - 1e-4 <= found[2] <= peak + 1e-4


@given(x=st.floats(4, WIDTH - 5), y=st.floats(4, HEIGHT - 5))
def test_some_noise_moves_a_joint_only_a_little(x: float, y: float) -> None:
    found = heatmap.decode(gaussian(x, y, noise=0.01)[None, None])[0, 0, :2]
    assert found == pytest.approx((x, y), abs=0.4)


@given(
    x=st.integers(0, WIDTH - 1),
    y=st.integers(0, HEIGHT - 1),
    dx=st.floats(-0.4, 0.4),
    dy=st.floats(-0.4, 0.4),
)
def test_at_the_rim_the_cell_itself_is_the_joint(x: int, y: int, dx: float, dy: float) -> None:
    inner = 2 <= x < WIDTH - 2 and 2 <= y < HEIGHT - 2
    found = heatmap.decode(gaussian(x + dx, y + dy)[None, None])[0, 0, :2]
    place = (x + dx, y + dy) if inner else (x, y)
    assert found == pytest.approx(place, abs=0.1)


@given(any_maps)
def test_all_at_once_gives_what_one_by_one_gives(maps: np.ndarray) -> None:
    together = heatmap.decode(maps)
    for person in range(maps.shape[0]):
        for keypoint in range(maps.shape[1]):
            alone = heatmap.decode(maps[person : person + 1, keypoint : keypoint + 1])[0, 0]
            np.testing.assert_array_equal(together[person, keypoint], alone)


@given(any_maps)
def test_no_map_leads_far_from_its_hottest_cell(maps: np.ndarray) -> None:
    found = heatmap.decode(maps)
    assert np.isfinite(found).all()
    assert (found[..., 2] >= 0).all()
    width = maps.shape[3]
    hottest = maps.reshape(*maps.shape[:2], -1).argmax(2)
    cells = np.stack([hottest % width, hottest // width], axis=-1)
    assert (np.abs(found[..., :2] - cells) <= 1 + 1e-5).all()


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0, 1e-9, np.nan])
def test_a_map_without_a_peak_is_a_cell_of_it_and_harms_no_other(value: float) -> None:
    maps = np.stack([np.full((HEIGHT, WIDTH), value, np.float32), gaussian(20.3, 30.6)])[None]
    flat, other = heatmap.decode(maps)[0]
    assert np.isfinite(flat).all()
    assert 0 <= flat[0] < WIDTH
    assert 0 <= flat[1] < HEIGHT
    assert flat[2] == (value if value > 0 else 0)
    assert other[:2] == pytest.approx((20.3, 30.6), abs=0.1)


def test_nan_in_the_middle_of_a_map_is_no_keypoint() -> None:
    broken = gaussian(20, 30)
    broken[28:33, 18:23] = np.nan
    found = heatmap.decode(broken[None, None])[0, 0]
    assert np.isfinite(found).all()
    assert found[2] == 0


def test_nobody_has_no_keypoints() -> None:
    assert heatmap.decode(np.zeros((0, 17, HEIGHT, WIDTH), np.float32)).shape == (0, 17, 3)


@given(
    st.lists(
        st.tuples(st.floats(16, 4 * WIDTH - 32), st.floats(16, 4 * HEIGHT - 32)),
        min_size=17,
        max_size=17,
    )
)
@settings(max_examples=25)
def test_the_mirror_image_comes_back_to_a_quarter_of_a_cell(
    pixels: list[tuple[float, float]],
) -> None:
    maps = np.stack([gaussian(x / 4, y / 4) for x, y in pixels])[None]
    # What the network shows of the mirrored input: its left is the person's right.
    seen = [pixels[other] for other in COCO_MIRRORED]
    mirrored = np.stack([gaussian((4 * WIDTH - 1 - x) / 4, y / 4) for x, y in seen])[None]
    back = heatmap.mirror(mirrored, COCO_MIRRORED)
    assert back.shape == maps.shape
    straight, returned = heatmap.decode(maps), heatmap.decode(back)
    np.testing.assert_allclose(returned[..., 0] - straight[..., 0], 0.25, atol=0.1)
    np.testing.assert_allclose(returned[..., 1], straight[..., 1], atol=0.1)
    # Averaged, as the estimator does it, they are one peak near either.
    both = heatmap.decode((maps + back) / 2)
    np.testing.assert_allclose(both[..., 0] - straight[..., 0], 0.125, atol=0.1)
