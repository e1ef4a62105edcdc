"""Exact truth of a frame: boxes, visible shares and keypoints from the meshes themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from camera import HEIGHT, WIDTH
from gait import FloatArray

# The COCO order; `bodies` computes them, `pack` names them in the truth file.
KEYPOINTS = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]

SCALE = 2  # picture pixels per cell of the depth maps
MARGIN = 300  # columns of cells kept left and right of the picture
ROWS, COLUMNS = HEIGHT // SCALE, WIDTH // SCALE + 2 * MARGIN
IN_VIEW = 25  # visible cells (100 pixels) that make a person part of a frame
SKIN_DEPTH = 0.14  # metres a joint may lie under the surface in front of it
OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2


@dataclass(frozen=True)
class Figure:
    """One person in one frame, projected.

    `surface`: (n, 3) points on body and clothes, `keypoints`: (17, 3), both [x px, y px, depth m].
    """

    visit: int
    person: int
    surface: FloatArray
    keypoints: FloatArray


def depth_map(surface: FloatArray) -> FloatArray:
    """Return the nearest depth per cell, shape (ROWS, COLUMNS), infinite where nothing is."""
    cells = np.full(ROWS * COLUMNS, np.inf)
    column = np.floor(surface[:, 0] / SCALE).astype(int) + MARGIN
    row = np.floor(surface[:, 1] / SCALE).astype(int)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = column + right, row + down
        inside = (x >= 0) & (x < COLUMNS) & (y >= 0) & (y < ROWS)
        np.minimum.at(cells, y[inside] * COLUMNS + x[inside], surface[inside, 2])
    return cells.reshape(ROWS, COLUMNS)


def describe(figures: list[Figure], scenery: FloatArray) -> list[dict[str, Any]]:
    """Return the frame's truth, one record per person in view.

    `scenery`: (ROWS, COLUMNS), depth of the empty hall per cell, infinite outside the picture.
    """
    maps = [depth_map(figure.surface) for figure in figures]
    records = []
    for figure, own in zip(figures, maps, strict=True):
        front = scenery.copy()
        for other in maps:
            if other is not own:
                front = np.minimum(front, other)
        seen = np.isfinite(own) & (own < front)
        seen[:, :MARGIN] = False
        seen[:, -MARGIN:] = False
        if seen.sum() >= IN_VIEW:
            records.append(_record(figure, own, front, seen))
    return records


def _record(
    figure: Figure, own: FloatArray, front: FloatArray, seen: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return one person's record; `front`: depth of everything else, `seen`: visible cells."""
    rows, columns = np.nonzero(seen)
    columns = columns - MARGIN
    x0, y0 = np.maximum(figure.surface[:, :2].min(axis=0), 0)
    x1, y1 = np.minimum(figure.surface[:, :2].max(axis=0), [WIDTH, HEIGHT])
    return {
        "person": figure.person,
        "visit": figure.visit,
        "box": [round(float(edge), 1) for edge in (x0, y0, x1, y1)],
        "box_visible": [
            int(SCALE * edge)
            for edge in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        ],
        "visible": round(float(seen.sum() / np.isfinite(own).sum()), 3),
        "kp": [_keypoint(point, own, front) for point in figure.keypoints],
    }


def _keypoint(point: FloatArray, own: FloatArray, front: FloatArray) -> list[float]:
    """Return [x px, y px, OUTSIDE | HIDDEN | VISIBLE]."""
    x, y, depth = (float(value) for value in point)
    state = OUTSIDE
    if 0 <= x < WIDTH and 0 <= y < HEIGHT:
        cell = (int(y // SCALE), int(x // SCALE) + MARGIN)
        on_surface = depth - own[cell] < SKIN_DEPTH or not np.isfinite(own[cell])
        state = VISIBLE if on_surface and front[cell] > depth - 0.05 else HIDDEN
    return [round(x, 1), round(y, 1), state]
