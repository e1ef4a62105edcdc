"""Things people carry: simple solids tied to a bone.

Every item is built around the body at rest and then moves rigidly with its bone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bodies import BODY_VERTICES, Body, Posed, bone_index
from clothes import LEFT_EAR, Colour
from gait import FloatArray


@dataclass(frozen=True)
class Item:
    """A solid tied to `bone`: `vertices` (n, 3) in the body's rest frame, quads, a colour.

    `bevel`: metres of rounded edge. `upright`: it hangs, so only its place follows the bone.
    """

    name: str
    bone: str
    vertices: FloatArray
    faces: list[list[int]]
    colour: Colour
    bevel: float
    upright: bool = False

    def follow(self, posed: Posed) -> FloatArray:
        """Return the vertices (n, 3) in the character frame of a pose."""
        bone = posed.bones[bone_index()[self.bone]]
        turned = self.vertices @ bone[:3, :3].T + bone[:3, 3]
        if not self.upright:
            return np.asarray(turned)
        top = self.vertices[:, 2] > self.vertices[:, 2].max() - 0.01
        moved = turned[top].mean(axis=0) - self.vertices[top].mean(axis=0)
        return np.asarray(self.vertices + moved)


Mesh = tuple[FloatArray, list[list[int]]]


def _cuboid(centre: FloatArray, size: tuple[float, float, float]) -> Mesh:
    """Return the 8 corners and 6 faces of a box; `size`: full extents along x, y, z."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return centre + signs * np.asarray(size) / 2, faces


def _ball(centre: FloatArray, radius: float) -> Mesh:
    """Return a sphere of 12 by 8 quads."""
    around, down = 12, 8
    vertices, faces = [], []
    for row in range(down + 1):
        polar = np.pi * row / down
        for column in range(around):
            angle = 2 * np.pi * column / around
            ring = np.sin(polar)
            direction = [ring * np.cos(angle), ring * np.sin(angle), np.cos(polar)]
            vertices.append(centre + radius * np.array(direction))
            if row < down:
                right = (column + 1) % around
                here, below = row * around, (row + 1) * around
                faces.append([here + column, below + column, below + right, here + right])
    return np.array(vertices), faces


def _backpack(body: Body) -> list[Item]:
    shoulders = body.joint("upperarm01.L")
    back = float(body.rest[np.abs(body.rest[:, 2] - shoulders[2] + 0.18) < 0.05, 1].max())
    centre = np.array([0.0, back + 0.085, shoulders[2] - 0.20])
    bag = Item("pack", "spine02", *_cuboid(centre, (0.30, 0.15, 0.44)), (0.02, 0.16, 0.17), 0.05)
    pocket = Item(
        "pocket",
        "spine02",
        *_cuboid(centre + np.array([0, 0.09, -0.09]), (0.23, 0.06, 0.20)),
        (0.65, 0.28, 0.04),
        0.02,
    )
    return [bag, pocket]


def _tote(body: Body) -> list[Item]:
    hand = body.joint("finger3-1.R")
    centre = hand + np.array([0.0, 0.0, -0.31])
    mesh = _cuboid(centre, (0.08, 0.30, 0.31))
    return [Item("tote", "wrist.R", *mesh, (0.62, 0.56, 0.42), 0.015, upright=True)]


def _bun(body: Body) -> list[Item]:
    ear = body.rest_keypoints[LEFT_EAR]
    crown = float(body.rest[:BODY_VERTICES, 2].max())
    centre = np.array([0.0, ear[1] + 0.085, crown - 0.045])
    return [Item("bun", "head", *_ball(centre, 0.058), (0.008, 0.007, 0.006), 0.0)]


ITEMS: dict[str, Callable[[Body], list[Item]]] = {
    "backpack": _backpack,
    "tote": _tote,
    "bun": _bun,
}
