"""Persons as boxes, by person-detection-retail-0013 and other networks with SSD's output."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.inference.engines import Engine
from services.inference.imaging import Image, View, crop, stretch

_PERSON = 1
_MOST_STRETCH = 1.4
"""The network learned from stretched pictures; beyond this, people get shapes it has never seen."""


class Detector:
    """Finds people's boxes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def prepare(self, image: Image) -> tuple[Image, View]:
        """Return the network's input for a picture, and which part of it the input shows."""
        height, width = self.engine.input_shape
        stretched = (image.shape[1] / image.shape[0]) / (width / height)
        if 1 / _MOST_STRETCH <= stretched <= _MOST_STRETCH:
            return stretch(image, self.engine.input_shape)
        whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
        return crop(image, whole, self.engine.input_shape)

    async def find(
        self, tensor: Image, view: View, picture: tuple[int, int], least_score: float
    ) -> npt.NDArray[np.float32]:
        """Return people in a picture of size ``picture`` (height, width).

        float32, shape (n, 5), [x0, y0, x1, y1, score], pixels of the picture, best first.
        """
        (output,) = (await self.engine.infer(tensor)).values()
        return read_detections(output, self.engine.input_shape, view, picture, least_score)


def read_detections(
    output: npt.NDArray[np.float32],
    shape: tuple[int, int],
    view: View,
    picture: tuple[int, int],
    least_score: float,
) -> npt.NDArray[np.float32]:
    """Read SSD's ``detection_out``, shape (1, 1, n, 7): [image, label, score, x0, y0, x1, y1].

    Rows after the first with a negative image id are unused. Boxes are clipped to the picture;
    those less than two pixels wide or high are dropped.
    """
    rows = output.reshape(-1, 7)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    rows = rows[(rows[:, 1] == _PERSON) & (rows[:, 2] >= least_score) & np.isfinite(rows).all(1)]
    height, width = shape
    corners = rows[:, 3:7].reshape(-1, 2, 2) * np.array([width, height], dtype=np.float32)
    boxes = view.to_picture(corners).reshape(-1, 4)
    limits = np.array([picture[1], picture[0]] * 2, dtype=np.float32)
    boxes = np.clip(boxes, 0, limits)
    found = np.concatenate([boxes, rows[:, 2:3]], axis=1).astype(np.float32)
    large = (found[:, 2] - found[:, 0] >= 2) & (found[:, 3] - found[:, 1] >= 2)
    found = found[large]
    return found[np.argsort(-found[:, 4], kind="stable")]
