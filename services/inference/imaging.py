"""JPEG in, network inputs out: decoding, resizing, and the way back to the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from posewire.shared.jpeg import refusal

Image = npt.NDArray[np.uint8]
"""BGR, shape (height, width, 3)."""

PADDING = 128
"""Grey around pictures that do not fill an input: the networks' mean, so it excites nothing."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of a picture that a network input shows, in pixels of the picture.

    ``(x0, y0)`` is what the input's top left corner shows; it may lie outside the picture, where
    the input is grey. ``scale`` is input pixels per picture pixel.
    """

    x0: float
    y0: float
    scale_x: float
    scale_y: float

    def to_picture(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map input pixels to picture pixels; ``points`` has shape (..., 2) or more columns."""
        out: npt.NDArray[np.float32] = points.copy()
        out[..., 0] = points[..., 0] / self.scale_x + self.x0
        out[..., 1] = points[..., 1] / self.scale_y + self.y0
        return out


def decode_jpeg(data: bytes) -> Image | None:
    """Return the picture, None where ``data`` is no complete JPEG of a size that is allowed."""
    if refusal(data) is not None:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, dtype=np.uint8)


def stretch(image: Image, shape: tuple[int, int], *, cubic: bool = False) -> tuple[Image, View]:
    """Fill an input of ``shape`` (height, width) with the whole picture, aspect not kept.

    Returns the input, shape (1, height, width, 3), and its view. ``cubic``: as networks of
    PaddleDetection were trained, without smoothing where the picture shrinks.
    """
    height, width = shape
    interpolation = cv2.INTER_CUBIC if cubic else _interpolation(image.shape, shape)
    tensor = cv2.resize(image, (width, height), interpolation=interpolation)
    view = View(0.0, 0.0, width / image.shape[1], height / image.shape[0])
    return np.asarray(tensor, dtype=np.uint8)[None], view


def crop(
    image: Image, px_box: tuple[float, float, float, float], shape: tuple[int, int]
) -> tuple[Image, View]:
    """Show ``px_box`` of the picture in an input of ``shape`` (height, width), aspect kept.

    The box is centred and as large as it fits; around it the input shows what the picture has
    there, and grey outside of the picture.

        picture                     input
        ┌──────────────────┐       ┌───────┐
        │     ┌──┬──┬──┐   │       │grey   │   the box (inner) is grown to the
        │     │  │  │  │   │  ──▶  │┌─┬─┬─┐│   input's aspect (outer)
        └─────┴──┴──┴──┴───┘       └┴─┴─┴─┴┘
    """
    height, width = shape
    x0, y0, x1, y1 = px_box
    scale = min(width / max(x1 - x0, 1.0), height / max(y1 - y0, 1.0))
    # The source rectangle in whole pixels, so that slicing needs no interpolation.
    left = round((x0 + x1) / 2 - width / scale / 2)
    top = round((y0 + y1) / 2 - height / scale / 2)
    seen_x0, seen_y0 = max(left, 0), max(top, 0)
    seen_x1 = min(round(left + width / scale), image.shape[1])
    seen_y1 = min(round(top + height / scale), image.shape[0])
    tensor = np.full((1, height, width, 3), PADDING, dtype=np.uint8)
    if seen_x1 <= seen_x0 or seen_y1 <= seen_y0:
        return tensor, View(left, top, scale, scale)
    part = image[seen_y0:seen_y1, seen_x0:seen_x1]
    to_x0, to_y0 = round((seen_x0 - left) * scale), round((seen_y0 - top) * scale)
    to_w = max(1, min(width - to_x0, round((seen_x1 - seen_x0) * scale)))
    to_h = max(1, min(height - to_y0, round((seen_y1 - seen_y0) * scale)))
    tensor[0, to_y0 : to_y0 + to_h, to_x0 : to_x0 + to_w] = cv2.resize(
        part, (to_w, to_h), interpolation=_interpolation(part.shape, (to_h, to_w))
    )
    scale_x, scale_y = to_w / (seen_x1 - seen_x0), to_h / (seen_y1 - seen_y0)
    return tensor, View(seen_x0 - to_x0 / scale_x, seen_y0 - to_y0 / scale_y, scale_x, scale_y)


def letterbox(image: Image, shape: tuple[int, int], border: int) -> tuple[Image, View]:
    """Show the whole picture at the top left of an input of ``shape`` (height, width).

    The aspect is kept; the rest of the input has the value ``border``.
    """
    height, width = shape
    scale = min(width / image.shape[1], height / image.shape[0])
    high, wide = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    tensor = np.full((1, height, width, 3), border, dtype=np.uint8)
    tensor[0, :high, :wide] = cv2.resize(
        image, (wide, high), interpolation=_interpolation(image.shape, (high, wide))
    )
    return tensor, View(0.0, 0.0, wide / image.shape[1], high / image.shape[0])


def crop_person(
    image: Image,
    px_box: npt.NDArray[np.float32],
    shape: tuple[int, int],
    *,
    margin: float,
    border: int,
) -> tuple[Image, View]:
    """Show one person in an input of ``shape`` (height, width), as top-down networks want it.

    The box, [x0, y0, x1, y1], is grown around its centre to the input's aspect, and then
    ``margin`` times. The way from pixels to the input is ``scale * (p - centre) + (width, height) /
    2``, as in the code that the networks were trained with.
    """
    height, width = shape
    x0, y0, x1, y1 = (float(value) for value in px_box[:4])
    scale = min(width / max(x1 - x0, 1.0), height / max(y1 - y0, 1.0)) / margin
    view = View((x0 + x1) / 2 - width / 2 / scale, (y0 + y1) / 2 - height / 2 / scale, scale, scale)
    # Large people are made smaller first: warpAffine would skip their pixels.
    shrink = int(1 / scale) if scale <= 0.5 else 1
    left, top = 0, 0
    if shrink > 1:
        left, top = max(0, int(view.x0)), max(0, int(view.y0))
        right = min(image.shape[1], int(view.x0 + width / scale) + 2)
        low = min(image.shape[0], int(view.y0 + height / scale) + 2)
        part = image[top:low, left:right]
        if not part.size:
            # The box lies beyond the picture.
            return np.full((1, height, width, 3), border, np.uint8), view
        size = (max(1, part.shape[1] // shrink), max(1, part.shape[0] // shrink))
        part = part[: size[1] * shrink, : size[0] * shrink]
        image = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    # A pixel of the smaller picture is the mean of ``shrink`` pixels, whose middle it shows.
    middle = (shrink - 1) / 2
    matrix = np.array(
        [
            [scale * shrink, 0, scale * (left + middle - view.x0)],
            [0, scale * shrink, scale * (top + middle - view.y0)],
        ]
    )
    tensor = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(border,) * 3
    )
    return np.asarray(tensor, dtype=np.uint8)[None], view


def _interpolation(source: tuple[int, ...], target: tuple[int, int]) -> int:
    # Bilinear skips pixels when a picture shrinks to less than half: thin limbs break up.
    shrinks = target[0] * 2 < source[0] or target[1] * 2 < source[1]
    return cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
