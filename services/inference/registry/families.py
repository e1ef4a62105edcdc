"""Families of networks: which find people, which see one person at a time, and which can be run."""

from __future__ import annotations

from posewire.shared.settings import Family

DETECTORS: frozenset[Family] = frozenset({"ssd", "atss", "picodet", "rtmdet", "yolox"})
"""Find people and no poses; the other families are pose networks."""
TOP_DOWN: frozenset[Family] = frozenset({"heatmap-topdown", "simcc-topdown"})
"""Pose networks that look at one person, so that a detector has to find people for them."""
IMPLEMENTED: frozenset[Family] = (
    DETECTORS
    | TOP_DOWN
    | {
        "openpose-paf",
        "movenet-multipose",
        "associative-embedding",
    }
)
"""Families whose outputs this version reads; ``auto`` takes no model of another one."""
ON_OPENCV: frozenset[Family] = frozenset({"ssd", "openpose-paf"})
"""What the engine on OpenCV-DNN runs: the Inference Engine of 2021 cannot read the others."""
