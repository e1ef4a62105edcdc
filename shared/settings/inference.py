"""Which models find people and poses, and on which device."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.settings._base import Section

Device = Literal["AUTO", "CPU", "GPU", "NPU", "MYRIAD"]
Precision = Literal["FP16-INT8", "FP16", "FP32"]


class InferenceSettings(Section):
    """Models, devices, and what counts as a person."""

    model: str = Field(
        "auto",
        description="auto: the Open Model Zoo pair, or MoveNet where that cannot be had. "
        "Or a name from 'posewire models list'.",
        examples=["auto", "human-pose-estimation-0001", "movenet-multipose-lightning"],
    )
    device: Device = Field("AUTO", description="Device to run on; AUTO takes OpenVINO's choice.")
    precision: Precision = Field(
        "FP16-INT8", description="Precision of the model files; MYRIAD needs FP16."
    )
    fallback: bool = Field(
        False,
        description="Continue on the CPU, with a log line, where the device is missing; "
        "otherwise that is an error.",
    )
    models_dir: Path | None = Field(
        None, description="Folder with model files, looked in before the cache and the network."
    )
    cache_dir: Path | None = Field(
        None, description="Where downloaded models are kept; the user's cache folder by default."
    )
    detection_score: float = Field(
        0.4,
        ge=0.05,
        le=0.99,
        description="Boxes at or above are people. Raise it against false people, lower it for "
        "people half hidden.",
    )
    keypoint_score: float = Field(
        0.1,
        ge=0.01,
        le=0.9,
        description="Heatmap peaks below are no keypoints. Raise it for fewer, surer points.",
    )
    in_flight: int = Field(
        4,
        ge=1,
        le=64,
        description="Frames of one camera examined at once. More fills the device, fewer lowers "
        "latency.",
    )
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads for inference; 0: as many as there are cores."
    )
