"""Where to look for poses: the whole picture, and parts of it around people, in a few fixed shapes.

A pose network's cost goes with its input's area. Shown at the size it knows best, one person needs
a 192x96 input, .16 of the whole picture's 256x456: that is both faster and more accurate. Where
many people fill the picture, the whole picture is cheaper. The plan follows from its arguments
alone, so a frame examined again gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
PxBox = tuple[float, float, float, float]
Shape = tuple[int, int]

FULL_AREA = 256 * 456
"""Input pixels of human-pose-estimation-0001's own shape; areas and costs are relative to it."""

SHAPES = (
    (96, 96), (96, 192), (128, 192), (192, 96), (192, 128), (192, 192), (192, 320), (256, 256),
    (320, 192), (320, 320),
)  # fmt: skip
"""Heights and widths of the inputs for regions. Few: each that is used costs .3 s and 25 MB."""

_MOST_SWEEP = 1.5
PERSON_PX = (176.0, 136.0)
"""How long people's longer side is to be in the input; the next where the former costs too much."""
_FILLED = 0.85
"""An input this share of what was wished for will do: shapes are few, and accuracy is flat."""
_ENOUGH = (0.7, 1.6)
"""People shown within this range of the wished size need no closer look."""
_ASPECTS = (16 / 9, 3 / 2, 4 / 3, 1.0, 3 / 4, 2 / 3, 9 / 16)


_SHOWN_PX = (32, 64, 96, 128, 160, 200, 256, 320, 400)
_MEAN_OKS = (0.15, 0.40, 0.55, 0.60, 0.61, 0.61, 0.58, 0.52, 0.43)
"""Mean OKS of people shown at these sizes, of both pose networks (docs/accuracy.md)."""


def _expected_oks(shown_px: float) -> float:
    return float(np.interp(shown_px, _SHOWN_PX, _MEAN_OKS))


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture (pixels) and the input shape (height, width) that shows it."""

    px_box: PxBox
    shape: Shape

    @property
    def cost(self) -> float:
        """Input area relative to 256x456."""
        return self.shape[0] * self.shape[1] / FULL_AREA

    @property
    def scale(self) -> float:
        """Input pixels per picture pixel."""
        x0, y0, x1, y1 = self.px_box
        return min(self.shape[1] / max(x1 - x0, 1.0), self.shape[0] / max(y1 - y0, 1.0))


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody to look at: where (pixels, with room for arms and feet), and how large they are.

    ``shown_px`` is how long they were in the input that already gave a skeleton; 0 without one.
    ``score`` is how sure it is that somebody is there.
    """

    px_box: PxBox
    px_size: float
    shown_px: float = 0.0
    score: float = 1.0

    def needs(self, wished_px: float) -> bool:
        """Return whether a look at ``wished_px`` could show more than is known."""
        return not _ENOUGH[0] * wished_px < self.shown_px < _ENOUGH[1] * wished_px

    def gain(self, wished_px: float) -> float:
        """Return how much a look at ``wished_px`` is expected to improve the keypoints' OKS."""
        now = _expected_oks(self.shown_px) if self.shown_px else 0.0
        return self.score * max(_expected_oks(wished_px) - now, 0.0)


def sweep(picture: Shape, area: float, shapes: Sequence[Shape] = SHAPES) -> Region:
    """Return the whole picture (height, width) in an input of about ``area`` relative size.

    Where ``shapes`` is one alone, in that.
    """
    height, width = picture
    if len(shapes) == 1:
        return Region((0.0, 0.0, float(width), float(height)), shapes[0])
    aspect = min(_ASPECTS, key=lambda a: abs(np.log(a / (width / height))))
    tall = np.sqrt(area * FULL_AREA / aspect)
    shape = (_to_stride(tall), _to_stride(tall * aspect))
    return Region((0.0, 0.0, float(width), float(height)), shape)


def halves(region: Region) -> list[Region]:
    """Return two overlapping regions, of the same shape, that cover ``region``.

    They divide its longer side. For networks that find only so many people at once.
    """
    x0, y0, x1, y1 = region.px_box
    width, height = x1 - x0, y1 - y0
    if width >= height:
        parts = [(x0, y0, x0 + 0.6 * width, y1), (x0 + 0.4 * width, y0, x1, y1)]
    else:
        parts = [(x0, y0, x1, y0 + 0.6 * height), (x0, y0 + 0.4 * height, x1, y1)]
    return [Region(part, region.shape) for part in parts]


def plan(
    targets: Sequence[Target],
    picture: Shape,
    most_cost: float,
    *,
    swept: bool,
    shapes: Sequence[Shape] = SHAPES,
) -> list[Region]:
    """Return the regions that show the targets who need it.

    Args:
        targets: the people known or expected.
        picture: height and width.
        most_cost: what the regions may cost together. Where they would cost more even with people
            shown small, the whole picture is looked at; if it has been (``swept``), as many
            people as can be, those who cost least first.
        swept: whether the whole picture has been looked at already.
        shapes: of the inputs there are.
    """
    drafts: list[_Draft] = []
    for wished in PERSON_PX:
        drafts = [_Draft(t.px_box, wished / t.px_size, shapes) for t in targets if t.needs(wished)]
        regions = _merge(drafts)
        if sum(region.cost for region in regions) <= most_cost:
            return regions
    if not swept:
        return [sweep(picture, min(most_cost, _MOST_SWEEP), shapes)]
    return _best(_merge(drafts), targets, most_cost)


def _best(regions: list[Region], targets: Sequence[Target], most_cost: float) -> list[Region]:
    """Return the regions that improve most for what they cost, as many as can be had."""

    def worth(region: Region) -> float:
        inside = [t for t in targets if _contains(region.px_box, t.px_box)]
        return sum(t.gain(t.px_size * region.scale) for t in inside) / region.cost

    chosen: list[Region] = []
    left = most_cost
    for region in sorted(regions, key=worth, reverse=True):
        if region.cost <= left:
            chosen.append(region)
            left -= region.cost
    return chosen


@dataclass(frozen=True, slots=True)
class _Draft:
    """A region whose scale (input pixels per picture pixel) is wished but not yet a shape."""

    px_box: PxBox
    scale: float
    shapes: Sequence[Shape]

    def region(self) -> Region:
        return Region(self.px_box, _shape_for(self.px_box, self.scale, self.shapes))


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
    scale = min(max(one.scale, two.scale), 2 * min(one.scale, two.scale))
    return _Draft(box, scale, one.shapes)


def _contains(outer: PxBox, inner: PxBox) -> bool:
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and outer[2] >= inner[2]
        and outer[3] >= inner[3]
    )


def _touch(a: PxBox, b: PxBox) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _shape_for(box: PxBox, scale: float, shapes: Sequence[Shape]) -> Shape:
    """Return the cheapest shape that shows the box at ``scale`` or nearly so, else the best fit."""
    width, height = (box[2] - box[0]) * scale, (box[3] - box[1]) * scale
    fitting = [s for s in shapes if s[0] >= _FILLED * height and s[1] >= _FILLED * width]
    if fitting:
        return min(fitting, key=lambda s: s[0] * s[1])
    return max(shapes, key=lambda s: (min(s[0] / height, s[1] / width), -s[0] * s[1]))


def _to_stride(side: float) -> int:
    # 32 is what all families take.
    return max(64, int(np.round(side / 32)) * 32)
