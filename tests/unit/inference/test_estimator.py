"""A top-down network's crops and the way back from them, with a network that sees white."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewire.inference.engines.base import Maps, Tensor
from posewire.inference.estimator import PoseEstimator
from posewire.inference.registry import ModelSpec, Preprocessing
from posewire.shared.settings import Family
from tests.unit.inference.test_detections import FakeEngine

PICTURE = (480, 640)
SHAPE = (256, 192)


class SeesWhite(FakeEngine):
    """Every joint is where the light is."""

    def __init__(self, family: Family) -> None:
        super().__init__(SHAPE)
        self._family = family

    async def infer(self, tensor: Tensor) -> dict[str, Maps]:
        self.asked.append(tensor)
        light = cv2.GaussianBlur(tensor[0, :, :, 0].astype(np.float32) / 255, (0, 0), 8)
        light /= max(float(light.max()), 1e-6)
        if self._family == "heatmap-topdown":
            return {"heat": np.repeat(light[None, None, ::4, ::4], 17, axis=1)}
        rows = {"simcc_x": light.max(0).repeat(2), "simcc_y": light.max(1).repeat(2)}
        return {name: np.repeat(row[None, None], 17, axis=1) for name, row in rows.items()}


def estimator(family: Family, *, mirror: bool = False) -> PoseEstimator:
    wanted = Preprocessing(border=0, margin=1.2)
    spec = ModelSpec("fake", family, "FP32", (), "none", 0.0, preprocessing=wanted)
    return PoseEstimator(SeesWhite(family), spec, mirror=mirror)


FAMILIES: tuple[Family, ...] = ("heatmap-topdown", "simcc-topdown")
unit = st.floats(0.2, 0.8)


@given(
    family=st.sampled_from(FAMILIES),
    mirror=st.booleans(),
    corner=st.tuples(st.floats(-30, 400), st.floats(-30, 250)),
    extent=st.tuples(st.floats(30, 200), st.floats(60, 260)),
    at=st.tuples(unit, unit),
)
@settings(max_examples=60, deadline=None)
def test_joints_are_where_they_are_in_the_picture(
    family: Family,
    mirror: bool,
    corner: tuple[float, float],
    extent: tuple[float, float],
    at: tuple[float, float],
) -> None:
    box = np.array([*corner, corner[0] + extent[0], corner[1] + extent[1], 0.9], np.float32)
    place = box[:2] + np.array(at) * (box[2:4] - box[:2])
    radius = max(2.0, extent[1] / 30)
    rows, columns = np.mgrid[: PICTURE[0], : PICTURE[1]]
    near = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * radius**2))
    image = np.repeat((255 * near).astype(np.uint8)[..., None], 3, axis=2)
    if not (0 < place[0] < PICTURE[1] - 1 and 0 < place[1] < PICTURE[0] - 1):
        return
    if near[[0, -1]].max() > 0.01 or near[:, [0, -1]].max() > 0.01:
        return
    estimate = asyncio.run(estimator(family, mirror=mirror).estimate(image, box[None]))
    assert estimate.points.shape == (1, 18, 3)
    # One input pixel, more or less, whatever the crop's scale; mirroring adds half of one.
    input_px = max(extent[0] / SHAPE[1], extent[1] / SHAPE[0]) * 1.2
    atol = 1.6 * input_px + 0.3
    np.testing.assert_allclose(estimate.points[0, :, :2], np.tile(place, (18, 1)), atol=atol)
    assert (estimate.points[..., 2] > 0.9).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mirror", [False, True])
async def test_each_person_is_looked_at_once(family: Family, mirror: bool) -> None:
    watching = estimator(family, mirror=mirror)
    image = np.zeros((*PICTURE, 3), np.uint8)
    boxes = np.array([[10 * n, 20, 10 * n + 60, 200, 0.5] for n in range(5)], np.float32)
    estimate = await watching.estimate(image, boxes)
    runs = 10 if mirror else 5
    assert estimate.points.shape == (5, 18, 3)
    assert estimate.run is not None
    assert (estimate.run.runs, estimate.run.pixels) == (runs, runs * 256 * 192)
    assert watching.pixels * 5 == estimate.run.pixels
    assert len(watching.engine.asked) == runs  # type: ignore[attr-defined]


async def test_nobody_costs_nothing() -> None:
    watching = estimator("heatmap-topdown")
    image = np.zeros((*PICTURE, 3), np.uint8)
    estimate = await watching.estimate(image, np.zeros((0, 5), np.float32))
    assert estimate.points.shape == (0, 18, 3)
    assert estimate.run is None
    assert watching.engine.asked == []  # type: ignore[attr-defined]
