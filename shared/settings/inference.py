"""Which models find people and poses, and on which device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from posewire.shared.settings._base import Section

Device = Literal["AUTO", "CPU", "GPU", "NPU", "MYRIAD"]
Precision = Literal["FP16-INT8", "FP16", "FP32"]
Preset = Literal["fast", "balanced", "accurate"]
Family = Literal[
    "ssd",
    "atss",
    "picodet",
    "rtmdet",
    "yolox",
    "openpose-paf",
    "movenet-multipose",
    "associative-embedding",
    "heatmap-topdown",
    "simcc-topdown",
]
_WEIGHTS = {".xml": ".bin", ".pdmodel": ".pdiparams"}
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ModelSettings(Section):
    """A model of your own: an OpenVINO IR, ONNX, TFLite or Paddle file of a family that is known.

    Give ``family`` or ``like``.
    """

    family: Family | None = Field(
        None,
        description="What its outputs mean. Detectors: ssd (detection_out), atss (boxes, labels), "
        "picodet, rtmdet, yolox. Poses: openpose-paf, movenet-multipose, associative-embedding, "
        "and for one person at a time heatmap-topdown, simcc-topdown.",
    )
    like: str | None = Field(
        None,
        description="A model from 'posewire models list' that this one is a version of, for "
        "example one that you quantised: family, input and thresholds are the same.",
        examples=["tinypose-256x192"],
    )
    path: Path | None = Field(
        None,
        description="The file; for an IR the .xml, its .bin beside it; for Paddle the .pdmodel, "
        "its .pdiparams beside it.",
    )
    url: str | None = Field(
        None,
        description="Where to fetch it; needs sha256. For an IR the .xml, for Paddle the "
        ".pdmodel; the weights are beside it.",
    )
    sha256: Sha256 | None = Field(None, description="Checksum of the file.")
    weights_sha256: Sha256 | None = Field(
        None, description="Checksum of the weights, the .bin or .pdiparams."
    )
    precision: Precision = Field("FP32", description="For the log; FP16 for MYRIAD.")
    person_label: int = Field(1, ge=0, description="Detectors: the class that is a person.")

    @property
    def weights_suffix(self) -> str | None:
        """Return the suffix of the file with the weights, None where they are in the same one."""
        return _WEIGHTS.get(Path(str(self.path or self.url)).suffix)

    @model_validator(mode="after")
    def _one_source(self) -> ModelSettings:
        if (self.family is None) == (self.like is None):
            raise ValueError("give family or like, and not both")
        if (self.path is None) == (self.url is None):
            raise ValueError("give path or url, and not both")
        if self.url is not None and self.sha256 is None:
            raise ValueError("a model fetched by url needs its sha256")
        if self.url is not None and self.weights_suffix and self.weights_sha256 is None:
            raise ValueError(
                "a model fetched by url whose weights are a file of their own needs "
                f"weights_sha256, the {self.weights_suffix}'s checksum"
            )
        return self


class InferenceSettings(Section):
    """Models, devices, and what counts as a person."""

    model: str = Field(
        "auto",
        description="auto: the best that can be had, which is the pair pp-tinypose, else the pair "
        "openvino-zoo, else MoveNet. Or one of these pairs, or a pose model from 'posewire models "
        "list'.",
        examples=["auto", "openvino-zoo", "human-pose-estimation-0001"],
    )
    models: dict[str, ModelSettings] = Field(
        default_factory=dict,
        description="Models of your own, by name, for model and detector.",
        examples=[{"mine": {"family": "ssd", "path": "/models/mine.xml"}}],
    )
    detector: str = Field(
        "auto",
        description="auto: the pair's; beside a single pose model picodet-s-pedestrian-320 if it "
        "looks at one person at a time, else person-detection-retail-0013, which beside MoveNet is "
        "taken only if it is on this machine. Or none, or a name from 'posewire models list'.",
        examples=["auto", "none", "person-detection-0202"],
    )
    preset: Preset = Field(
        "balanced",
        description="How much work a frame is worth: fast, balanced, or accurate; what each finds "
        "and costs is in docs/accuracy.md.",
    )
    device: Device = Field(
        "AUTO",
        description="Device to run on; AUTO takes a GPU, else the CPU. "
        "MYRIAD, the Neural Compute Stick 2, has an environment of its own (deploy-ncs2.md).",
    )
    precision: Precision = Field(
        "FP16-INT8",
        description="Precision of the model files; FP16-INT8 on MYRIAD means FP16.",
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
        0.07,
        ge=0.01,
        le=0.9,
        description="Heatmap peaks below are no keypoints. Raise it for fewer, surer points.",
    )
    sweeps: tuple[Annotated[float, Field(gt=0, le=16)], ...] | None = Field(
        None,
        min_length=1,
        description="Input areas, relative to 256x456, of the looks at whole pictures; the "
        "preset's by default.",
        examples=[[0.25, 0.7]],
    )
    sweep_every_s: float | None = Field(
        None, ge=0, le=3600, description="Seconds between sweeps of a video; the preset's."
    )
    detect_every_s: float | None = Field(
        None,
        ge=0,
        le=60,
        description="Seconds between runs of the detector while everybody is found again; the "
        "preset's. 0: on every frame.",
    )
    region_cost: float | None = Field(
        None,
        gt=0,
        le=64,
        description="Input area, relative to 256x456, that looks at people may have together on "
        "one frame; the preset's. Higher is better in crowds and slower.",
    )
    most_people: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Top-down models: people whose pose is estimated on one frame, the surest "
        "first; the others are boxes. The preset's. Lower bounds the time that a crowd takes.",
    )
    mirror: bool | None = Field(
        None,
        description="Average each look with its mirror image: slightly better, twice the work; "
        "the preset's.",
    )
    in_flight: int = Field(
        4,
        ge=1,
        le=64,
        description="Frames of one camera held at once: one is examined, the next are decoded "
        "ahead.",
    )
    stuck_after_s: float = Field(
        120.0,
        ge=1,
        le=3600,
        description="Seconds without an answer to a frame after which the device counts as stuck: "
        "the worker ends 20 s later, and whoever supervises it starts it again. Lower is sooner; "
        "but some devices take their time for the first frame.",
    )
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads for inference; 0: as many as there are cores."
    )
