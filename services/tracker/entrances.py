"""When somebody came over the picture's border, or left over it.

Networks see people once a good part of them is in the picture. So the first sight comes late, the
last one early, by some tenths of a second. How far somebody's inner edge had come by then, and how
fast it moved, tell when the border was crossed:

    │        inner edge
    │┌──────┐ first sight                 t
    ││      │──▶
    │└──────┘
    ├───────┤ depth = speed x (t - moment of the border)
    border
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posewire.tracker.geometry import BORDER, Array

WINDOW_S = 0.5
"""Sights this near to the first or the last one tell the speed."""
MOST_S = 0.3
"""The first sight is at most this late, the last one this early."""
_IN_VIEW = 0.1
"""Who is in the picture by this share of their size is in view."""
_LEAST_SIGHTS = 3
_LEAST_SPEED = 1e-3


def beyond_s(times: Sequence[float], boxes: Array, aspect: float) -> float:
    """Return how long before the first sight somebody came into view, seconds; 0: not known.

    For the last sight, and how long after it they were, give everything in reverse.

    Args:
        times: of the sights, in seconds, the one next to the border first.
        boxes: (n, 4), corners in isotropic units, for each of ``times``.
        aspect: the picture's width over its height.
    """
    away = np.abs(np.asarray(times) - times[0])
    boxes = boxes[away <= WINDOW_S + 1e-6]
    away = away[: len(boxes)]
    if len(boxes) < _LEAST_SIGHTS:
        return 0.0
    x0, y0, x1, y1 = boxes.T
    width = aspect
    gaps = np.array([x0[0] / width, y0[0], 1 - x1[0] / width, 1 - y1[0]])
    side = int(gaps.argmin())
    if gaps[side] > BORDER:
        return 0.0
    depth = (x1, y1, width - x0, 1 - y0)[side]
    size = float((x1 - x0 if side % 2 == 0 else y1 - y0).max())
    spread = away - away.mean()
    speed = float((spread * (depth - depth.mean())).sum() / max((spread**2).sum(), 1e-9))
    if speed <= _LEAST_SPEED:
        return 0.0
    return float(np.clip((depth[0] - _IN_VIEW * size) / speed, 0.0, MOST_S))
