"""Where to look: regions around people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewire.inference.imaging import crop, stretch
from posewire.inference.presets import effort, in_one_shape
from posewire.inference.regions import (
    FULL_AREA,
    PERSON_PX,
    SHAPES,
    Target,
    halves,
    plan,
    sweep,
)
from posewire.shared.settings import InferenceSettings

PICTURE = (432, 768)


def target(x0: float, y0: float, x1: float, y1: float, shown_px: float = 0.0) -> Target:
    return Target((x0, y0, x1, y1), max(y1 - y0, x1 - x0) / 1.2, shown_px)


def test_nobody_means_nowhere() -> None:
    assert plan([], PICTURE, 1.5, swept=False) == []


def test_one_person_costs_a_sixth_of_the_picture() -> None:
    (region,) = plan([target(300, 100, 400, 340)], PICTURE, 1.5, swept=False)
    assert region.cost <= 0.17
    assert region.px_box == (300, 100, 400, 340)
    assert 0.7 * 176 < 200 * region.scale < 1.1 * 176


def test_who_has_been_seen_well_needs_no_closer_look() -> None:
    far, well, close = (target(300, 100, 400, 340, px) for px in (60, 180, 500))
    assert plan([well], PICTURE, 1.5, swept=True) == []
    assert len(plan([far], PICTURE, 1.5, swept=True)) == 1
    assert len(plan([close], PICTURE, 1.5, swept=True)) == 1


def test_people_side_by_side_share_a_region() -> None:
    one, two, three = (
        target(300, 100, 400, 340),
        target(370, 100, 470, 340),
        target(20, 9, 120, 249),
    )
    assert len(plan([one, two], PICTURE, 1.5, swept=False)) == 1
    assert len(plan([one, three], PICTURE, 1.5, swept=False)) == 2


def test_a_crowd_takes_the_whole_picture_once() -> None:
    crowd = [target(70 * n, 20 + 9 * n, 70 * n + 60, 160 + 20 * n) for n in range(10)]
    (region,) = plan(crowd, PICTURE, 0.4, swept=False)
    assert region.px_box == (0, 0, 768, 432)
    looks = plan(crowd, PICTURE, 0.4, swept=True)
    assert looks
    assert sum(look.cost for look in looks) <= 0.4


people = st.lists(
    st.tuples(
        st.floats(0, 740), st.floats(0, 400), st.floats(2, 700), st.floats(2, 430),
        st.floats(0, 900),
    ),
    max_size=30,
)  # fmt: skip


@given(people, st.booleans())
def test_everybody_is_in_a_region_and_the_cost_is_bounded(
    rows: list[tuple[float, float, float, float, float]], swept: bool
) -> None:
    wanted = [target(x, y, min(x + w, 768), min(y + h, 432), px) for x, y, w, h, px in rows]
    regions = plan(wanted, PICTURE, 1.5, swept=swept)
    assert sum(region.cost for region in regions) <= 1.6
    assert all(region.shape in SHAPES or region == sweep(PICTURE, 1.5) for region in regions)
    if not swept:
        for one in wanted:
            known = any(not one.needs(wished) for wished in PERSON_PX)
            x0, y0, x1, y1 = one.px_box
            assert known or any(
                r.px_box[0] <= x0 and r.px_box[1] <= y0 and r.px_box[2] >= x1 and r.px_box[3] >= y1
                for r in regions
            )


@pytest.mark.parametrize(
    ("size", "area", "shape"),
    [
        ((432, 768), 1.0, (256, 448)),
        ((480, 640), 0.7, (256, 320)),
        ((640, 427), 0.7, (352, 224)),
        ((5, 3000), 0.25, (128, 224)),
    ],
)
def test_sweeps_keep_the_aspect_of_common_pictures(
    size: tuple[int, int], area: float, shape: tuple[int, int]
) -> None:
    region = sweep(size, area)
    assert region.shape == shape
    assert region.px_box == (0, 0, size[1], size[0])


def test_halves_cover_the_whole_and_overlap() -> None:
    left, right = halves(sweep((400, 600), 1.0))
    assert left.px_box == (0, 0, 360, 400)
    assert right.px_box == (240, 0, 600, 400)
    top, bottom = halves(sweep((600, 400), 1.0))
    assert (top.px_box[3], bottom.px_box[1]) == (360, 240)


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


ONLY = (256, 456)


def test_where_there_is_one_shape_every_look_has_it() -> None:
    assert sweep(PICTURE, 0.35, [ONLY]).shape == ONLY
    apart = [target(300, 100, 400, 340), target(20, 9, 120, 249)]
    looks = plan(apart, PICTURE, 2.0, swept=False, shapes=[ONLY])
    assert [look.shape for look in looks] == [ONLY, ONLY]
    assert all(look.scale * 200 > 0.7 * 176 for look in looks)
    # What two looks would cost is not there: the whole picture, or the one that helps most.
    (whole,) = plan(apart, PICTURE, 1.0, swept=False, shapes=[ONLY])
    assert whole == sweep(PICTURE, 1.0, [ONLY])
    (best,) = plan(apart, PICTURE, 1.0, swept=True, shapes=[ONLY])
    assert best in looks


@pytest.mark.parametrize("preset", ["fast", "balanced", "accurate"])
def test_a_preset_in_one_shape_has_one_sweep_and_room_for_one_look(preset: str) -> None:
    work = in_one_shape(effort(InferenceSettings(preset=preset)), ONLY)
    assert work.sweeps == (1.0,)
    assert work.region_cost >= 1.0
    assert work.only_shape == ONLY
    assert in_one_shape(work, (320, 576)).region_cost >= 320 * 576 / FULL_AREA
