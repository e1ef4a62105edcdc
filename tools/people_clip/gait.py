"""How a body moves: walking, standing and gestures as joint rotations.

Character frame: metres, Z up, the body faces -Y, its left side is +X. A rotation about +X by a
positive angle swings a hanging limb backwards. Angles are degrees throughout.

One gait cycle runs from phase 0 (left heel strike) to phase 1 (the next left heel strike):

    phase   0        .1       .5        .6       .7        1
    left    strike   flat     push off  toe off  swing     strike
    right   push off toe off  strike    flat     ...       push off
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

X_AXIS, Y_AXIS, Z_AXIS = np.eye(3)


class Cycle:
    """A smooth periodic curve through equally spaced samples (trigonometric interpolation)."""

    def __init__(self, samples: list[float]) -> None:
        self._count = len(samples)
        self._spectrum = np.fft.rfft(samples) / self._count
        # Every harmonic but the constant (and, for even counts, the last) stands for two.
        self._spectrum[1 : (self._count + 1) // 2] *= 2

    def __call__(self, phase: float) -> float:
        """Return the value at `phase` (cycles, any real number)."""
        harmonics = np.arange(len(self._spectrum))
        return float((self._spectrum * np.exp(2j * np.pi * harmonics * phase)).real.sum())


# Sagittal joint angles of unhurried level walking, every tenth of the cycle.
HIP_FLEXION = Cycle([28, 24, 16, 7, -3, -11, -9, 7, 22, 30])
KNEE_FLEXION = Cycle([5, 15, 16, 10, 5, 10, 34, 58, 52, 20])
ANKLE_DORSIFLEXION = Cycle([1, -4, 2, 6, 8, -2, -16, -7, 1, 2])

STANDING_HIP, STANDING_KNEE = 2.0, 4.0


@dataclass(frozen=True)
class Arm:
    """One arm's pose: shoulder flexion (forwards), abduction from hanging, elbow flexion.

    `twist` turns a bent forearm in front of the body.
    """

    flexion: float
    abduction: float
    elbow: float
    twist: float = 0.0

    def blend(self, other: Arm, weight: float) -> Arm:
        """Return the pose `weight` (0..1) of the way to `other`."""
        return Arm(
            *(
                (1 - weight) * a + weight * b
                for a, b in zip(
                    (self.flexion, self.abduction, self.elbow, self.twist),
                    (other.flexion, other.abduction, other.elbow, other.twist),
                    strict=True,
                )
            )
        )


@dataclass(frozen=True)
class Motion:
    """What a body does at one instant.

    `phase`: gait cycles. `walk`: 0 standing still .. 1 full stride. `time`: seconds, drives small
    idle movements. `gesture`: "" or a name known to `gesture_arm`, shown with `gesture_weight`
    0..1. `head_yaw`: degrees to the body's left.
    """

    phase: float
    walk: float
    time: float = 0.0
    gesture: str = ""
    gesture_weight: float = 0.0
    head_yaw: float = 0.0


def gesture_arm(name: str, side: str) -> Arm | None:
    """Return the pose of the arm on `side` in a gesture, or None without one."""
    if name == "phone":
        return Arm(26, 2, 98, 30) if side == "R" else Arm(22, 2, 86, 34)
    if name == "ponder":
        return Arm(34, 4, 130, 34) if side == "R" else Arm(16, 4, 88, 62)
    return None


def arm(motion: Motion, side: str, swing_gain: float) -> Arm:
    """Return the arm on `side` ("L" or "R"); `swing_gain` scales its swing while walking."""
    sign = 1 if side == "L" else -1
    own_phase = motion.phase + (0.0 if side == "L" else 0.5)
    swing = -np.cos(2 * np.pi * own_phase)  # an arm goes back while its leg goes forward
    idle = 1.5 * np.sin(1.3 * motion.time + sign)
    pose = Arm(
        flexion=swing_gain * motion.walk * 19 * swing + 4 + idle,
        abduction=8,
        elbow=12 + motion.walk * (9 + 11 * swing),
    )
    target = gesture_arm(motion.gesture, side)
    return pose if target is None else pose.blend(target, motion.gesture_weight)


def leg(motion: Motion, side: str) -> tuple[float, float, float]:
    """Return (hip flexion, knee flexion, ankle dorsiflexion) of the leg on `side`."""
    phase = motion.phase + (0.0 if side == "L" else 0.5)
    walk = motion.walk
    return (
        walk * HIP_FLEXION(phase) + (1 - walk) * STANDING_HIP,
        walk * KNEE_FLEXION(phase) + (1 - walk) * STANDING_KNEE,
        walk * ANKLE_DORSIFLEXION(phase),
    )


def rotation(axis: npt.ArrayLike, degrees: float) -> FloatArray:
    """Return the 3x3 matrix that turns by `degrees` about `axis` (any length, right-handed)."""
    x, y, z = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    angle = np.radians(degrees)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def place(points: FloatArray, position: npt.ArrayLike, heading: float) -> FloatArray:
    """Move character points, shape (n, 3), to a floor `position` [x, y] in the world.

    `heading`: the direction the body faces, 0 = world +X, 90 = away from the camera.
    """
    x, y = np.asarray(position, dtype=float)
    return points @ rotation(Z_AXIS, heading + 90).T + np.array([x, y, 0.0])


class GroundAdvance:
    """How far the body has moved over the floor at a gait phase.

    Feet do not slide: between two phases the body moves by as much as the lower ankle moves
    backwards in the character frame.
    """

    STEPS = 40

    def __init__(self, ankles: FloatArray) -> None:
        """`ankles`: shape (STEPS + 1, 2, 3), left and right ankle over one cycle, metres."""
        travelled = [0.0]
        for now, after in pairwise(ankles):
            stance = int(np.argmin(now[:, 2] + after[:, 2]))
            travelled.append(travelled[-1] + max(0.0, float(after[stance, 1] - now[stance, 1])))
        self._phases = np.linspace(0, 1, len(travelled))
        self._travelled = np.array(travelled)

    @property
    def stride(self) -> float:
        """Metres per cycle."""
        return float(self._travelled[-1])

    def __call__(self, phase: float) -> float:
        """Return metres walked since phase 0; `phase` may run over any number of cycles."""
        whole = np.floor(phase)
        part = np.interp(phase - whole, self._phases, self._travelled)
        return float(whole * self.stride + part)
