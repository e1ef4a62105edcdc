"""Persons as boxes, by person-detection-retail-0013 and other networks with SSD's output."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posewire.inference.engines import Engine
from posewire.inference.imaging import Image, View, crop, stretch
from posewire.shared.settings import Family

_MOST_STRETCH = 1.4
"""The network learned from stretched pictures; beyond this, people get shapes it has never seen."""


class Detector:
    """Finds people's boxes."""

    def __init__(self, engine: Engine, family: Family = "ssd", person_label: int = 1) -> None:
        self.engine = engine
        self._family, self._person_label = family, person_label

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
        outputs = await self.engine.infer(tensor)
        shape = self.engine.input_shape
        if self._family == "atss":
            rows = rows_of_atss(outputs["boxes"], outputs["labels"], shape)
        else:
            (rows,) = outputs.values()
        return read_detections(
            rows, shape, view, picture, least_score, person_label=self._person_label
        )


def rows_of_atss(
    boxes: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Return ATSS' output as SSD's rows, shape (n, 7).

    Args:
        boxes: shape (n, 5), [x0, y0, x1, y1, score], pixels of the input.
        labels: shape (n,); 1 is a person in person-detection-0203.
        shape: height and width of the input.
    """
    height, width = shape
    rows = np.zeros((len(boxes), 7), np.float32)
    rows[:, 1], rows[:, 2] = labels, boxes[:, 4]
    rows[:, 3:] = boxes[:, :4] / np.array([width, height] * 2, np.float32)
    return rows


def read_detections(
    output: npt.NDArray[np.float32],
    shape: tuple[int, int],
    view: View,
    picture: tuple[int, int],
    least_score: float,
    *,
    person_label: int = 1,
) -> npt.NDArray[np.float32]:
    """Read SSD's ``detection_out``, shape (1, 1, n, 7): [image, label, score, x0, y0, x1, y1].

    Rows after the first with a negative image id are unused. Boxes are clipped to the picture;
    those less than two pixels wide or high are dropped.
    """
    rows = output.reshape(-1, 7)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    rows = rows[
        (rows[:, 1] == person_label) & (rows[:, 2] >= least_score) & np.isfinite(rows).all(1)
    ]
    height, width = shape
    corners = rows[:, 3:7].reshape(-1, 2, 2) * np.array([width, height], dtype=np.float32)
    boxes = view.to_picture(corners).reshape(-1, 4)
    limits = np.array([picture[1], picture[0]] * 2, dtype=np.float32)
    boxes = np.clip(boxes, 0, limits)
    found = np.concatenate([boxes, rows[:, 2:3]], axis=1).astype(np.float32)
    large = (found[:, 2] - found[:, 0] >= 2) & (found[:, 3] - found[:, 1] >= 2)
    found = found[large]
    return found[np.argsort(-found[:, 4], kind="stable")]
