"""The engines for the Neural Compute Stick, each in its environment, on the CPU.

Not on a stick: there is none here. See docs/deploy-ncs2.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewire.inference.registry import DETECTOR, MOVENET
from posewire.inference.skeletons import iou
from tests.integration.inference.conftest import ROOT, environment

CLIP = ROOT / "services" / "capture" / "assets" / "people.mp4"
SURE = 0.5
"""Who counts. Below, somebody half hidden may be above the threshold in one engine alone."""
WAVERS = 0.1
"""Scores may differ by this much, so who is that near to SURE in one need not be in the other."""


@pytest.fixture(scope="module")
def pictures(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Real pictures of COCO, and frames of the sample clip."""
    folder = tmp_path_factory.mktemp("frames")
    found = [str(path) for path in sorted((data_dir / "coco" / "images").glob("*.jpg"))[:16]]
    reader = cv2.VideoCapture(str(CLIP))
    for index in range(160):
        _ok, image = reader.read()
        if index % 40 == 10:
            path = folder / f"{index}.jpg"
            cv2.imwrite(str(path), image)
            found.append(str(path))
    if len(found) < 10:
        pytest.skip(f"no pictures in {data_dir}")
    return found


@cache
def _run(python: Path, task: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-m", "tests.integration.inference.people_of"],
        input=task.encode(), capture_output=True, cwd=ROOT, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return dict(json.loads(done.stdout))


@dataclass
class Differences:
    """Between two engines, in all pictures together."""

    alone: int = 0
    """People of one that the other has not."""
    overlaps: list[float] = field(default_factory=list)
    """IoU of the boxes."""
    scores: list[float] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    """Of keypoints that both have, as shares of the box's longer side."""
    keypoints_alone: int = 0
    """Keypoints of one that the other has not."""


def compare(ours: list[Any], theirs: list[Any], seen: Differences) -> None:
    """Add the differences in one picture."""
    for one, other in ((ours, theirs), (theirs, ours)):
        for score, box, points in one:
            if score < SURE + WAVERS:
                continue
            near = [(iou(np.array(box), np.array(b)), s, p) for s, b, p in other]
            overlap, other_score, other_points = max(near, key=lambda n: n[0], default=(0, 0, []))
            if overlap < 0.5:
                seen.alone += 1
                continue
            seen.overlaps.append(overlap)
            seen.scores.append(abs(score - other_score))
            if not points or not other_points:
                seen.keypoints_alone += sum(p[2] > 0 for p in [*points, *other_points])
                continue
            a, b = np.array(points), np.array(other_points)
            both = (a[:, 2] > 0) & (b[:, 2] > 0)
            seen.keypoints_alone += int(((a[:, 2] > 0) != (b[:, 2] > 0)).sum())
            size = max(box[2] - box[0], box[3] - box[1])
            far = np.linalg.norm(a[both, :2] - b[both, :2], axis=1) / size
            seen.distances += far.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("as_on_stick", [False, True], ids=["any shape", "one shape"])
@pytest.mark.parametrize("name", ["ncs2", "ov2022"])
def test_the_same_people_as_the_main_engine(
    name: str, as_on_stick: bool, fp16: dict[str, Any], pictures: list[str]
) -> None:
    python = environment(name)
    task = json.dumps({"settings": fp16, "pictures": pictures, "as_on_stick": as_on_stick})
    ours, theirs = _run(Path(sys.executable), task), _run(python, task)
    assert "pose-fp16 FP16 on CPU" in theirs["engine"]
    seen = Differences()
    for mine, other in zip(ours["people"], theirs["people"], strict=True):
        compare(mine, other, seen)
    overlap, score = np.percentile(seen.overlaps, 5), np.percentile(seen.scores, 95)
    middle, far, farthest = np.percentile(seen.distances, [50, 95, 99])
    keypoints = len(seen.distances)
    sys.stdout.write(
        f"{name}, {'one' if as_on_stick else 'any'} shape: {len(seen.overlaps)} people, "
        f"{seen.alone} alone; IoU of 95 % over {overlap:.3f}, least {min(seen.overlaps):.3f}; "
        f"score of 95 % within {score:.3f}, most {max(seen.scores):.3f}; {keypoints} keypoints, "
        f"distance median {middle:.4f}, 95 % {far:.4f}, 99 % {farthest:.4f}; "
        f"{seen.keypoints_alone} alone\n"
    )
    # Wider than halves of floats need: a CPU with bfloat16 makes all three engines compute in that,
    # each rounding in its own places, and where people overlap that decides whose a limb is.
    assert len(seen.overlaps) > 50
    assert seen.alone == 0
    assert overlap >= 0.9
    assert score <= 0.1
    assert middle <= 0.003
    assert far <= 0.1
    assert seen.keypoints_alone <= 0.2 * (2 * keypoints)


def outcome(python: Path, lines: str, **names: object) -> str:
    """Run lines of Python in an environment; return what they print."""
    script = "\n".join(
        [
            "import json, sys",
            "from pathlib import Path",
            "from posewire.inference.engines import choose_device, open_engine",
            "from posewire.inference.registry import ModelFiles, find, find_spec, known",
            "from posewire.shared.settings import InferenceSettings",
            f"globals().update(json.loads({json.dumps(names)!r}))",
            lines,
        ]
    )
    done = subprocess.run(
        [python, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


MISSING = """
try:
    print(choose_device(InferenceSettings(device="MYRIAD")))
except Exception as error:
    print(type(error).__name__, error)
print(*choose_device(InferenceSettings(device="MYRIAD", fallback=True)))
"""


@pytest.mark.parametrize("name", ["ncs2", "ov2022"])
def test_a_stick_that_is_not_there_is_named_or_replaced(name: str) -> None:
    refused, replaced = outcome(environment(name), MISSING).splitlines()[::2]
    assert refused.startswith("DeviceError device MYRIAD is not on this machine (there is CPU)")
    assert "plug the stick in" in refused
    assert "docs/deploy-ncs2.md" in refused
    assert replaced.startswith("CPU device MYRIAD is not on this machine")


OPEN = """
if pretend:
    from posewire.inference.engines import opencv_dnn
    opencv_dnn._targets = lambda: {opencv_dnn._TARGETS["CPU"], opencv_dnn._TARGETS["MYRIAD"]}
settings = InferenceSettings(**settings)
spec = find_spec(model, settings.precision, known(settings))
files = ModelFiles(spec, Path(path)) if path else find(spec, settings)
try:
    print(open_engine(files, settings).input_shape)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_stick_that_cannot_be_opened_is_named(fp16: dict[str, Any]) -> None:
    """The real plugin, told to open the stick: it looks for one for five seconds."""
    settings = {**fp16, "device": "MYRIAD"}
    python = environment("ncs2")
    text = outcome(python, OPEN, settings=settings, model=DETECTOR, path="", pretend=True)
    assert text.startswith(f"DeviceError {DETECTOR} FP16 cannot run on MYRIAD with input 320x544:")
    assert "Can not init Myriad device: NC_ERROR" in text
    assert "the udev rule in docs/deploy-ncs2.md" in text


@pytest.mark.parametrize(
    ("model", "version", "device", "words"),
    [
        (MOVENET, "10", "CPU", "takes OpenVINO IR files of the families ssd and openpose-paf"),
        (DETECTOR, "11", "CPU", "is an IR of version 11, and the Inference Engine in OpenCV reads"),
        (DETECTOR, "none", "CPU", "is not an OpenVINO IR with one picture as its input"),
        (DETECTOR, "10", "MYRIAD", f"{DETECTOR} is FP32, and MYRIAD takes FP16 alone"),
    ],
)
def test_models_that_are_not_for_it_are_named(
    models_dir: Path, tmp_path: Path, model: str, version: str, device: str, words: str
) -> None:
    text = (models_dir / DETECTOR / "FP16" / f"{DETECTOR}.xml").read_text()
    path = tmp_path / "model.xml"
    path.write_text(text.replace('version="10"', f'version="{version}"', 1))
    precision = "FP32" if device == "MYRIAD" else "FP16"
    settings = {"device": device, "precision": precision}
    told = outcome(
        environment("ncs2"), OPEN,
        settings=settings, model=model, path=str(path), pretend=device == "MYRIAD",
    )  # fmt: skip
    assert told.startswith("ModelError")
    assert words in told
