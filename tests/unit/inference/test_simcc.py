"""Keypoints from two rows of bins, against bins whose joints are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from posewire.inference.poses import simcc
from posewire.shared.skeleton import COCO_MIRRORED

SHAPE = (256, 192)
SPLIT = 2
"""Bins per pixel, RTMPose's."""
BIN_PX = 1 / SPLIT


def bins(pixel: float, size: int, *, peak: float = 0.8, split: int = SPLIT) -> np.ndarray:
    """Return the row of bins of a joint at ``pixel``: sigma 5 px, about RTMPose's."""
    places = np.arange(size * split) / split
    return np.asarray(peak * np.exp(-((places - pixel) ** 2) / (2 * 5.0**2)), np.float32)


def rows(
    places: list[tuple[float, float]], peaks: tuple[float, float] = (0.8, 0.8)
) -> tuple[np.ndarray, np.ndarray]:
    x = np.stack([bins(x, SHAPE[1], peak=peaks[0]) for x, _y in places])[None]
    y = np.stack([bins(y, SHAPE[0], peak=peaks[1]) for _x, y in places])[None]
    return x, y


@given(
    x=st.floats(0, SHAPE[1] - BIN_PX),
    y=st.floats(0, SHAPE[0] - BIN_PX),
    peaks=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
)
def test_a_joint_is_found_to_half_a_bin(x: float, y: float, peaks: tuple[float, float]) -> None:
    found = simcc.decode(*rows([(x, y)], peaks), SHAPE)[0, 0]
    assert found[:2] == pytest.approx((x, y), abs=BIN_PX / 2 + 1e-3)
    assert found[2] == pytest.approx(min(peaks), abs=0.01)


@given(x=st.floats(0, 191.6), y=st.floats(0, 255.6), split=st.integers(1, 4))
def test_the_number_of_bins_tells_how_fine_they_are(x: float, y: float, split: int) -> None:
    found = simcc.decode(
        bins(x, SHAPE[1], split=split)[None, None],
        bins(y, SHAPE[0], split=split)[None, None],
        SHAPE,
    )[0, 0]
    assert found[:2] == pytest.approx((x, y), abs=0.5 / split + 1e-3 + (0.1 if split == 1 else 0))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 4)).flatmap(
        lambda count: st.tuples(
            hnp.arrays(np.float32, (*count, 24), elements=st.floats(-2, 2, width=32)),
            hnp.arrays(np.float32, (*count, 32), elements=st.floats(-2, 2, width=32)),
        )
    )
)
def test_all_at_once_gives_what_one_by_one_gives(both: tuple[np.ndarray, np.ndarray]) -> None:
    x_bins, y_bins = both
    together = simcc.decode(x_bins, y_bins, (16, 12))
    assert ((together >= 0) & (together[..., 2:] <= 1)).all()
    assert (together[..., :2] < (12, 16)).all()
    for person in range(len(x_bins)):
        for point in range(x_bins.shape[1]):
            cut = np.s_[person : person + 1, point : point + 1]
            alone = simcc.decode(x_bins[cut], y_bins[cut], (16, 12))[0, 0]
            np.testing.assert_array_equal(together[person, point], alone)


@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_bins_without_a_peak_are_no_keypoint_and_harm_no_other(value: float) -> None:
    x_bins, y_bins = rows([(50, 60), (100.5, 200)])
    x_bins[0, 0] = value
    found = simcc.decode(x_bins, y_bins, SHAPE)[0]
    assert np.isfinite(found).all()
    assert found[0, 2] == 0
    np.testing.assert_allclose(found[1], [100.5, 200, 0.8], atol=0.3)


def test_scores_above_one_are_one() -> None:
    x_bins, y_bins = rows([(50, 60)], (1.4, 1.2))
    assert simcc.decode(x_bins, y_bins, SHAPE)[0, 0, 2] == 1


@given(
    st.lists(st.tuples(st.floats(1, 190), st.floats(1, 254)), min_size=17, max_size=17),
)
@settings(max_examples=25)
def test_the_mirror_image_comes_back_to_a_bin(places: list[tuple[float, float]]) -> None:
    seen = [places[other] for other in COCO_MIRRORED]
    mirrored = rows([(SHAPE[1] - 1 - x, y) for x, y in seen])
    back = simcc.decode(*simcc.mirror(*mirrored, COCO_MIRRORED), SHAPE)[0]
    np.testing.assert_allclose(back[:, 0], [x for x, _y in places], atol=1.5 * BIN_PX + 0.01)
    np.testing.assert_allclose(back[:, 1], [y for _x, y in places], atol=BIN_PX)
