"""Where people will be: Kalman filters with constant velocity, in seconds.

Each of [cx, top, w, h] is a filter of its own with position and velocity; their noises scale with
the person's height, as in SORT's successors (Wojke et al. 2017, Zhang et al. 2022), but per second
instead of per frame, so that a change of frame rate or a skipped frame changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from posewire.tracker.geometry import Array
from posewire.tracker.keeping import single

_MEASURED = 0.06
"""Standard deviation of a measured coordinate, in person heights."""
_FIRST_SPEED = 0.75
"""Standard deviation of the speed of somebody seen for the first time, in heights per second."""
_ACCELERATION = np.array([1.0, 1.0, 0.0, 0.0])
"""How much speed changes, in heights per second per root second, for cx, top, w, h."""
_RESIZING = np.array([0.0, 0.0, 0.2, 0.2])
"""How much a size wanders, in heights per root second: it has no speed worth following, because
it jumps when furniture hides a part."""
_FADING_S = 2.0
"""Without sightings, a person's speed fades with this time constant: nobody walks on for ever."""
_LEAST_HEIGHT = 1e-3


class Motion(msgspec.Struct):
    """Estimates for one person. Units: picture heights and seconds."""

    state: Array
    """Shape (2, 4): [cx, top, w, h] and their velocities."""
    covariance: Array
    """Shape (3, 4): variance of the position, covariance, variance of the velocity."""

    @classmethod
    def begin(cls, box: Array) -> Motion:
        """Return the motion of somebody first seen at ``box``, [cx, top, w, h]."""
        height = max(float(box[3]), _LEAST_HEIGHT)
        speed = (_FIRST_SPEED * height) ** 2
        measured = [(_MEASURED * height) ** 2] * 4
        return cls(
            single(np.stack([box, np.zeros(4)])),
            single(np.array([measured, [0.0] * 4, [speed, speed, 0.0, 0.0]])),
        )

    @property
    def box(self) -> Array:
        """[cx, top, w, h], where the person should be."""
        box: Array = self.state[0]
        return box

    @property
    def velocity(self) -> Array:
        """Of [cx, top], picture heights per second."""
        velocity: Array = self.state[1, :2]
        return velocity


def predict(motions: Sequence[Motion], seconds: float, seen: Sequence[bool]) -> None:
    """Move on by ``seconds``; who was not ``seen`` in the last frame slows down."""
    if seconds <= 0 or not motions:
        return
    state = np.array([motion.state for motion in motions])
    p, c, v = np.array([motion.covariance for motion in motions]).transpose(1, 0, 2)
    position, velocity = state[:, 0], state[:, 1]
    height = np.maximum(position[:, 3:], _LEAST_HEIGHT)
    noise = (_ACCELERATION * height) ** 2
    velocity *= np.where(np.array(seen), 1.0, np.exp(-seconds / _FADING_S))[:, None]
    position += velocity * seconds
    p += 2 * seconds * c + seconds**2 * v + noise * (seconds**3 / 3)
    p += (_RESIZING * height) ** 2 * seconds
    c += seconds * v + noise * (seconds**2 / 2)
    v += noise * seconds
    covariance = np.array([p, c, v])
    for row, motion in enumerate(motions):
        motion.state, motion.covariance = single(state[row]), single(covariance[:, row])


def correct(motions: Sequence[Motion], boxes: Array, scores: Array) -> None:
    """Take in sightings, shapes (n, 4) and (n,); one with a low score counts for less."""
    if not motions:
        return
    state = np.array([motion.state for motion in motions])
    p, c, v = np.array([motion.covariance for motion in motions]).transpose(1, 0, 2)
    height = np.maximum(boxes[:, 3:], _LEAST_HEIGHT)
    deviation = _MEASURED * height * (2.0 - np.clip(scores, 0.0, 1.0)[:, None])
    innovation = boxes - state[:, 0]
    total = p + deviation**2
    gain_position, gain_velocity = p / total, c / total
    state[:, 0] += gain_position * innovation
    state[:, 1] += gain_velocity * innovation
    covariance = np.array([(1 - gain_position) * p, (1 - gain_position) * c, v - gain_velocity * c])
    for row, motion in enumerate(motions):
        motion.state, motion.covariance = single(state[row]), single(covariance[:, row])
