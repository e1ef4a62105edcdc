"""The clip's camera: a fixed pinhole, and the projection of world points into its picture.

World frame: metres, X to the right of the picture, Y away from the camera, Z up, floor at Z = 0.
Picture frame: pixels, origin at the top left corner, x right, y down, pixel centres at +0.5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

WIDTH = 768
HEIGHT = 432
FPS = 10

POSITION = np.array([0.0, -8.2, 2.15])  # metres; a little above head height
TARGET = np.array([0.0, 0.0, 0.98])  # the point in the middle of the picture
FOCAL_PX = 830.0  # raise for a narrower view and larger people


class Axes(NamedTuple):
    """The camera's unit axes in world coordinates, each of shape (3,)."""

    right: FloatArray
    up: FloatArray
    forward: FloatArray


def axes() -> Axes:
    """Return the camera's right, up and forward axes."""
    forward = (TARGET - POSITION) / np.linalg.norm(TARGET - POSITION)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return Axes(right, np.cross(right, forward), forward)


def project(points: npt.ArrayLike) -> FloatArray:
    """Project world points into the picture.

    `points`: shape (n, 3), metres. Returns shape (n, 3): [x px, y px, depth m], where depth is the
    distance along the viewing direction. Points behind the camera (depth <= 0) are not handled:
    the script keeps everybody in front of it.
    """
    right, up, forward = axes()
    offset = np.asarray(points, dtype=float) - POSITION
    depth = offset @ forward
    return np.stack(
        [
            WIDTH / 2 + FOCAL_PX * (offset @ right) / depth,
            HEIGHT / 2 - FOCAL_PX * (offset @ up) / depth,
            depth,
        ],
        axis=-1,
    )


def ray(px: float, py: float) -> FloatArray:
    """Return the direction, shape (3,), through a picture point; its forward part has length 1."""
    right, up, forward = axes()
    across = (px - WIDTH / 2) / FOCAL_PX
    down = (py - HEIGHT / 2) / FOCAL_PX
    return np.asarray(forward + across * right - down * up)
