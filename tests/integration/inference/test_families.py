"""Families of networks from the file to people: real files, and small networks made here.

The made networks show what reaches a network, so that colours, mean and deviation, the crop and
the way back are proven with the engine, not beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from posewire.inference.detector import Detector
from posewire.inference.engines import Engine, open_engine
from posewire.inference.estimator import PoseEstimator
from posewire.inference.registry import ModelSpec, find, known
from posewire.inference.registry.store import ModelFiles
from posewire.inference.registry.topdown import PICODET, RTMDET, TINYPOSE, TINYPOSE_SMALL
from posewire.shared.settings import Family, InferenceSettings
from tests.integration.inference.test_pipeline import CLIP

HEIGHT, WIDTH = 256, 192
SQUARE = 64
_RGB = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_BGR = ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
_RAW = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def saved(
    folder: Path, outputs: dict[str, Any], image: Any, family: Family, *, label: int = 0
) -> tuple[ModelFiles, InferenceSettings]:
    """Write a network of the user's own and return it as the registry gives it."""
    path = folder / f"{family}.xml"
    for name, output in outputs.items():
        output.output(0).get_tensor().set_names({name})
    results = [ops.result(output) for output in outputs.values()]
    ov.save_model(ov.Model(results, [image]), path, compress_to_fp16=False)
    mine = {"family": family, "path": str(path), "precision": "FP32", "person_label": label}
    settings = InferenceSettings(device="CPU", precision="FP32", models={"mine": mine})
    spec = known(settings)[0]
    assert spec.name == "mine"
    return ModelFiles(spec, path), settings


def constant(value: Any) -> Any:
    return ops.constant(np.asarray(value, np.float32))


def light(image: Any) -> Any:
    """Return a network's input as light from 0 to 1, shape (1, 1, height, width)."""
    low = ops.reduce_min(image, ops.constant([1, 2, 3]), keep_dims=True)
    high = ops.reduce_max(image, ops.constant([1, 2, 3]), keep_dims=True)
    spread = ops.maximum(ops.subtract(high, low), constant(1e-6))
    share = ops.divide(ops.subtract(image, low), spread)
    return ops.reduce_mean(share, ops.constant([1]), keep_dims=True)


@pytest.mark.parametrize(
    ("family", "colours", "normal"),
    [
        ("heatmap-topdown", "RGB", _RGB),
        ("simcc-topdown", "RGB", _RGB),
        ("picodet", "RGB", _RGB),
        ("rtmdet", "BGR", _BGR),
        ("yolox", "BGR", _RAW),
        ("ssd", "BGR", _RAW),
    ],
)
@pytest.mark.parametrize("batch", [1, -1])
async def test_a_network_is_shown_the_pixels_that_its_family_was_trained_with(
    tmp_path: Path, family: Family, colours: str, normal: Any, batch: int
) -> None:
    image = ops.parameter([batch, 3, 24, 32], ov.Type.f32, name="image")
    shown = ops.multiply(image, constant(1.0))
    files, settings = saved(tmp_path, {"shown": shown}, image, family)
    engine = open_engine(files, settings)
    pixels = np.random.default_rng(3).integers(0, 256, (1, 24, 32, 3), np.uint8)
    output = (await engine.infer(pixels))["shown"]
    engine.close()
    mean, deviation = (np.array(values, np.float32) for values in normal)
    ordered = pixels[..., ::-1] if colours == "RGB" else pixels
    expected = ((ordered - mean) / deviation).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(output, expected, atol=1e-4)
    assert engine.input_shape == (24, 32)


def joints(family: Family) -> tuple[Any, dict[str, Any]]:
    """Return a network whose every joint is where the light is: its input and its outputs."""
    image = ops.parameter([1, 3, HEIGHT, WIDTH], ov.Type.f32, name="image")
    shown = light(image)
    many = ops.constant(np.array([1, 17, 1, 1], np.int64))
    if family == "heatmap-topdown":
        cells = ops.avg_pool(shown, [4, 4], [0, 0], [0, 0], [4, 4], True)
        return image, {"heat": ops.tile(cells, many)}
    bins = {}
    for name, axis, size in (("simcc_x", 2, WIDTH), ("simcc_y", 3, HEIGHT)):
        row = ops.reduce_mean(shown, ops.constant([axis]), keep_dims=False)
        doubled = ops.tile(ops.unsqueeze(row, ops.constant([3])), ops.constant([1, 1, 1, 2]))
        flat = ops.reshape(doubled, ops.constant([1, 1, 2 * size]), special_zero=False)
        bins[name] = ops.tile(flat, ops.constant([1, 17, 1]))
    return image, bins


@pytest.mark.parametrize("family", ["heatmap-topdown", "simcc-topdown"])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "box", [(200, 100, 290, 330), (-20, 30, 100, 200), (0, 0, 640, 480), (560, 300, 640, 480)]
)
async def test_joints_come_back_to_the_picture(
    tmp_path: Path, family: Family, mirror: bool, box: tuple[float, float, float, float]
) -> None:
    image, outputs = joints(family)
    files, settings = saved(tmp_path, outputs, image, family)
    network = PoseEstimator(open_engine(files, settings), files.spec, mirror=mirror)
    boxes = np.array([[*box, 0.9]], np.float32)
    place = (box[0] + 0.6 * (box[2] - box[0]), box[1] + 0.4 * (box[3] - box[1]))
    rows, columns = np.mgrid[:480, :640]
    size = (box[3] - box[1]) / 12
    soft = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * size**2))
    picture = np.repeat((255 * soft).astype(np.uint8)[..., None], 3, axis=2)
    found = await network.estimate(picture, boxes)
    network.close()
    # Within a few pixels of the input: cells of four, averaged, show the light beside its middle.
    input_px = max((box[2] - box[0]) / WIDTH, (box[3] - box[1]) / HEIGHT) * 1.25
    np.testing.assert_allclose(found.points[0, :, :2], np.tile(place, (18, 1)), atol=3 * input_px)
    assert found.run is not None
    assert (found.run.device, found.run.runs) == ("CPU", 1 + mirror)


def yolox() -> tuple[Any, dict[str, Any]]:
    """Return a YOLOX whose cells of stride 8 see light, as boxes of two cells."""
    image = ops.parameter([1, 3, SQUARE, SQUARE], ov.Type.f32, name="image")
    mean = ops.reduce_mean(image, ops.constant([1]), keep_dims=True)
    cells = ops.avg_pool(ops.divide(mean, constant(255.0)), [8, 8], [0, 0], [0, 0], [8, 8], True)
    seen = ops.reshape(cells, ops.constant([1, 64, 1]), special_zero=False)
    place = constant(np.tile([0.5, 0.5, np.log(2), np.log(2)], (1, 64, 1)))
    classes = constant(np.tile([0.0, 1.0], (1, 64, 1)))
    rows = ops.concat([place, seen, classes], 2)
    # Strides 16 and 32 see nobody.
    return image, {"output": ops.concat([rows, constant(np.zeros((1, 20, 7)))], 1)}


def rtmdet() -> tuple[Any, dict[str, Any]]:
    """Return an RTMDet whose cells of stride 8 see light around their corner."""
    image = ops.parameter([1, 3, SQUARE, SQUARE], ov.Type.f32, name="image")
    cells = ops.avg_pool(light(image), [8, 8], [0, 0], [0, 0], [8, 8], True)
    seen = ops.transpose(cells, ops.constant([0, 2, 3, 1]))
    logits = ops.multiply(ops.subtract(seen, constant(0.5)), constant(8.0))
    reach = constant(np.tile([4.0, 4.0, 12.0, 12.0], (1, 8, 8, 1)))
    outputs = {"stride_8": ops.concat([logits, reach], 3)}
    for stride in (16, 32):
        side = SQUARE // stride
        nothing = ops.multiply(constant(np.zeros((1, side, side, 5))), constant(1.0))
        # Hung on the input, so that it is part of the network.
        zero = ops.multiply(ops.reduce_mean(image, ops.constant([0, 1, 2, 3])), constant(0.0))
        nobody = constant(np.tile([-9.0, 0, 0, 0, 0], (1, side, side, 1)))
        outputs[f"stride_{stride}"] = ops.add(ops.add(nothing, nobody), zero)
    return image, outputs


@pytest.mark.parametrize("family", ["yolox", "rtmdet"])
@pytest.mark.parametrize("mirror", [False, True])
async def test_made_detectors_find_a_square(tmp_path: Path, family: Family, mirror: bool) -> None:
    image, outputs = yolox() if family == "yolox" else rtmdet()
    files, settings = saved(tmp_path, outputs, image, family, label=1)
    finder = Detector(open_engine(files, settings), files.spec, 0.5, mirror=mirror)
    # Twice as wide as the input, half as high: a letterbox of scale .5, its lower half border.
    picture = np.zeros((SQUARE, 2 * SQUARE, 3), np.uint8)
    picture[16:32, 48:64] = 255  # cell (3, 1) of the input, 8 px to the cell
    found, run = await finder.find(picture, 0.6 if not mirror else 0.3)
    finder.close()
    assert run.runs == 1 + mirror
    if family == "yolox":
        # Centre (28, 12) and 16 px on each side of the input. The mirror image agrees.
        np.testing.assert_allclose(found[0, :4], [40, 8, 72, 40], atol=0.1)
        assert found[0, 4] == pytest.approx(1, abs=0.01)
        return
    # From the corner at (24, 8): 4 px to the left and up, 12 to the right and down.
    np.testing.assert_allclose(found[0, :4], [40, 8, 72, 40], atol=0.1)
    assert found[0, 4] == pytest.approx(1 / (1 + np.exp(-4)), abs=0.01)


@pytest.fixture(scope="module")
def frames() -> Iterator[dict[int, np.ndarray]]:
    reader = cv2.VideoCapture(str(CLIP))
    pictures = {}
    for index in range(52):
        found, picture = reader.read()
        assert found
        if index in (0, 50):
            pictures[index] = np.asarray(picture, np.uint8)
    yield pictures


def opened(models_dir: Path, name: str, **options: Any) -> tuple[Engine, ModelSpec]:
    settings = InferenceSettings(device="CPU", models_dir=models_dir, **options)
    spec = next(spec for spec in known(settings) if spec.name == name)
    files = find(spec, settings)
    if files is None:
        pytest.skip(f"no {name} in {models_dir}")
    return open_engine(files, settings), spec


@pytest.mark.parametrize("name", [RTMDET, PICODET])
@pytest.mark.parametrize("mirror", [False, True])
async def test_real_detectors_find_the_people_of_a_frame(
    models_dir: Path, frames: dict[int, np.ndarray], name: str, mirror: bool
) -> None:
    engine, spec = opened(models_dir, name)
    finder = Detector(engine, spec, 0.4, mirror=mirror)
    found, _run = await finder.find(frames[50], 0.4)
    nobody, _run = await finder.find(frames[0], 0.4)
    finder.close()
    assert len(found) == 3
    assert len(nobody) == 0
    # All of them stand: higher than wide, apart from each other.
    sides = found[:, 2:4] - found[:, :2]
    assert (sides[:, 1] > 1.3 * sides[:, 0]).all()
    assert (sides[:, 1] > 0.2 * frames[50].shape[0]).all()


@pytest.mark.parametrize("name", [RTMDET, PICODET, TINYPOSE, TINYPOSE_SMALL])
def test_shapes_are_static_when_a_network_is_compiled(models_dir: Path, name: str) -> None:
    engine, _spec = opened(models_dir, name)
    compiled = engine._queue[0].get_compiled_model()  # type: ignore[attr-defined]
    engine.close()
    ports = [*compiled.inputs, *compiled.outputs]
    assert all(port.partial_shape.is_static for port in ports)
    assert list(compiled.inputs[0].shape) == [1, *engine.input_shape, 3]


def test_an_export_with_a_batch_of_any_size_is_compiled_for_one(tmp_path: Path) -> None:
    image = ops.parameter([-1, 3, 24, 32], ov.Type.f32, name="image")
    files, settings = saved(tmp_path, {"out": ops.relu(image)}, image, "simcc-topdown")
    engine = open_engine(files, settings)
    compiled = engine._queue[0].get_compiled_model()  # type: ignore[attr-defined]
    engine.close()
    assert list(compiled.outputs[0].shape) == [1, 3, 24, 32]
