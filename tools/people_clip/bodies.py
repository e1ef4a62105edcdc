"""Bodies: `anny` shapes and poses, with the keypoints that serve as truth.

Character frame as in `gait`: metres, Z up, facing -Y, left = +X, soles at Z = 0. The mesh is
MakeHuman's base mesh with its clothes helpers (topology `anny-full`, CC0), 19158 vertices.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable

import anny
import numpy as np
import numpy.typing as npt
import torch

import gait
from gait import X_AXIS, Y_AXIS, Z_AXIS, FloatArray, GroundAdvance, Motion, rotation
from truth import KEYPOINTS

LEFT_ANKLE, RIGHT_ANKLE = 15, 16

BODY_VERTICES = 13380  # the first vertices are skin, the rest helpers
SOLE = 0.012  # metres of shoe under the foot
FINGER_CURL = 24.0  # degrees per finger joint


@functools.cache
def model() -> anny.Anny:
    """Load the body model once per process."""
    return anny.Anny(topology="anny-full").to(dtype=torch.float32)


@functools.cache
def keypoint_regressor() -> anny.keypoints.KeypointsRegressor:
    """Return the map from a posed body to its 17 COCO keypoints."""
    return anny.keypoints.KeypointsRegressor.coco(model(), labels=KEYPOINTS)


@functools.cache
def mesh_groups() -> dict[str, list[list[int]]]:
    """Return the base mesh's faces (vertex numbers) by group: "body", "helper-tights", ..."""
    source = pathlib.Path(anny.__file__).parent / "data" / "mpfb2" / "3dobjs" / "base.obj"
    groups: dict[str, list[list[int]]] = {}
    group = ""
    for line in source.read_text().splitlines():
        kind, *fields = line.split() or [""]
        if kind == "g":
            group = fields[0]
        elif kind == "f":
            corners = [int(field.split("/")[0]) - 1 for field in fields]
            groups.setdefault(group, []).append(corners)
    return groups


@functools.cache
def bone_index() -> dict[str, int]:
    """Return the row of each bone by name."""
    return {name: row for row, name in enumerate(model().bone_labels)}


@functools.cache
def dominant_bone() -> npt.NDArray[np.str_]:
    """Return the name of the bone that moves each vertex most, shape (19158,)."""
    weights = model().vertex_bone_weights.numpy()
    bones = model().vertex_bone_indices.numpy()
    rows = bones[np.arange(len(bones)), weights.argmax(axis=1)]
    return np.array(model().bone_labels)[rows]


def moved_by(*prefixes: str) -> npt.NDArray[np.bool_]:
    """Return which vertices belong to bones whose names start with one of `prefixes`."""
    return np.array([name.startswith(prefixes) for name in dominant_bone()])


class Posed:
    """A body in one pose: `vertices` (19158, 3), `keypoints` (17, 3), `bones` (104, 4, 4).

    `bones` are rest-to-pose transforms: they carry what is tied to a bone along with it.
    """

    def __init__(self, vertices: FloatArray, keypoints: FloatArray, bones: FloatArray) -> None:
        self.vertices = vertices
        self.keypoints = keypoints
        self.bones = bones

    def shifted(self, dz: float) -> Posed:
        """Return the same pose moved up by `dz` metres."""
        lift = np.array([0.0, 0.0, dz])
        bones = self.bones.copy()
        bones[:, :3, 3] += lift
        return Posed(self.vertices + lift, self.keypoints + lift, bones)


class Body:
    """One person's shape, able to strike the poses of `gait`.

    `phenotype`: anny's parameters, each 0..1, missing ones 0.5: gender (0 male, 1 female), age,
    muscle, weight, height, proportions. `arm_gain`: how much the arms swing.
    """

    def __init__(self, phenotype: dict[str, float], arm_gain: float = 1.0) -> None:
        self._phenotype = {name: phenotype.get(name, 0.5) for name in model().phenotype_labels}
        self._arm_gain = arm_gain
        still = np.tile(np.eye(4), (model().bone_count, 1, 1))
        rest, self._rest_heads = self._forward(still)
        self.rest = rest.vertices
        self.rest_keypoints = rest.keypoints
        self._measure()
        feet = moved_by("foot", "toe")
        feet[BODY_VERTICES:] = False
        self._feet = np.flatnonzero(feet)
        cycle = np.linspace(0, 1, GroundAdvance.STEPS + 1)
        ankles = [
            self.pose(Motion(phase, 1)).keypoints[[LEFT_ANKLE, RIGHT_ANKLE]] for phase in cycle
        ]
        self.advance = GroundAdvance(np.array(ankles))

    @property
    def height(self) -> float:
        """Standing height in metres, without hair and shoes."""
        skin = self.rest[:BODY_VERTICES, 2]
        return float(skin.max() - skin.min())

    def joint(self, bone: str) -> FloatArray:
        """Return where `bone` begins in the rest pose, shape (3,), in the frame of `rest`."""
        return np.asarray(self._rest_heads[bone_index()[bone]])

    def pose(self, motion: Motion) -> Posed:
        """Return the body doing `motion`, its soles on the floor."""
        turns = np.tile(np.eye(4), (model().bone_count, 1, 1))

        def turn(bone: str, matrix: FloatArray) -> None:
            turns[bone_index()[bone], :3, :3] = matrix

        for side, sign in (("L", 1), ("R", -1)):
            hip, knee, ankle = gait.leg(motion, side)
            inward = rotation(Y_AXIS, sign * (self._leg_spread - 1.5))
            turn(f"upperleg01.{side}", rotation(X_AXIS, -hip) @ inward)
            turn(f"lowerleg01.{side}", rotation(X_AXIS, knee))
            turn(f"foot.{side}", rotation(X_AXIS, -ankle))
            arm = gait.arm(motion, side, self._arm_gain)
            lower = rotation(Y_AXIS, sign * (self._arm_spread - arm.abduction))
            inwards = rotation(Z_AXIS, -sign * arm.twist)
            turn(f"upperarm01.{side}", rotation(X_AXIS, -arm.flexion) @ inwards @ lower)
            bend = rotation(self._elbow_axis[side], arm.elbow - self._elbow_rest)
            turn(f"lowerarm01.{side}", bend)
            for finger in (2, 3, 4, 5):
                for segment in (1, 2, 3):
                    curl = rotation(self._finger_axis[side], FINGER_CURL)
                    turn(f"finger{finger}-{segment}.{side}", curl)
        self._turn_trunk(turn, motion)
        posed, _ = self._forward(turns)
        return posed.shifted(SOLE - float(posed.vertices[self._feet, 2].min()))

    @staticmethod
    def _turn_trunk(turn: Callable[[str, FloatArray], None], motion: Motion) -> None:
        """Counter-rotate pelvis and shoulders, breathe, and point the head."""
        twist = motion.walk * 5 * np.cos(2 * np.pi * motion.phase)
        sway = motion.walk * 2 * np.sin(2 * np.pi * motion.phase)
        nod = {"phone": 16, "ponder": -4}.get(motion.gesture, 0) * motion.gesture_weight
        turn("root", rotation(Z_AXIS, -twist) @ rotation(Y_AXIS, sway))
        turn("spine05", rotation(X_AXIS, 3.5 * motion.walk + 1.2 * np.sin(0.9 * motion.time)))
        turn("spine03", rotation(Z_AXIS, 1.8 * twist))
        turn("neck02", rotation(Z_AXIS, -0.8 * twist + motion.head_yaw / 2))
        turn("head", rotation(Z_AXIS, motion.head_yaw / 2) @ rotation(X_AXIS, nod))

    def _measure(self) -> None:
        """Take from the rest pose the angles that poses are given relative to."""
        self._elbow_axis: dict[str, FloatArray] = {}
        self._finger_axis: dict[str, FloatArray] = {}
        for side, sign in (("L", 1), ("R", -1)):
            upper = self.joint(f"lowerarm01.{side}") - self.joint(f"upperarm01.{side}")
            fore = self.joint(f"wrist.{side}") - self.joint(f"lowerarm01.{side}")
            cosine = upper @ fore / np.linalg.norm(upper) / np.linalg.norm(fore)
            self._elbow_axis[side] = np.cross(upper, fore)
            self._elbow_rest = float(np.degrees(np.arccos(cosine)))
            self._arm_spread = float(np.degrees(np.arctan2(abs(upper[0]), -upper[2])))
            knuckles = self.joint(f"finger5-1.{side}") - self.joint(f"finger2-1.{side}")
            finger = self.joint(f"finger3-2.{side}") - self.joint(f"finger3-1.{side}")
            # Curling brings the fingertips towards the thigh, so towards x = 0.
            inwards = np.cross(knuckles, finger)[0] * sign < 0
            self._finger_axis[side] = knuckles if inwards else -knuckles
        hip, foot = self.joint("upperleg01.L"), self.joint("foot.L")
        self._leg_spread = float(np.degrees(np.arctan2(foot[0] - hip[0], hip[2] - foot[2])))

    def _forward(self, turns: FloatArray) -> tuple[Posed, FloatArray]:
        """Run anny with `turns` (104, 4, 4); return the pose and the rest joints (104, 3)."""
        with torch.no_grad():
            out = model()(
                pose_parameters=torch.tensor(turns, dtype=torch.float32)[None],
                phenotype_kwargs=self._phenotype,
            )
            keypoints = keypoint_regressor()(out)
        array = {name: value[0].numpy().astype(float) for name, value in out.items()}
        bones = array["bone_poses"] @ np.linalg.inv(array["rest_bone_poses"])
        posed = Posed(array["vertices"], keypoints[0].numpy().astype(float), bones)
        return posed, array["rest_bone_heads"]
