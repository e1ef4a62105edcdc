"""Clothes: which part of the base mesh each garment is cut from, and what people carry.

MakeHuman's base mesh has a tight suit, a skirt and a head of hair around the body, moved by the
same bones. A garment is a piece of one of them, pushed out along its normals:

              hair
    sleeve   ______   sleeve 0 = shoulder, 1 = elbow, 2 = wrist
       1 ___/      \\___
      0.5    |shirt|
             |_____|  <- hem, metres below the hip joint
             |skirt |
             | |  | |  trousers
              shoes
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bodies import BODY_VERTICES, Body, mesh_groups, moved_by
from gait import FloatArray

BoolArray = npt.NDArray[np.bool_]
Colour = tuple[float, float, float]

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR = 0, 1, 2, 3


@dataclass(frozen=True)
class Fabric:
    """A cloth: linear RGB `colour`, and a `pattern` that also uses `second`.

    Patterns: "plain"; "stripes" across; "jacket": `second` shows in the open front;
    "print": a disc of `second` on the chest.
    """

    colour: Colour
    pattern: str = "plain"
    second: Colour = (0.8, 0.8, 0.8)


@dataclass(frozen=True)
class Look:
    """What somebody wears. Lengths in metres, colours linear RGB.

    `sleeve`: 0 shoulder, 1 elbow, 2 wrist. `hem`: raise for a longer shirt. `loose`: raise for
    wider cloth. `skirt`: how far above (+) or below (-) the knee a skirt of `skirt_cloth` ends,
    None for none; trousers under a skirt are stockings. `hair_low`: how far the hair reaches below
    the ears. `hair_thick`: how far it stands off. `long_hair`: a head of hair falling this far
    below the neck. `beard`: a grey shade on the jaw. `carries`: names from `carried.ITEMS`.
    """

    shirt: Fabric
    trousers: Fabric
    shoes: Colour
    skin: Colour
    hair: Colour
    sleeve: float = 2.03
    hem: float = 0.05
    loose: float = 1.0
    skirt: float | None = None
    skirt_cloth: Fabric | None = None
    hair_low: float = 0.06
    hair_thick: float = 0.016
    long_hair: float | None = None
    beard: bool = False
    carries: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Garment:
    """A piece of the base mesh.

    `vertices`: (n,) rows of the base mesh; `faces`: corners as rows of `vertices`; `offset`: (n,)
    metres pushed outwards; `material`: "shirt", "trousers", "skirt", "shoes", "skin", "hair",
    "eye".
    """

    name: str
    vertices: npt.NDArray[np.int64]
    faces: list[list[int]]
    offset: FloatArray
    material: str


class Tailor:
    """Cuts one body's clothes in its rest pose."""

    def __init__(self, body: Body, look: Look) -> None:
        self._body = body
        self._look = look
        self._rest = body.rest
        self._height = body.rest[:, 2]
        self._hip = body.joint("upperleg01.L")[2]
        self._knee = body.joint("lowerleg01.L")[2]
        self._ankle = body.joint("foot.L")[2]
        self._waist = body.joint("spine05")[2] + 0.06
        self._along_arm = self._measure_arms()
        self._foot = moved_by("foot", "toe")
        self._leg = moved_by("upperleg", "lowerleg", "pelvis")
        self._trunk = moved_by("spine", "root", "clavicle", "shoulder", "pelvis")
        self._arm = moved_by("lowerarm", "upperarm", "wrist", "finger", "metacarpal")

    def outfit(self) -> list[Garment]:
        """Return everything visible: clothes, uncovered skin, hair and eyes."""
        shirt = self._shirt_area()
        garments = [
            self._cut("shirt", "helper-tights", shirt, self._shirt_offset()),
            self._trousers(),
            self._shoes(),
            self._skin(shirt),
            self._hair(),
        ]
        if self._look.skirt is not None:
            below = self._height > self._knee + self._look.skirt
            flare = 0.012 + 0.02 * np.clip((self._hip - self._height) / 0.3, 0, 1)
            garments.append(self._cut("skirt", "helper-skirt", below, flare))
        if self._look.long_hair is not None:
            above = self._height > self._body.joint("neck01")[2] - self._look.long_hair
            garments.append(self._cut("hair", "helper-hair", above, 0.004, name="long_hair"))
        everywhere = np.ones(len(self._rest), dtype=bool)
        for side in ("l", "r"):
            eye = self._cut("eye", f"helper-{side}-eye", everywhere, 0.0, name=f"eye_{side}")
            garments.append(eye)
        return garments

    def tint(self) -> npt.NDArray[np.float32]:
        """Return colour multipliers for the skin, shape (19158, 3): lips, brows, beard."""
        keypoints = self._body.rest_keypoints
        eye, nose = keypoints[LEFT_EYE], keypoints[NOSE]
        side, depth, up = np.abs(self._rest[:, 0]), self._rest[:, 1], self._rest[:, 2]
        head = moved_by("head", "neck")
        lips = head & (side < 0.024) & (np.abs(up - nose[2] + 0.042) < 0.009)
        lips &= depth < eye[1] + 0.01
        brows = head & (np.abs(side - abs(eye[0])) < 0.024)
        brows &= (np.abs(up - eye[2] - 0.021) < 0.0055) & (depth < eye[1] + 0.02)
        tint = np.ones((len(self._rest), 3), dtype=np.float32)
        if self._look.beard:
            jaw = head & (up < nose[2] - 0.012) & (up > nose[2] - 0.115)
            tint[jaw & (depth < keypoints[LEFT_EAR][1] + 0.01)] = (0.5, 0.5, 0.52)
        tint[lips] = (0.85, 0.55, 0.55)
        tint[brows] = (0.3, 0.25, 0.22)
        return tint

    def _measure_arms(self) -> FloatArray:
        """Return how far along the nearer arm each vertex lies: 0 shoulder, 1 elbow, 2 wrist."""

        def along(side: str) -> FloatArray:
            shoulder = self._body.joint(f"upperarm01.{side}")
            elbow = self._body.joint(f"lowerarm01.{side}")
            upper, fore = elbow - shoulder, self._body.joint(f"wrist.{side}") - elbow
            on_upper = (self._rest - shoulder) @ upper / (upper @ upper)
            on_fore = (self._rest - elbow) @ fore / (fore @ fore)
            return np.where(on_upper < 1, on_upper, 1 + np.clip(on_fore, 0, 9))

        return np.where(self._rest[:, 0] > 0, along("L"), along("R"))

    def _cut(
        self,
        material: str,
        group: str,
        keep: BoolArray,
        offset: float | FloatArray,
        name: str = "",
    ) -> Garment:
        """Return the faces of `group` whose corners are all in `keep`, (19158,)."""
        faces = [face for face in mesh_groups()[group] if all(keep[v] for v in face)]
        vertices = np.unique(np.concatenate([np.asarray(face) for face in faces]))
        local = np.full(len(self._rest), -1)
        local[vertices] = np.arange(len(vertices))
        return Garment(
            name or material,
            vertices,
            [[int(local[v]) for v in face] for face in faces],
            np.broadcast_to(offset, (len(self._rest),))[vertices].astype(float),
            material,
        )

    def _shirt_area(self) -> BoolArray:
        above_hem = self._height > self._hip - self._look.hem
        body = (self._trunk | moved_by("upperleg")) & above_hem
        return np.asarray(body | (self._arm & (self._along_arm < self._look.sleeve)))

    def _shirt_offset(self) -> FloatArray:
        below_chest = np.clip((self._hip + 0.15 - self._height) / 0.2, 0, 1)
        return np.asarray(0.010 + 0.012 * self._look.loose * (1 + below_chest))

    def _trousers(self) -> Garment:
        area = (self._leg | self._foot | self._trunk) & (self._height < self._waist + 0.05)
        area &= self._height > self._ankle - 0.07
        if self._look.skirt is not None:  # stockings
            return self._cut("trousers", "helper-tights", area, 0.004)
        below_knee = np.clip((self._knee + 0.1 - self._height) / 0.25, 0, 1)
        width = 0.008 + 0.014 * self._look.loose * below_knee
        return self._cut("trousers", "helper-tights", area, width)

    def _shoes(self) -> Garment:
        area = (self._foot | moved_by("lowerleg")) & (self._height < self._ankle + 0.03)
        width = 0.010 + 0.004 * (self._height < self._ankle - 0.05)
        return self._cut("shoes", "helper-tights", area, width)

    def _skin(self, shirt: BoolArray) -> Garment:
        """Return the skin without what the clothes cover, so that it cannot show through."""
        covered = shirt & (self._along_arm < self._look.sleeve - 0.15) & self._arm
        covered |= self._trunk & (self._height < self._body.joint("clavicle.L")[2] - 0.02)
        covered |= self._foot | (self._leg & (self._height > self._ankle - 0.05))
        buried = {tuple(f) for f in mesh_groups()["body"] if all(covered[v] for v in f)}
        rest = [face for face in mesh_groups()["body"] if tuple(face) not in buried]
        keep = np.zeros(len(self._rest), dtype=bool)
        keep[np.unique(np.concatenate([np.asarray(face) for face in rest]))] = True
        keep[BODY_VERTICES:] = False
        return self._cut("skin", "body", keep, 0.0)

    def _hair(self) -> Garment:
        """Return the scalp: above the hairline, and behind the ears down to `hair_low`."""
        eye = self._body.rest_keypoints[LEFT_EYE]
        ear = self._body.rest_keypoints[LEFT_EAR]
        side, depth, up = np.abs(self._rest[:, 0]), self._rest[:, 1], self._rest[:, 2]
        hairline = eye[2] + 0.058 - 0.03 * np.clip((depth - eye[1]) / 0.06, 0, 1)
        back = (depth > ear[1] + 0.005) & (up > ear[2] - self._look.hair_low)
        around_ear = (side > abs(ear[0]) - 0.006) & (up < ear[2] + 0.035) & (depth < ear[1] + 0.02)
        scalp = moved_by("head", "neck02", "neck03") & ((up > hairline) | back) & ~around_ear
        return self._cut("hair", "body", np.asarray(scalp), self._look.hair_thick)
