"""tools/quantize: the inputs that it calibrates with, and a whole run in its own environment."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewire.inference.registry import Preprocessing, find, find_spec, known
from posewire.shared.settings import load_settings
from tests.integration.inference.conftest import ROOT

CLIP = ROOT / "services" / "capture" / "assets" / "people.mp4"
TOOL = ROOT / "tools" / "quantize"
PYTHON = ROOT / ".venv-quantize" / "bin" / "python"


@pytest.fixture(scope="module")
def pictures() -> Any:
    """The tool's module of that name."""
    spec = importlib.util.spec_from_file_location("quantize_pictures", TOOL / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_colours_and_normalisation(pictures: Any) -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    image[:] = (10, 20, 30)  # BGR
    how = Preprocessing("RGB", (1.0, 2.0, 3.0), (2.0, 2.0, 2.0), "stretch")
    tensor = pictures.network_input(image, None, (4, 4), how)
    assert tensor.shape == (1, 3, 4, 4)
    assert tensor.dtype == np.float32
    assert tensor[0, :, 1, 2].tolist() == [14.5, 9.0, 3.5]


def test_a_person_is_in_the_middle_with_a_margin(pictures: Any) -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:60, 90:110] = 255  # 20 wide, 40 high
    how = Preprocessing(resize="crop", border=7, margin=1.25)
    tensor = pictures.network_input(image, (90.0, 20.0, 110.0, 60.0), (50, 40), how)[0, 0]
    rows, columns = np.nonzero(tensor > 127)
    # 50 rows show 40 x 1.25 pixels: one to one, and the box lies in their middle.
    assert (rows.min(), rows.max()) == (5, 44)
    assert (columns.min(), columns.max()) == (10, 29)
    edge = pictures.network_input(image, (0.0, 0.0, 20.0, 40.0), (50, 40), how)[0, 0]
    assert edge[0, 0] == 7  # outside of the picture


def test_a_letterbox_lies_at_the_top_left(pictures: Any) -> None:
    image = np.full((50, 100, 3), 200, np.uint8)
    how = Preprocessing(resize="letterbox", border=114)
    tensor = pictures.network_input(image, None, (40, 40), how)[0, 0]
    assert (tensor[:19] == 200).all()
    assert (tensor[21:] == 114).all()


def test_what_is_no_picture_is_told(pictures: Any, tmp_path: Path) -> None:
    for name in ("notes.txt", "broken.jpg"):
        (tmp_path / name).write_text("not a picture")
        with pytest.raises(SystemExit, match=name):
            pictures.read([tmp_path / name])
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((4, 5, 3), np.uint8))
    (tmp_path / "broken.jpg").unlink()
    assert [image.shape for image in pictures.read([tmp_path])] == [(4, 5, 3)]
    assert len(pictures.read([CLIP])) == 100


@pytest.mark.slow
def test_a_detector_is_quantised_and_used(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not PYTHON.exists():
        pytest.skip("no .venv-quantize here: make quantize-env")
    name = "picodet-s-pedestrian-192"
    monkeypatch.setenv("POSEWIRE_MODELS_DIR", str(models_dir))
    done = subprocess.run(
        [PYTHON, TOOL, name, CLIP, "--most", "40", "--out", tmp_path],
        capture_output=True, text=True, timeout=280, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    sys.stdout.write(done.stdout)
    assert "one thread, without bfloat16" in done.stdout
    # What it prints is a configuration that works.
    lines = done.stdout.split("posewire.toml:\n\n")[1].split("\n\nMeasure")[0]
    config = tmp_path / "posewire.toml"
    config.write_text(lines)
    settings = load_settings(config).inference
    assert settings.detector == f"{name}-int8"
    found = find(find_spec(settings.detector, "FP16-INT8", known(settings)), settings)
    assert found is not None
    assert found.path == tmp_path / f"{name}-int8.xml"
    assert found.spec.nms_iou == find_spec(name, "FP16").nms_iou
    assert 'type="FakeQuantize"' in found.path.read_text()
