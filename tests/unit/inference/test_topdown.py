"""Top-down: who is one person, who is followed, and when the detector is sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewire.inference.detector import Detector
from posewire.inference.engines import model_run
from posewire.inference.estimator import Estimate, PoseEstimator
from posewire.inference.finder import Found, Prior
from posewire.inference.imaging import Image
from posewire.inference.presets import TOP_DOWN, TopDownEffort, top_down_effort
from posewire.inference.registry import ModelSpec
from posewire.inference.skeletons import iou, oks, oks_with
from posewire.inference.topdown import TopDownFinder, certainty
from posewire.shared.messages import ModelRun, Person
from posewire.shared.settings import InferenceSettings
from tests.unit.inference.test_detections import FakeEngine
from tests.unit.inference.test_paf import person

PICTURE = (480, 640)
IMAGE = np.zeros((*PICTURE, 3), np.uint8)
EFFORT = TopDownEffort(0.5, 16, 1.0, mirror=False)
LEAST = 0.5
_SPEC = ModelSpec("fake", "heatmap-topdown", "FP32", (), "none", 0.0)

Row = tuple[float, float, float, float, float]


@dataclass
class Scene:
    """Who stands where, what the detector says about it, and what was asked of the networks."""

    people: list[tuple[float, float, float]] = field(default_factory=list)
    """x, top and height of each; the pose network sees these and no others."""
    boxes: list[Row] = field(default_factory=list)
    """What the detector gives."""
    detections: int = 0
    looks: list[int] = field(default_factory=list)
    """People in each call of the pose network."""
    sureness: float = 0.8

    def show(self, *places: tuple[float, float, float]) -> None:
        """Let people stand in these places, and the detector see all of them."""
        self.people, self.boxes = list(places), [around(*place) for place in places]


def around(x: float, top: float, height: float, score: float = 0.9) -> Row:
    """Return the box of somebody, a little larger than their keypoints."""
    points = person(x, top, height)
    (x0, y0), (x1, y1) = points.min(0) - 0.08 * height, points.max(0) + 0.06 * height
    return float(x0), float(y0), float(x1), float(y1), score


class SceneDetector(Detector):
    """Gives the boxes of a scene."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(FakeEngine(), _SPEC, LEAST)
        self._scene = scene

    async def find(self, image: Image, low_score: float) -> tuple[np.ndarray, ModelRun]:
        self._scene.detections += 1
        boxes = np.array(sorted(self._scene.boxes, key=lambda b: -b[4]), np.float32).reshape(-1, 5)
        return boxes[boxes[:, 4] >= low_score], model_run(self.engine, 0.001, 1, 100)


class SceneEstimator(PoseEstimator):
    """Sees, in every box, who stands nearest to its middle and has it in the box."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(FakeEngine(), _SPEC, mirror=False)
        self._scene = scene

    async def estimate(self, image: Image, boxes: np.ndarray) -> Estimate:
        self._scene.looks.append(len(boxes))
        points = np.zeros((len(boxes), 18, 3), np.float32)
        for row, box in enumerate(boxes):
            middle = (box[:2] + box[2:4]) / 2
            # A network places every point, whether it shows or not.
            points[row] = [*middle, 0.03]
            people = [person(*place) for place in self._scene.people]
            inside = [
                p for p in people if (abs(p.mean(0) - middle) <= (box[2:4] - box[:2]) / 2).all()
            ]
            if inside:
                nearest = min(inside, key=lambda p: float(np.hypot(*(p.mean(0) - middle))))
                points[row, :, :2], points[row, :, 2] = nearest, self._scene.sureness
        run = model_run(self.engine, 0.001, len(boxes), 10 * len(boxes)) if len(boxes) else None
        return Estimate(points, run, 0.0)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def finder(scene: Scene, effort: TopDownEffort = EFFORT) -> TopDownFinder:
    return TopDownFinder(effort, LEAST, 0.2, SceneEstimator(scene), SceneDetector(scene))


async def first(scene: Scene, effort: TopDownEffort = EFFORT) -> Found:
    frame = await finder(scene, effort).prepare(IMAGE, 0.0, None)
    return await frame.find(None)


async def following(
    scene: Scene, before: Found, effort: TopDownEffort = EFFORT, t: float = 0.1
) -> Found:
    frame = await finder(scene, effort).prepare(IMAGE, t, t - 0.1)
    return await frame.find(Prior(before.persons))


def sure(found: Found) -> list[Person]:
    return [p for p in found.persons if p.score >= LEAST]


def in_px(person: Person) -> np.ndarray:
    return np.array(person.box) * np.tile(PICTURE[::-1], 2)


ONE, TWO, THREE = (120, 100, 250), (320, 110, 240), (520, 90, 260)


async def test_everybody_the_detector_finds_has_a_skeleton(scene: Scene) -> None:
    scene.show(ONE, TWO, THREE)
    found = await first(scene)
    assert len(found.persons) == 3
    assert all(len(p.keypoints) == 18 for p in found.persons)
    assert [p.score for p in found.persons] == sorted(
        (p.score for p in found.persons), reverse=True
    )
    assert found.detector is not None
    assert found.pose is not None
    assert scene.detections == 1


async def test_two_boxes_that_nearly_cover_each_other_are_one_person(scene: Scene) -> None:
    x0, y0, x1, y1, _score = around(*ONE)
    scene.show(ONE)
    scene.boxes = [(x0, y0, x1, y1, 0.9), (x0 + 8, y0 + 10, x1 + 8, y1, 0.7)]
    assert iou(*np.array(scene.boxes)) > 0.7
    found = await first(scene)
    assert len(found.persons) == 1
    assert in_px(found.persons[0]) == pytest.approx((x0, y0, x1, y1), abs=0.01)


async def test_who_is_hidden_behind_another_has_a_box_without_a_skeleton(scene: Scene) -> None:
    scene.show(ONE)
    x0, y0, x1, y1, _score = around(*ONE)
    beside = (x0 + 0.35 * (x1 - x0), y0 - 15, x1 + 0.35 * (x1 - x0), y1 - 15, 0.8)
    scene.boxes = [(x0, y0, x1, y1, 0.9), beside]
    assert iou(*np.array(scene.boxes)) < 0.55
    found = await first(scene)
    shown, hidden = found.persons
    assert len(shown.keypoints) == 18
    assert hidden.keypoints == ()
    assert in_px(hidden) == pytest.approx(beside[:4], abs=0.01)
    assert 0 < hidden.score < shown.score


async def test_people_side_by_side_stay_two(scene: Scene) -> None:
    scene.show(ONE, (ONE[0] + 60, ONE[1], ONE[2]))
    found = await first(scene)
    assert len(found.persons) == 2
    assert all(p.keypoints for p in found.persons)


async def test_a_box_that_shows_nobody_is_doubted(scene: Scene) -> None:
    scene.show(ONE)
    scene.boxes.append(around(*THREE, score=0.45))
    assert len(sure(await first(scene))) == 1
    # With a skeleton in it the same box is somebody.
    scene.people.append(THREE)
    assert len(sure(await first(scene))) == 2


async def test_boxes_below_the_share_are_not_looked_at(scene: Scene) -> None:
    scene.show(ONE, TWO)
    scene.boxes = [around(*ONE), around(*TWO, score=0.3)]
    await first(scene, replace(EFFORT, box_share=0.7))
    assert scene.looks == [1]
    scene.looks.clear()
    await first(scene, replace(EFFORT, box_share=0.5))
    assert scene.looks == [2]


@pytest.mark.parametrize(("dx", "dy"), [(12, 0), (-9, 6), (0, 14)])
async def test_a_box_goes_with_the_keypoints_without_the_detector(
    scene: Scene, dx: float, dy: float
) -> None:
    scene.show(ONE, TWO)
    found = await first(scene)
    start = {round(in_px(p)[0]): in_px(p) for p in found.persons}
    for step in range(1, 6):
        scene.people = [(x + step * dx, top + step * dy, h) for x, top, h in (ONE, TWO)]
        found = await following(scene, found, t=0.1 * step)
        assert found.detector is None
        assert len(found.persons) == 2
    moved = sorted((in_px(p) for p in found.persons), key=lambda box: float(box[0]))
    for before, now in zip([start[key] for key in sorted(start)], moved, strict=True):
        np.testing.assert_allclose(now, before + 5 * np.array([dx, dy, dx, dy]), atol=3)
    assert scene.detections == 1


async def test_the_detector_runs_when_it_is_due(scene: Scene) -> None:
    scene.show(ONE)
    found = await first(scene)
    ran = []
    for step in range(1, 21):
        found = await following(scene, found, replace(EFFORT, detect_every_s=0.5), t=step / 10)
        ran.append(found.detector is not None)
    assert ran == [False, False, False, False, True] * 4


@pytest.mark.parametrize("due", [False, True])
async def test_somebody_lost_sends_the_detector_once(scene: Scene, due: bool) -> None:
    scene.show(ONE, TWO)
    before = await first(scene)
    scene.show(ONE)
    scene.detections = 0
    effort = replace(EFFORT, detect_every_s=0.1) if due else EFFORT
    found = await following(scene, before, effort)
    assert scene.detections == 1
    assert found.detector is not None
    assert len(sure(found)) == 1
    assert in_px(found.persons[0]) == pytest.approx(around(*ONE)[:4], abs=2)


async def test_a_skeleton_that_does_not_vouch_sends_the_detector(scene: Scene) -> None:
    scene.show(ONE)
    before = await first(scene)
    scene.sureness = 0.25
    scene.detections = 0
    found = await following(scene, before)
    assert scene.detections == 1
    assert len(found.persons) == 1, "the box vouches instead"


async def test_who_has_only_an_unsure_skeleton_and_no_box_fades(scene: Scene) -> None:
    scene.show(ONE)
    before = await first(scene)
    scene.sureness, scene.boxes = 0.25, []
    assert sure(await following(scene, before)) == []
    # A sure skeleton without a box stays somebody, though a less certain one.
    scene.sureness = 0.8
    (kept,) = sure(await following(scene, before, t=1.0))
    assert kept.score < before.persons[0].score


async def test_who_went_far_is_found_by_the_detector(scene: Scene) -> None:
    scene.show(ONE)
    before = await first(scene)
    scene.show(THREE)
    scene.detections = 0
    found = await following(scene, before)
    assert scene.detections == 1
    assert len(sure(found)) == 1
    assert in_px(sure(found)[0]) == pytest.approx(around(*THREE)[:4], abs=0.1)


async def test_two_who_walk_onto_one_skeleton_send_the_detector(scene: Scene) -> None:
    scene.show(ONE, (ONE[0] + 80, ONE[1], ONE[2]))
    before = await first(scene)
    assert len(before.persons) == 2
    # One of them is hidden now; the detector sees both.
    together = (ONE[0] + 40, ONE[1], ONE[2])
    scene.people = [together]
    x0, y0, x1, y1, _score = around(*together)
    scene.boxes = [(x0, y0, x1, y1, 0.95), (x0 - 45, y0, x1 - 45, y1, 0.9)]
    scene.detections = 0
    found = await following(scene, before)
    assert scene.detections == 1
    assert sorted(len(p.keypoints) for p in sure(found)) == [0, 18]


async def test_who_is_a_box_alone_has_the_detector_look_again(scene: Scene) -> None:
    scene.show(ONE)
    scene.people = []
    before = await first(scene)
    assert [p.keypoints for p in before.persons] == [()] or not before.persons
    alone = Found((Person(box=(0.1, 0.2, 0.3, 0.8), score=0.8),), None, None, 0.0)
    scene.detections = 0
    await following(scene, alone)
    assert scene.detections == 1


async def test_an_empty_picture_costs_nothing_until_the_detector_is_due(scene: Scene) -> None:
    nobody = await first(scene)
    assert nobody.persons == ()
    assert nobody.pose is None
    found = await following(scene, nobody)
    assert (found.persons, found.detector, found.pose) == ((), None, None)


@pytest.mark.parametrize("most", [1, 2, 4])
async def test_no_more_people_are_looked_at_than_allowed(scene: Scene, most: int) -> None:
    places = [(60 + 85 * n, 100, 200) for n in range(7)]
    scene.show(*places)
    scene.boxes = [around(*p, score=0.95 - 0.01 * n) for n, p in enumerate(places)]
    found = await first(scene, replace(EFFORT, most_people=most))
    assert max(scene.looks) <= most
    assert len(found.persons) == 7
    with_skeleton = [p for p in found.persons if p.keypoints]
    assert len(with_skeleton) == most
    # The surest are looked at.
    expected = sorted(around(*place)[0] for place in places[:most])
    assert sorted(in_px(p)[0] for p in with_skeleton) == pytest.approx(expected, abs=0.1)


async def test_a_frame_examined_again_gives_the_same_people(scene: Scene) -> None:
    scene.show(ONE, TWO, THREE)
    before = await first(scene)
    scene.people = [(x + 9, top, height) for x, top, height in (ONE, TWO)]
    scene.boxes = [around(*place) for place in scene.people]
    for t in (0.1, 1.0):
        once = await following(scene, before, t=t)
        again = await following(scene, before, t=t)
        assert once.persons == again.persons
        assert (once.detector is None) == (again.detector is None)
    assert (await first(scene)).persons == (await first(scene)).persons


async def test_preparing_looks_at_nothing_that_needs_the_frame_before(scene: Scene) -> None:
    scene.show(ONE)
    await finder(scene).prepare(IMAGE, 0.1, 0.0)
    assert (scene.detections, scene.looks) == (0, [])
    await finder(scene).prepare(IMAGE, 1.0, 0.9)
    assert (scene.detections, scene.looks) == (1, [1])


unit = st.floats(0, 1)


@given(box=unit, other_box=unit, shown=unit, other_shown=unit)
def test_certainty_rises_with_both_scores_and_stays_a_score(
    box: float, other_box: float, shown: float, other_shown: float
) -> None:
    boxes = np.array([min(box, other_box), max(box, other_box)] * 2, np.float32)
    keypoints = np.array([min(shown, other_shown)] * 2 + [max(shown, other_shown)] * 2, np.float32)
    scores = certainty(boxes, keypoints)
    assert ((scores >= 0) & (scores < 1)).all()
    assert scores[0] <= scores[1] <= scores[3]
    assert scores[0] <= scores[2] <= scores[3]


def test_certainty_at_the_ends() -> None:
    ends = np.array([0, 1], np.float32)
    low, high = certainty(ends, ends)
    assert low == pytest.approx(0, abs=1e-3)
    assert high == pytest.approx(0.99)
    assert len(certainty(ends[:0], ends[:0])) == 0


def skeleton(x: float, top: float, height: float, score: float = 0.8) -> np.ndarray:
    points = person(x, top, height)
    return np.concatenate([points, np.full((18, 1), score, np.float32)], axis=1).astype(np.float32)


heights = st.floats(40, 300)


@given(st.floats(-60, 60), st.floats(-60, 60), heights)
def test_oks_with_is_that_of_equally_sure_skeletons(dx: float, dy: float, height: float) -> None:
    one, other = skeleton(300, 100, height), skeleton(300 + dx, 100 + dy, height)
    many = np.stack([other, one])
    # Far below a pixel's precision both are rounded alike.
    assert oks_with(one, many) == pytest.approx([oks(one, other), 1], abs=1e-4)


def test_points_of_which_one_is_unsure_say_little() -> None:
    one, other = skeleton(300, 100, 200), skeleton(300, 100, 200)
    other[8:, 0] += 500
    far = oks_with(one, other[None])[0]
    other[8:, 2] = 0.01
    assert oks_with(one, other[None])[0] > 0.97 > far


def test_without_points_nobody_is_like_another() -> None:
    one = skeleton(300, 100, 200)
    nobody = np.zeros_like(one)
    assert oks_with(one, nobody[None]).tolist() == [0]
    assert oks_with(nobody, one[None]).tolist() == [0]
    assert oks_with(one, np.zeros((0, 18, 3), np.float32)).shape == (0,)


def test_settings_change_a_top_down_preset() -> None:
    assert top_down_effort(InferenceSettings()) == TOP_DOWN["balanced"]
    changed = top_down_effort(
        InferenceSettings(preset="fast", most_people=3, mirror=True, detect_every_s=0)
    )
    assert changed == replace(TOP_DOWN["fast"], most_people=3, mirror=True, detect_every_s=0)


def test_top_down_presets_are_in_order_of_effort() -> None:
    fast, balanced, accurate = (TOP_DOWN[name] for name in ("fast", "balanced", "accurate"))
    for less, more in ((fast, balanced), (balanced, accurate)):
        assert less.box_share > more.box_share
        assert less.most_people < more.most_people
        assert less.detect_every_s > more.detect_every_s
        assert less.mirror <= more.mirror
