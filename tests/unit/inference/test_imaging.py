"""What a network's input shows is found again in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from posewire.inference.imaging import View, crop_person, letterbox, stretch

BORDER = 0


def blob(size: tuple[int, int], x: float, y: float, sigma: float | None = None) -> np.ndarray:
    """Return a black picture with a soft white spot at (x, y); by default a share of each side."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    across, down = (size[1] / 28, size[0] / 28) if sigma is None else (sigma, sigma)
    heat = np.exp(-(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2) / 2)
    return np.repeat((255 * heat).round().astype(np.uint8)[..., None], 3, axis=2)


def found_at(tensor: np.ndarray, view: View) -> np.ndarray:
    """Return where the spot of an input is in the picture: the middle of its light."""
    light = tensor[0, :, :, 0].astype(np.float64)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    middle = np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
    return view.to_picture(middle.astype(np.float32))


unit = st.floats(0.15, 0.85)
sizes = st.tuples(st.integers(60, 700), st.integers(60, 900))
inputs = st.sampled_from([(256, 192), (320, 320), (128, 96)])


@given(size=sizes, at=st.tuples(unit, unit), shape=inputs, cubic=st.booleans())
@settings(max_examples=40, deadline=None)
def test_stretched(
    size: tuple[int, int], at: tuple[float, float], shape: tuple[int, int], cubic: bool
) -> None:
    x, y = at[0] * size[1], at[1] * size[0]
    tensor, view = stretch(blob(size, x, y), shape, cubic=cubic)
    assert tensor.shape == (1, *shape, 3)
    # cv2.resize lays the pixels' corners on each other, the view their centres: half a pixel.
    room = 0.8 * max(1 / view.scale_x, 1 / view.scale_y, 1)
    np.testing.assert_allclose(found_at(tensor, view), (x, y), atol=room)


@given(size=sizes, at=st.tuples(unit, unit), shape=inputs)
@settings(max_examples=40, deadline=None)
def test_letterboxed(
    size: tuple[int, int], at: tuple[float, float], shape: tuple[int, int]
) -> None:
    x, y = at[0] * size[1], at[1] * size[0]
    tensor, view = letterbox(blob(size, x, y), shape, BORDER)
    # The aspect is kept to half a pixel of the input.
    assert view.scale_x == pytest.approx(view.scale_y, abs=0.51 / min(size))
    room = 0.8 * max(1 / view.scale_x, 1)
    np.testing.assert_allclose(found_at(tensor, view), (x, y), atol=room)


def test_a_letterbox_has_its_border_at_the_right_or_below() -> None:
    wide, _view = letterbox(np.full((100, 200, 3), 255, np.uint8), (320, 320), 114)
    assert (wide[0, :160] == 255).all()
    assert (wide[0, 160:] == 114).all()
    high, _view = letterbox(np.full((200, 100, 3), 255, np.uint8), (320, 320), 114)
    assert (high[0, :, :160] == 255).all()
    assert (high[0, :, 160:] == 114).all()


@given(
    size=sizes,
    shape=inputs,
    margin=st.floats(1.0, 1.4),
    corner=st.tuples(st.floats(-0.3, 0.9), st.floats(-0.3, 0.9)),
    extent=st.tuples(st.floats(0.05, 1.3), st.floats(0.05, 1.3)),
    at=st.tuples(unit, unit),
)
@settings(max_examples=150, deadline=None)
def test_a_point_of_a_person_is_found_again(
    size: tuple[int, int],
    shape: tuple[int, int],
    margin: float,
    corner: tuple[float, float],
    extent: tuple[float, float],
    at: tuple[float, float],
) -> None:
    height, width = size
    x0, y0 = corner[0] * width, corner[1] * height
    px_box = np.array([x0, y0, x0 + extent[0] * width, y0 + extent[1] * height, 0.9], np.float32)
    x, y = px_box[:2] + np.array(at) * (px_box[2:4] - px_box[:2])
    sigma = max(2.0, float((px_box[2:4] - px_box[:2]).max()) / 60)
    # The whole spot is in the picture, though not the whole box.
    assume(4 * sigma < x < width - 4 * sigma)
    assume(4 * sigma < y < height - 4 * sigma)
    tensor, view = crop_person(blob(size, x, y, sigma), px_box, shape, margin=margin, border=BORDER)
    assert tensor.shape == (1, *shape, 3)
    shown = (np.array([x, y]) - (view.x0, view.y0)) * (view.scale_x, view.scale_y)
    # And in the input, where its middle can be told.
    room = 4 * sigma * view.scale_x
    assume((shown > room).all() and (shown < np.array(shape[::-1]) - room).all())
    atol = 0.35 * max(1.0, 1 / view.scale_x)
    np.testing.assert_allclose(found_at(tensor, view), (x, y), atol=atol)


@pytest.mark.parametrize("shrink", [1.0, 2.0, 3.7, 8.0, 20.0])
def test_thin_limbs_of_large_people_do_not_break_up(shrink: float) -> None:
    height, width = round(256 * shrink), round(192 * shrink)
    image = np.zeros((height, width, 3), np.uint8)
    # Four lines in each input pixel's width: what skips pixels sees some and misses others.
    period = max(2, round(shrink / 2))
    image[:, :: max(1, period)] = 255
    px_box = np.array([0, 0, width, height], np.float32)
    tensor, _view = crop_person(image, px_box, (256, 192), margin=1.0, border=BORDER)
    inner = tensor[0, 5:-5, 5:-5, 0].astype(np.float64)
    expected = image[..., 0].mean()
    assert inner.mean() == pytest.approx(expected, rel=0.1)
    if shrink >= 8:
        assert inner.std() < 0.4 * expected, "grey is expected, not stripes"


@given(
    at=st.tuples(st.floats(-900, 900), st.floats(-900, 900)),
    extent=st.tuples(st.floats(0, 900), st.floats(0, 900)),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
@settings(max_examples=150, deadline=None)
def test_boxes_beyond_the_picture_show_its_border(
    at: tuple[float, float], extent: tuple[float, float], size: tuple[int, int]
) -> None:
    px_box = np.array([*at, at[0] + extent[0], at[1] + extent[1]], np.float32)
    image = np.full((*size, 3), 255, np.uint8)
    tensor, view = crop_person(image, px_box, (256, 192), margin=1.25, border=7)
    corners = view.to_picture(np.array([[0, 0], [191, 255]], np.float32))
    # Interpolation reaches one pixel of the input or of the picture, whichever is larger.
    reach = max(1.0, 1 / view.scale_x)
    beyond = (corners[1] < -reach).any() or (corners[0] > np.array(size[::-1]) + reach).any()
    if beyond:
        assert (tensor == 7).all()
    inside = (corners[0] >= 0).all() and (corners[1] <= np.array(size[::-1]) - 1).all()
    if inside:
        assert (tensor == 255).all()


def test_the_picture_itself_is_left_as_it_was() -> None:
    image = cv2.randu(np.zeros((90, 120, 3), np.uint8), 0, 255)
    before = image.copy()
    crop_person(image, np.array([-5, -5, 130, 95], np.float32), (64, 48), margin=1.2, border=0)
    letterbox(image, (64, 64), 114)
    stretch(image, (64, 64))
    np.testing.assert_array_equal(image, before)
