"""The stick's environments, and files for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posewire.inference.registry import DETECTOR, POSE

ROOT = Path(__file__).resolve().parents[3]
NAMES = {"ncs2": ".venv-ncs2", "ov2022": ".venv-ov2022"}


def environment(name: str) -> Path:
    """Return the Python of a stick's environment; skips where it has not been made."""
    python = ROOT / NAMES[name] / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {NAMES[name]} here: make {name}-env")
    return python


@pytest.fixture(scope="session")
def pose_fp16(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pose model as an IR in FP16: the zoo's file, or made of its FP16-INT8 file.

    Made by leaving out the rounding of activations and writing the weights as half floats. The
    layers and the input are those of the zoo's FP16 file, the weights nearly so.
    """
    inside = Path(POSE) / "FP16" / f"{POSE}.xml"
    if (models_dir / inside).is_file():
        return models_dir / inside
    import openvino as ov
    from openvino import passes

    source = models_dir / POSE / "FP16-INT8" / f"{POSE}.xml"
    if not source.is_file():
        pytest.skip(f"no {POSE} in {models_dir}")
    model = ov.Core().read_model(source)
    for layer in model.get_ordered_ops():
        if layer.get_type_name() == "FakeQuantize":
            layer.output(0).replace(layer.input_value(0))
    steps = passes.Manager()
    steps.register_pass(passes.ConstantFolding())
    steps.run_passes(model)
    path = tmp_path_factory.mktemp("models") / f"{POSE}.xml"
    ov.save_model(model, path, compress_to_fp16=True)
    return path


@pytest.fixture(scope="session")
def fp16(models_dir: Path, pose_fp16: Path) -> dict[str, Any]:
    """Settings of the two models in FP16; the device is CPU."""
    if not (models_dir / DETECTOR / "FP16").is_dir():
        pytest.skip(f"no {DETECTOR} in FP16 in {models_dir}")
    mine = {"family": "openpose-paf", "path": str(pose_fp16), "precision": "FP16"}
    return {
        "device": "CPU",
        "precision": "FP16",
        "models_dir": str(models_dir),
        "detector": DETECTOR,
        "model": "pose-fp16",
        "models": {"pose-fp16": mine},
    }
