"""How somebody is dressed: colours of torso and legs, where the keypoints say these are.

A light cue for telling people apart who cross or come back; no network. For each of the two parts,
pixels on a grid between the joints are counted by lightness and, apart from it, by hue and
saturation (the a*b* plane of CIELAB), each into the two nearest bins, so that a change of light
moves counts to a neighbour bin instead of away:

      l_shoulder ┌───────┐ r_shoulder       without joints, shares of the box:
                 │ torso │                    torso 0.2 to 0.5 of its height
           l_hip ├───┬───┤ r_hip              legs  0.55 to 0.9
                 │  legs │
          l_knee └───┴───┘ r_knee
"""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from posewire.shared.messages import Person
from posewire.shared.skeleton import INDEX, SURE_POINT

_GRID = (12, 8)
"""Rows and columns of pixels that are looked at in each part."""
_LIGHT_BINS = 8
_COLOUR_BINS = 7
_COLOUR_REACH = 24.0
"""Largest a* and b*, in OpenCV's 8-bit units from neutral, that have a bin of their own."""
PART = _LIGHT_BINS + _COLOUR_BINS**2
SIZE = 2 * PART
_TORSO = tuple(INDEX[n] for n in ("r_shoulder", "l_shoulder", "r_hip", "l_hip"))
_LEGS = tuple(INDEX[n] for n in ("r_hip", "l_hip", "r_knee", "l_knee"))
_BORDER = 0.01
"""Boxes this close to the border, as a share of the picture, are cut off by it."""
_ACROSS = 0.3
"""Somebody seen from the side has shoulders and hips behind each other: parts are at least this
wide, as a share of their length."""

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def dressed(image: Image, persons: tuple[Person, ...]) -> tuple[Person, ...]:
    """Return the people with their appearance in ``image``, (height, width, 3), BGR."""
    return tuple(
        msgspec.structs.replace(person, appearance=look)
        for person, look in zip(persons, describe(image, persons), strict=True)
    )


def describe(image: Image, persons: tuple[Person, ...]) -> tuple[bytes, ...]:
    """Return each person's appearance, ``SIZE`` bytes.

    Every part's two histograms (lightness, colour) are square roots of shares, 0 to 1 as 0 to 255,
    so that their dot product is the Bhattacharyya coefficient; a part out of the picture is zeros.
    """
    height, width = image.shape[:2]
    if not persons:
        return ()
    quads = np.stack([_quads(person, width, height) for person in persons])
    rows, columns = (np.linspace(0.08, 0.92, n, dtype=np.float32) for n in _GRID)
    top = quads[:, :, 0, None] + (quads[:, :, 1] - quads[:, :, 0])[:, :, None] * columns[:, None]
    low = quads[:, :, 2, None] + (quads[:, :, 3] - quads[:, :, 2])[:, :, None] * columns[:, None]
    # (persons, parts, rows, columns, xy), then (persons * parts, pixels, xy)
    places = top[:, :, None] + (low - top)[:, :, None] * rows[:, None, None]
    x, y = (
        np.round(places.reshape(-1, len(rows) * len(columns), 2))
        .astype(np.int32)
        .transpose(2, 0, 1)
    )
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    pixels = image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    lab = cv2.cvtColor(pixels, cv2.COLOR_BGR2LAB).astype(np.float32)
    return tuple(part.tobytes() for part in _histograms(lab, inside).reshape(len(persons), SIZE))


def _quads(person: Person, width: int, height: int) -> Floats:
    """Return torso and legs, (2, 4, 2): left top, right top, left low, right low, in pixels."""
    x0, y0, x1, y1 = person.box
    tall = y1 - y0
    parts = []
    for joints, share in ((_TORSO, (0.2, 0.5)), (_LEGS, (0.55, 0.9))):
        points = [person.keypoints[j] for j in joints] if person.keypoints else []
        if points and all(score >= SURE_POINT for _x, _y, score in points):
            quad = np.array([point[:2] for point in points], np.float32) * (width, height)
            parts.append(_wide(quad))
        elif _cut(person):
            parts.append(np.full((4, 2), -1, np.float32))  # nowhere in the picture
        else:
            inset = 0.3 * (x1 - x0)
            rows = (y0 + share[0] * tall, y0 + share[1] * tall)
            quad = np.array([(x, y) for y in rows for x in (x0 + inset, x1 - inset)], np.float32)
            parts.append(quad * np.array((width, height), np.float32))
    return np.stack(parts).astype(np.float32)


def _cut(person: Person) -> bool:
    """Return whether the picture's border cuts somebody off: no share of their box is a torso."""
    x0, y0, x1, y1 = person.box
    return min(x0, y0) <= _BORDER or max(x1, y1) >= 1 - _BORDER


def _wide(quad: Floats) -> Floats:
    """Widen a part that is seen from the side."""
    middle = quad.reshape(2, 2, 2).mean(1)
    length = float(np.hypot(*(middle[1] - middle[0])))
    halves = quad.reshape(2, 2, 2) - middle[:, None]
    for row in range(2):
        reach = float(np.hypot(*halves[row, 0]))
        if reach < _ACROSS * length / 2:
            halves[row] = [(-_ACROSS * length / 2, 0), (_ACROSS * length / 2, 0)]
    wide: Floats = (middle[:, None] + halves).reshape(4, 2).astype(np.float32)
    return wide


def _histograms(lab: Floats, inside: npt.NDArray[np.bool_]) -> Image:
    """Return the parts' histograms, (parts, PART).

    Args:
        lab: (parts, pixels, 3), 8-bit units as OpenCV's.
        inside: (parts, pixels), whether the pixel is in the picture.
    """
    light = _counts(lab[..., :1] / 255 * (_LIGHT_BINS - 1), (_LIGHT_BINS,), inside)
    reach = (_COLOUR_BINS - 1) / 2
    plane = (np.clip((lab[..., 1:] - 128) / _COLOUR_REACH, -1, 1) + 1).astype(np.float32) * reach
    colour = _counts(plane, (_COLOUR_BINS, _COLOUR_BINS), inside)
    seen = inside.sum(1, keepdims=True)
    shares = np.concatenate([light, colour], axis=1) / np.maximum(seen, 1)
    shares[seen[:, 0] < inside.shape[1] / 4] = 0
    rounded: Image = np.round(np.sqrt(shares) * 255).astype(np.uint8)
    return rounded


def _counts(
    places: npt.NDArray[np.floating[Any]], shape: tuple[int, ...], inside: npt.NDArray[np.bool_]
) -> Floats:
    """Count pixels into bins, each shared by the bins around its place: (parts, bins).

    Args:
        places: (parts, pixels, axes), 0 to the number of bins less one on each axis.
        shape: number of bins on each axis.
        inside: (parts, pixels), which pixels count.
    """
    bins = int(np.prod(shape))
    first = np.minimum(places.astype(np.int64), np.array(shape) - 2)
    share = places - first
    strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))])
    base = (first * strides).sum(2) + np.arange(len(places))[:, None] * bins
    found = np.zeros(len(places) * bins)
    for corner in itertools.product((0, 1), repeat=len(shape)):
        weight = np.where(np.array(corner), share, 1 - share).prod(2) * inside
        index = base + int(np.dot(corner, strides))
        found += np.bincount(index.ravel(), weight.ravel(), len(found))
    return found.reshape(len(places), bins).astype(np.float32)
