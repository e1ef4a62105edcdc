"""Where to look for poses: parts of the picture around people, in a few fixed input shapes.

A pose network's cost goes with its input's area. Around one person a 256x128 input costs .28 of the
whole picture's 256x456 and shows the person larger, so it is both faster and more accurate; where
many people fill the picture, the whole picture is cheaper. The plan follows from the boxes and the
picture's size alone, so a frame examined again gives the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
PxBox = tuple[float, float, float, float]

FULL_AREA = 256 * 456
"""Input pixels of the network's own shape; costs are relative to it."""

SHAPES = (
    (128, 64), (128, 128), (192, 96), (192, 192), (256, 128), (256, 192), (256, 256), (192, 320),
    (256, 360), (368, 240), (256, 456), (296, 392), (344, 344), (392, 296), (456, 256),
)  # fmt: skip
"""Height and width of the inputs; each is compiled when it is first needed."""

_WHOLE = ((256, 456), (296, 392), (344, 344), (392, 296), (456, 256))
"""Shapes for whole pictures: all of about FULL_AREA."""

PERSON_PX = (224, 176, 128)
"""How tall people are to be in the input; the next one where the former costs too much."""

_MARGIN_X, _MARGIN_Y = 0.25, 0.10
"""Share of a box's width and height added at each side: arms and feet reach out of boxes."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture (pixels) and the input shape (height, width) that shows it."""

    px_box: PxBox
    shape: tuple[int, int]

    @property
    def cost(self) -> float:
        """Input area relative to the network's own shape."""
        return self.shape[0] * self.shape[1] / FULL_AREA


def plan(px_boxes: Array, picture: tuple[int, int], most_cost: float) -> list[Region]:
    """Return the regions to look at; none where there are no boxes.

    Args:
        px_boxes: shape (n, >= 4), [x0, y0, x1, y1, ...], pixels.
        picture: height and width.
        most_cost: regions that cost more than this together are replaced by the whole picture.
            Higher is more accurate in crowds and slower.
    """
    if not len(px_boxes):
        return []
    for tall in PERSON_PX:
        regions = _merge([_around(box, tall) for box in px_boxes])
        if sum(region.cost for region in regions) <= most_cost:
            return regions
    return [whole(picture)]


def whole(picture: tuple[int, int]) -> Region:
    """Return the region of the whole picture, in the shape that wastes least."""
    height, width = picture
    shape = min(_WHOLE, key=lambda s: abs(np.log((s[1] / s[0]) / (width / height))))
    return Region((0.0, 0.0, float(width), float(height)), shape)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A region whose scale (input pixels per picture pixel) is wished but not yet a shape."""

    px_box: PxBox
    scale: float

    def region(self) -> Region:
        return Region(self.px_box, _shape_for(self.px_box, self.scale))


def _around(box: Array, tall: float) -> _Draft:
    x0, y0, x1, y1 = (float(value) for value in box[:4])
    width, height = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    grow_x, grow_y = width * _MARGIN_X, height * _MARGIN_Y
    # Somebody cut by the picture's border is larger than their box: a box as wide as high shows
    # a torso, not a child.
    person = max(height, 2 * width)
    return _Draft((x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y), tall / person)


def _merge(drafts: list[_Draft]) -> list[Region]:
    """Join regions as long as a joint one costs no more than its two parts."""
    while len(drafts) > 1:
        best: tuple[float, int, int, _Draft] | None = None
        for i, one in enumerate(drafts):
            for j in range(i + 1, len(drafts)):
                if not _touch(one.px_box, drafts[j].px_box):
                    continue
                joint = _join(one, drafts[j])
                gain = one.region().cost + drafts[j].region().cost - joint.region().cost
                if gain >= 0 and (best is None or gain > best[0]):
                    best = (gain, i, j, joint)
        if best is None:
            break
        _gain, i, j, joint = best
        drafts = [d for k, d in enumerate(drafts) if k not in (i, j)] + [joint]
    return [draft.region() for draft in drafts]


def _join(one: _Draft, two: _Draft) -> _Draft:
    a, b = one.px_box, two.px_box
    box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    return _Draft(box, min(max(one.scale, two.scale), 2 * min(one.scale, two.scale)))


def _touch(a: PxBox, b: PxBox) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _shape_for(box: PxBox, scale: float) -> tuple[int, int]:
    """Return the cheapest shape that shows the box at ``scale`` or nearly so, else the best fit."""
    width, height = (box[2] - box[0]) * scale, (box[3] - box[1]) * scale
    fitting = [s for s in SHAPES if s[0] >= 0.85 * height and s[1] >= 0.85 * width]
    if fitting:
        return min(fitting, key=lambda s: s[0] * s[1])
    return max(SHAPES, key=lambda s: (min(s[0] / height, s[1] / width), -s[0] * s[1]))
