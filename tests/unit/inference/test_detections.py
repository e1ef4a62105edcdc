"""Detectors' answers are read right, doubles go, and the mirror image's boxes join."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewire.inference.detections import fuse, iou_with, suppress
from posewire.inference.detector import Detector
from posewire.inference.engines import Engine
from posewire.inference.engines.base import Maps, Tensor
from posewire.inference.imaging import View
from posewire.inference.registry import ModelSpec, Preprocessing
from posewire.shared.settings import Family

PICTURE = (480, 640)
SHAPE = (320, 320)
VIEW = View(0, 0, 0.5, 0.5)
"""The picture at half its size at the input's top left."""


class FakeEngine(Engine):
    """Gives answers in their order, and keeps what it was asked."""

    model, precision, device = "fake", "FP32", "CPU"

    def __init__(self, shape: tuple[int, int] = SHAPE, *answers: dict[str, Maps]) -> None:
        self.input_shape = shape
        self.asked: list[Tensor] = []
        self._answers = list(answers)

    async def infer(self, tensor: Tensor) -> dict[str, Maps]:
        self.asked.append(tensor)
        return self._answers[len(self.asked) - 1]

    def close(self) -> None:
        pass


def detector(
    family: Family,
    *answers: dict[str, Maps],
    label: int = 1,
    mirror: bool = False,
    shape: tuple[int, int] = SHAPE,
) -> Detector:
    spec = ModelSpec(
        "fake", family, "FP32", (), "none", 0.0, person_label=label,
        preprocessing=Preprocessing(resize="stretch"),
    )  # fmt: skip
    return Detector(FakeEngine(shape, *answers), spec, 0.5, mirror=mirror)


def logit(score: float) -> float:
    return math.log(score / (1 - score))


def rtmdet_maps(*boxes: tuple[float, float, float, float, float]) -> dict[str, Maps]:
    """Return the maps of boxes in pixels of the input, seen by the cells of each stride in them."""
    maps = {}
    for stride in (8, 16, 32):
        cells = np.zeros((1, SHAPE[0] // stride, SHAPE[1] // stride, 5), np.float32)
        cells[..., 0] = -9
        for x0, y0, x1, y1, score in boxes:
            for row in range(cells.shape[1]):
                for column in range(cells.shape[2]):
                    x, y = column * stride, row * stride
                    middle = (
                        abs(x - (x0 + x1) / 2) <= stride / 2
                        and abs(y - (y0 + y1) / 2) <= stride / 2
                    )
                    if middle:
                        cells[0, row, column] = (logit(score), x - x0, y - y0, x1 - x, y1 - y)
        maps[f"stride_{stride}"] = cells
    return maps


def yolox_rows(
    *boxes: tuple[float, float, float, float, float], label: int, classes: int = 3
) -> dict[str, Maps]:
    """Return the rows of boxes in pixels of the input, each seen by one cell of each stride."""
    rows = []
    for stride in (8, 16, 32):
        cells = np.zeros((SHAPE[0] // stride, SHAPE[1] // stride, 5 + classes), np.float32)
        for x0, y0, x1, y1, score in boxes:
            x, y = (x0 + x1) / 2 / stride, (y0 + y1) / 2 / stride
            cell = cells[int(y), int(x)]
            cell[:4] = (x % 1, y % 1, math.log((x1 - x0) / stride), math.log((y1 - y0) / stride))
            cell[4], cell[5 + label] = math.sqrt(score), math.sqrt(score)
        rows.append(cells.reshape(-1, 5 + classes))
    return {"output": np.concatenate(rows)[None]}


TWO = ((40.0, 30.0, 90.0, 180.0, 0.9), (200.0, 60.0, 260.0, 220.0, 0.6))
AS_FOUND = [[80, 60, 180, 360, 0.9], [400, 120, 520, 440, 0.6]]


def test_ssd_boxes_are_clipped_and_sorted() -> None:
    rows = np.array(
        [
            [0, 1, 0.5, 0.5, 0.5, 0.75, 1.2],
            [0, 1, 0.9, -0.1, 0.0, 0.25, 0.5],
            [0, 2, 0.9, 0.0, 0.0, 1.0, 1.0],  # another class
            [0, 1, 0.9, 0.3, 0.3, 0.3, 0.9],  # no width
            [0, 1, np.nan, 0.0, 0.0, 1.0, 1.0],
            [0, 1, 0.9, np.inf, 0.0, 1.0, 1.0],
            [-1, 0, 0, 0, 0, 0, 0],
            [0, 1, 0.9, 0.0, 0.0, 1.0, 1.0],  # left over from before
        ],
        dtype=np.float32,
    )[None, None]
    view = View(0, 0, 544 / 640, 320 / 480)
    found = detector("ssd", shape=(320, 544)).read({"detection_out": rows}, view, PICTURE)
    np.testing.assert_allclose(found, [[0, 0, 160, 240, 0.9], [320, 240, 480, 480, 0.5]], atol=1e-3)


def test_atss_boxes_are_those_of_the_class() -> None:
    boxes = np.array([[54.4, 32, 272, 320, 0.9], [0, 0, 54.4, 32, 0.8]], dtype=np.float32)
    outputs = {"boxes": boxes, "labels": np.array([1, 0], np.float32)}
    view = View(0, 0, 544 / 640, 320 / 480)
    persons = detector("atss").read(outputs, view, PICTURE)
    np.testing.assert_allclose(persons, [[64, 48, 320, 480, 0.9]], atol=1e-3)
    others = detector("atss", label=0).read(outputs, view, PICTURE)
    np.testing.assert_allclose(others, [[0, 0, 64, 48, 0.8]], atol=1e-3)


@pytest.mark.parametrize("names", [("boxes", "scores"), ("scores", "boxes")])
def test_picodet_boxes_are_told_from_scores_whichever_comes_first(names: tuple[str, str]) -> None:
    boxes = np.zeros((1, 2125, 4), np.float32)
    scores = np.zeros((1, 1, 2125), np.float32)
    for row, (*corners, score) in zip((7, 8, 900), (*TWO, TWO[0]), strict=True):
        boxes[0, row], scores[0, 0, row] = corners, score
    scores[0, 0, 900] = 0.4  # the first one once more
    outputs = {"boxes": boxes, "scores": scores}
    found = detector("picodet").read({name: outputs[name] for name in names}, VIEW, PICTURE)
    np.testing.assert_allclose(found, AS_FOUND, atol=1e-3)


@pytest.mark.parametrize("turned", [False, True])
def test_rtmdet_maps_of_all_strides_are_read_in_any_order(turned: bool) -> None:
    maps = rtmdet_maps(*TWO)
    if turned:
        maps = dict(reversed(maps.items()))
    found = detector("rtmdet").read(maps, VIEW, PICTURE)
    np.testing.assert_allclose(found, AS_FOUND, atol=1e-2)


@pytest.mark.parametrize("label", [0, 2])
def test_yolox_rows_are_read_with_their_cells(label: int) -> None:
    rows = yolox_rows(*TWO, label=label)
    found = detector("yolox", label=label).read(rows, VIEW, PICTURE)
    np.testing.assert_allclose(found, AS_FOUND, atol=1e-2)
    assert not len(detector("yolox", label=1).read(rows, VIEW, PICTURE)), "another class"


@pytest.mark.parametrize("family", ["rtmdet", "yolox", "picodet"])
@pytest.mark.parametrize("value", [0.0, -50.0, np.nan, np.inf, 3e38])
def test_nonsense_is_nobody_or_in_the_picture(family: Family, value: float) -> None:
    outputs = {
        "rtmdet": rtmdet_maps(),
        "yolox": yolox_rows(label=0),
        "picodet": {"boxes": np.zeros((1, 50, 4)), "scores": np.zeros((1, 1, 50))},
    }[family]
    broken = {name: np.full(array.shape, value, np.float32) for name, array in outputs.items()}
    with np.errstate(all="ignore"):
        found = detector(family, label=0).read(broken, VIEW, PICTURE)
    assert np.isfinite(found).all()
    assert (found[:, :4] >= 0).all()
    assert (found[:, :4] <= (640, 480, 640, 480)).all()


box = st.tuples(
    st.floats(0, 300, width=32), st.floats(0, 300, width=32),
    st.floats(2, 150, width=32), st.floats(2, 150, width=32), st.floats(0, 1, width=32),
).map(lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3], v[4]))  # fmt: skip
boxes = st.lists(box, max_size=12).map(lambda rows: np.array(rows, np.float32).reshape(-1, 5))
SLACK = 1e-4


@given(boxes, st.floats(0.2, 0.9))
def test_of_boxes_that_overlap_the_better_one_is_kept(given: np.ndarray, most: float) -> None:
    kept = suppress(given[:, :4], given[:, 4], most)
    rows = {tuple(row) for row in given.tolist()}
    assert {tuple(row) for row in kept.tolist()} <= rows
    for number, row in enumerate(kept):
        assert (iou_with(row, kept[:number]) <= most + SLACK).all()
    for row in given[given[:, 4] >= 0.051]:
        better = kept[kept[:, 4] >= row[4]]
        assert (iou_with(row, better) >= most - SLACK).any() or (better == row).all(1).any()
    again = suppress(kept[:, :4], kept[:, 4], most)
    assert {tuple(row) for row in again.tolist()} == {tuple(row) for row in kept.tolist()}


@given(boxes, boxes, st.floats(0.3, 0.9))
def test_two_looks_are_joined(one: np.ndarray, other: np.ndarray, least: float) -> None:
    fused = fuse(one, other, least)
    assert max(len(one), len(other)) <= len(fused) <= len(one) + len(other)
    assert (np.diff(fused[:, 4]) <= 0).all()
    # Nobody becomes surer, and no score is lost.
    given = np.concatenate([one, other])
    assert fused[:, 4].sum() == pytest.approx(given[:, 4].sum() / 2, abs=1e-3)
    for row in fused[fused[:, 4] > SLACK]:
        assert (row[:4] >= given[:, :4].min(0) - 1e-2).all()
        assert (row[:4] <= given[:, :4].max(0) + 1e-2).all()


@given(boxes)
def test_who_was_seen_once_only_is_half_as_sure(one: np.ndarray) -> None:
    nobody = np.zeros((0, 5), np.float32)
    for fused in (fuse(one, nobody, 0.5), fuse(nobody, one, 0.5)):
        expected = one[np.argsort(-one[:, 4], kind="stable")] * (1, 1, 1, 1, 0.5)
        sure = expected[:, 4] > SLACK
        np.testing.assert_allclose(fused[sure], expected[sure], rtol=1e-4, atol=1e-3)
    assert len(fuse(nobody, nobody, 0.5)) == 0


@given(box.filter(lambda row: row[4] > 0.01), st.floats(0.3, 0.9))
def test_who_was_seen_twice_is_as_sure_as_before(
    row: tuple[float, float, float, float, float], least: float
) -> None:
    both = np.array([row], np.float32)
    np.testing.assert_allclose(fuse(both, both, least), both, rtol=1e-4, atol=1e-2)


def test_a_box_lies_between_the_two_it_was_seen_as_nearer_to_the_surer() -> None:
    one, other = np.array([[0, 0, 100, 100, 0.9]]), np.array([[10, 0, 110, 100, 0.3]])
    fused = fuse(one.astype(np.float32), other.astype(np.float32), 0.5)
    np.testing.assert_allclose(fused, [[2.5, 0, 102.5, 100, 0.6]], rtol=1e-5)


class SeesWhite(FakeEngine):
    """Gives the box of what is white, and to the mirror image's left another one."""

    async def infer(self, tensor: Tensor) -> dict[str, Maps]:
        self.asked.append(tensor)
        rows, columns = np.nonzero(tensor[0, :, :, 0] > 128)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0.9]
        boxes = [box] if columns.mean() < 160 else [[*box[:4], 0.7], [20, 60, 80, 220, 0.6]]
        return {"boxes": np.array(boxes, np.float32), "labels": np.ones(len(boxes), np.float32)}


async def test_the_mirror_image_is_turned_back_and_joined() -> None:
    finder = detector("atss", mirror=True)
    finder.engine = SeesWhite()
    image = np.zeros((320, 640, 3), np.uint8)
    image[30:180, 80:180] = 255
    found, run = await finder.find(image, 0.1)
    expected = [[80, 30, 180, 180, 0.8], [480, 60, 600, 220, 0.3]]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert (run.runs, run.pixels) == (2, 2 * 320 * 320)
    one, other = finder.engine.asked
    np.testing.assert_array_equal(one, other[:, :, ::-1])


async def test_low_boxes_are_passed_on_as_far_as_they_are_wanted() -> None:
    outputs = {"boxes": np.array(TWO, np.float32), "labels": np.ones(2, np.float32)}
    finder = detector("atss", outputs, outputs)
    image = np.zeros((320, 320, 3), np.uint8)
    assert [len((await finder.find(image, low))[0]) for low in (0.3, 0.7)] == [2, 1]
