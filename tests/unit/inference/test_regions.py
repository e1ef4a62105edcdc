"""Where to look: regions around people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.imaging import crop, stretch
from services.inference.regions import SHAPES, plan, whole

PICTURE = (432, 768)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def test_nobody_means_nowhere() -> None:
    assert plan(boxes(), PICTURE, 1.5) == []


def test_one_person_costs_a_third_of_the_picture() -> None:
    (region,) = plan(boxes((300, 100, 380, 300)), PICTURE, 1.5)
    assert region.cost <= 0.35
    x0, y0, x1, y1 = region.px_box
    assert (x0 <= 300, y0 <= 100, x1 >= 380, y1 >= 300) == (True,) * 4


def test_people_side_by_side_share_a_region() -> None:
    together = plan(boxes((300, 100, 380, 300), (360, 100, 440, 300)), PICTURE, 1.5)
    assert len(together) == 1
    apart = plan(boxes((100, 100, 180, 300), (600, 100, 680, 300)), PICTURE, 1.5)
    assert len(apart) == 2


def test_a_crowd_takes_the_whole_picture() -> None:
    crowd = boxes(*((70 * n, 20, 70 * n + 60, 400) for n in range(10)))
    regions = plan(crowd, PICTURE, 1.0)
    assert sum(region.cost for region in regions) <= 1.1


people = st.lists(
    st.tuples(st.floats(0, 740), st.floats(0, 400), st.floats(2, 700), st.floats(2, 430)),
    max_size=30,
)


@given(people)
def test_everybody_is_in_a_region_and_the_cost_is_bounded(
    rows: list[tuple[float, float, float, float]],
) -> None:
    found = boxes(*((x, y, min(x + w, 768), min(y + h, 432)) for x, y, w, h in rows))
    regions = plan(found, PICTURE, 1.5)
    assert sum(region.cost for region in regions) <= 1.5
    assert all(region.shape in SHAPES for region in regions)
    for x0, y0, x1, y1 in found:
        assert any(
            r.px_box[0] <= x0 and r.px_box[1] <= y0 and r.px_box[2] >= x1 and r.px_box[3] >= y1
            for r in regions
        )


@pytest.mark.parametrize(
    ("size", "shape"),
    [((432, 768), (256, 456)), ((480, 640), (296, 392)), ((640, 427), (392, 296))],
)
def test_whole_pictures_keep_their_aspect(size: tuple[int, int], shape: tuple[int, int]) -> None:
    assert whole(size).shape == shape


@given(
    st.integers(1, 300), st.integers(1, 300), st.floats(-50, 320), st.floats(-50, 320),
    st.floats(1, 400), st.floats(1, 400), st.sampled_from(SHAPES),
)  # fmt: skip
def test_points_find_their_way_back(
    width: int, height: int, x: float, y: float, w: float, h: float, shape: tuple[int, int]
) -> None:
    image = np.zeros((height, width, 3), dtype=np.uint8)
    tensor, view = crop(image, (x, y, x + w, y + h), shape)
    assert tensor.shape == (1, *shape, 3)
    corners = np.array([[0, 0], [shape[1], shape[0]]], dtype=np.float32)
    shown = view.to_picture(corners)
    # All of the box that lies in the picture is in view, to a pixel or two of rounding.
    slack_x, slack_y = 2 * max(1, w / shape[1]), 2 * max(1, h / shape[0])
    assert shown[0, 0] <= max(x, 0) + slack_x
    assert shown[0, 1] <= max(y, 0) + slack_y
    assert shown[1, 0] >= min(x + w, width) - slack_x
    assert shown[1, 1] >= min(y + h, height) - slack_y


def test_a_crop_shows_what_it_says() -> None:
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[40:60, 80:120] = 255
    tensor, view = crop(image, (60, 30, 140, 70), (128, 256))
    ys, xs = np.nonzero(tensor[0, :, :, 0] > 127)
    corners = np.array([[xs.min(), ys.min()], [xs.max() + 1, ys.max() + 1]], dtype=np.float32)
    np.testing.assert_allclose(view.to_picture(corners), [[80, 40], [120, 60]], atol=1)


def test_outside_of_the_picture_is_grey() -> None:
    image = np.zeros((50, 50, 3), dtype=np.uint8)
    tensor, _view = crop(image, (-100, -100, -20, -20), (64, 64))
    assert (tensor == 128).all()


def test_a_stretched_picture_fills_the_input() -> None:
    image = np.full((30, 90, 3), 7, dtype=np.uint8)
    tensor, view = stretch(image, (320, 544))
    assert (tensor == 7).all()
    end = view.to_picture(np.array([[544, 320]], dtype=np.float32))
    np.testing.assert_allclose(end, [[90, 30]])
