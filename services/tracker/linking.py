"""The lost and the new: who of those just found has been here before.

A track ends where somebody is out of sight for long, or crosses others; another one begins behind
the pillar. Before that makes an event, each new track is compared with the visits out of sight:
from where one was last seen to where the other was first seen, at the mean of both velocities
(the new one's is known by then, unlike in the frame where it began), by size, and by clothes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from posewire.tracker.association import alike, assign
from posewire.tracker.geometry import at_border
from posewire.tracker.tracks import Track

_PLACE = 0.2
"""Standard deviation of where somebody is found again after no time at all, in heights,"""
_PLACE_PER_S = 0.3
"""and by how much it grows for each second out of sight."""
_SPEED = 1.0
"""Standard deviation of a change of speed, in heights per second."""
_SIZE = 0.2
"""Standard deviation of the logarithm of a change of height."""
_DRESS = 4.0
"""What clothes that are the same take off the cost; different ones add as much."""
_MOST_COST = 4.0
_FADING_S = 1.0
"""Nobody walks on for ever: the way while out of sight is that of this long at most, nearly."""
_MOST_OVERLAP_S = 0.25
"""A person may be detected twice for so long; who were seen together for longer are two people."""
_BORDER_RETURN_S = 0.8
"""Who leaves over the border, or comes in over it, is somebody new unless it was this quick."""


def link(lost: Sequence[Track], new: Sequence[Track], aspect: float) -> list[tuple[int, int]]:
    """Return pairs (row of ``lost``, row of ``new``) that are the same person."""
    if not lost or not new:
        return []
    cost = np.full((len(lost), len(new)), np.inf)
    for row, old in enumerate(lost):
        for column, track in enumerate(new):
            cost[row, column] = _cost(old, track, aspect)
    worth = np.where(cost < _MOST_COST, _MOST_COST + _DRESS - cost, 0.0)
    return assign(worth, 1e-9)


def _cost(old: Track, new: Track, aspect: float) -> float:
    """Return a squared distance, in standard deviations; infinite where it cannot be."""
    gap_s = new.first_t - old.last_t
    if gap_s < -_MOST_OVERLAP_S:
        return math.inf
    gap_s = max(gap_s, 0.0)
    borders = at_border(np.stack([old.box, new.first_box]), aspect)
    if borders.any() and gap_s > _BORDER_RETURN_S:
        return math.inf
    height = (float(old.box[3]) + float(new.first_box[3])) / 2
    walked_s = _FADING_S * (1 - math.exp(-gap_s / _FADING_S))
    way = new.first_box[:2] - old.box[:2] - (old.velocity + new.velocity) / 2 * walked_s
    turn = (new.velocity - old.velocity) / height
    resized = math.log(max(float(old.box[3]), 1e-6) / max(float(new.first_box[3]), 1e-6))
    cost = float((way**2).sum()) / (height * (_PLACE + _PLACE_PER_S * gap_s)) ** 2
    cost += float((turn**2).sum()) / _SPEED**2 / 4 + (resized / _SIZE) ** 2
    return cost - _DRESS * float(alike(old.look[None], new.look[None])[0, 0])
