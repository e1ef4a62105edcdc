"""Where a person will be: a Kalman filter with constant velocity, in seconds.

Each of [cx, top, w, h] is a filter of its own with position and velocity; their noises scale with
the person's height, as in SORT's successors (Wojke et al. 2017, Zhang et al. 2022), but per second
instead of per frame, so that a change of frame rate or a skipped frame changes nothing.
"""

from __future__ import annotations

import msgspec
import numpy as np

from services.tracker.geometry import Array

_MEASURED = 0.05
"""Standard deviation of a measured coordinate, in person heights."""
_FIRST_SPEED = 1.0
"""Standard deviation of the speed of somebody seen for the first time, in heights per second."""
_ACCELERATION = np.array([1.5, 1.0, 0.0, 0.0])
"""How much speed changes, in heights per second per root second, for cx, top, w, h."""
_RESIZING = np.array([0.0, 0.0, 0.5, 0.8])
"""How much a size wanders, in heights per root second: it has no speed worth following, because
it jumps when furniture hides a part."""
_FADING_S = 1.0
"""Without sightings, a person's speed fades with this time constant: nobody walks on for ever."""


class Motion(msgspec.Struct):
    """Estimates of [cx, top, w, h] and their velocities, and their covariances.

    Every list has four numbers. Units: picture heights and seconds.
    """

    position: list[float]
    velocity: list[float]
    var_position: list[float]
    covariance: list[float]
    var_velocity: list[float]

    @classmethod
    def begin(cls, box: Array) -> Motion:
        """Return the motion of somebody first seen at ``box``, [cx, top, w, h]."""
        height = max(float(box[3]), 1e-3)
        return cls(
            box.tolist(),
            [0.0] * 4,
            [(_MEASURED * height) ** 2] * 4,
            [0.0] * 4,
            [(_FIRST_SPEED * height) ** 2] * 2 + [0.0, 0.0],
        )

    def predict(self, seconds: float, *, seen: bool) -> None:
        """Move on by ``seconds``. Unless ``seen`` in the last frame, slow down."""
        if seconds <= 0:
            return
        height = max(self.position[3], 1e-3)
        noise = (_ACCELERATION * height) ** 2
        position, velocity = np.array(self.position), np.array(self.velocity)
        p, c, v = (
            np.array(self.var_position),
            np.array(self.covariance),
            np.array(self.var_velocity),
        )
        if not seen:
            velocity = velocity * np.exp(-seconds / _FADING_S)
        position = position + velocity * seconds
        p = p + 2 * seconds * c + seconds**2 * v + noise * seconds**3 / 3
        p = p + (_RESIZING * height) ** 2 * seconds
        c = c + seconds * v + noise * seconds**2 / 2
        v = v + noise * seconds
        self.position, self.velocity = position.tolist(), velocity.tolist()
        self.var_position, self.covariance, self.var_velocity = p.tolist(), c.tolist(), v.tolist()

    def correct(self, box: Array, score: float) -> None:
        """Take in a sighting; one with a low ``score`` counts for less."""
        height = max(float(box[3]), 1e-3)
        deviation = _MEASURED * height * (2.0 - min(max(score, 0.0), 1.0))
        p, c, v = (
            np.array(self.var_position),
            np.array(self.covariance),
            np.array(self.var_velocity),
        )
        innovation = box - np.array(self.position)
        total = p + deviation**2
        gain_position, gain_velocity = p / total, c / total
        self.position = (np.array(self.position) + gain_position * innovation).tolist()
        self.velocity = (np.array(self.velocity) + gain_velocity * innovation).tolist()
        self.var_position = ((1 - gain_position) * p).tolist()
        self.covariance = ((1 - gain_position) * c).tolist()
        self.var_velocity = (v - gain_velocity * c).tolist()
