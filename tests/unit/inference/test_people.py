"""Boxes and skeletons correct each other; MoveNet's outputs are read right."""

from __future__ import annotations

import numpy as np
import pytest

from posewire.inference.imaging import decode_jpeg
from posewire.inference.people import carry_box, in_pixels, match_people, pair_again, targets
from posewire.inference.poses import movenet
from posewire.inference.skeletons import Skeletons, merge, mirror, oks
from posewire.shared.skeleton import INDEX
from tests.unit.inference.test_paf import person

PICTURE = (480, 640)


def skeletons(*places: tuple[float, float, float], score: float = 0.8) -> Skeletons:
    points = np.zeros((len(places), 18, 3), dtype=np.float32)
    for row, place in enumerate(places):
        points[row, :, :2] = person(*place)
        points[row, :, 2] = score
    return Skeletons(points, np.full(len(places), score, dtype=np.float32))


def box(x: float, top: float, height: float, score: float = 0.9) -> list[float]:
    return [x - 0.2 * height, top, x + 0.2 * height, top + height, score]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32).reshape(-1, 5)


def test_a_skeleton_belongs_to_its_box() -> None:
    (found,) = match_people(boxes(box(300, 100, 200)), skeletons((300, 100, 200)), PICTURE, 0.4)
    assert found.score == pytest.approx(0.9)
    assert len(found.keypoints) == 18
    assert found.keypoints[INDEX["neck"]][:2] == pytest.approx((300 / 640, 140 / 480), abs=1e-4)


def test_a_box_without_a_skeleton_counts_for_less() -> None:
    (found,) = match_people(boxes(box(300, 100, 200)), skeletons(), PICTURE, 0.4)
    assert found.keypoints == ()
    assert found.score < 0.9


def test_a_skeleton_without_a_box_becomes_a_person() -> None:
    (found,) = match_people(boxes(), skeletons((300, 100, 200)), PICTURE, 0.4)
    x0, y0, x1, y1 = found.box
    assert x0 < 270 / 640 < 330 / 640 < x1
    assert y0 < 112 / 480 < 292 / 480 < y1


def test_two_skeletons_in_one_box_are_two_people() -> None:
    wide = boxes([200, 90, 420, 310, 0.9])
    found = match_people(wide, skeletons((260, 100, 200), (360, 100, 200)), PICTURE, 0.4)
    assert len(found) == 2
    assert all(len(p.keypoints) == 18 for p in found)


def test_a_piece_of_somebody_is_nobody() -> None:
    piece = skeletons((300, 100, 200))
    piece.points[0, 4:] = 0
    assert match_people(boxes(), piece, PICTURE, 0.4) == ()


def test_pieces_in_one_box_are_one_person() -> None:
    # Without a neck nothing connects the legs.
    pieces = skeletons((300, 100, 200), (300, 100, 200))
    pieces.points[0, [i for i in range(18) if i not in range(8, 11)]] = 0
    pieces.points[1, [i for i in range(18) if i not in range(11, 14)]] = 0
    (found,) = match_people(boxes(box(300, 100, 200)), pieces, PICTURE, 0.4)
    assert sum(score > 0 for _x, _y, score in found.keypoints) == 6


def test_skeletons_of_two_regions_are_merged() -> None:
    double = skeletons((300, 100, 200), (302, 101, 199), (500, 100, 200))
    found, shown = merge([(double, 1.0)])
    assert len(found) == 2
    np.testing.assert_allclose(shown, [170, 170], atol=12)


def test_the_look_that_shows_people_best_leads() -> None:
    # The same person, seen too small with surer points, and well.
    small, well = skeletons((300, 100, 200), score=0.9), skeletons((312, 100, 200), score=0.7)
    found, shown = merge([(small, 0.3), (well, 1.0)])
    assert len(found) == 1
    assert shown[0] == pytest.approx(170, abs=12)
    assert found.points[0, INDEX["neck"], 2] == pytest.approx(0.7)


def test_points_close_by_are_averaged_and_others_are_not() -> None:
    near, far = skeletons((300, 100, 200), (304, 100, 200)), skeletons((300, 100, 200))
    found, _shown = merge([(near, 1.0)])
    assert found.points[0, INDEX["neck"], 0] == pytest.approx(302)
    far.points[0, INDEX["r_wrist"], :2] += 60
    found, _shown = merge([(skeletons((300, 100, 200), score=0.9), 1.0), (far, 1.0)])
    expected = skeletons((300, 100, 200)).points[0, INDEX["r_wrist"], :2]
    np.testing.assert_allclose(found.points[0, INDEX["r_wrist"], :2], expected, atol=1e-3)


def test_points_that_the_leader_lacks_are_anothers() -> None:
    leader, other = skeletons((300, 100, 200), score=0.9), skeletons((301, 100, 200), score=0.5)
    leader.points[0, INDEX["l_ankle"]] = 0
    found, _shown = merge([(leader, 1.0), (other, 1.0)])
    assert len(found) == 1
    np.testing.assert_allclose(
        found.points[0, INDEX["l_ankle"]], other.points[0, INDEX["l_ankle"]], rtol=1e-5
    )


def test_mirroring_twice_changes_nothing() -> None:
    one = skeletons((300, 100, 200))
    one = Skeletons(one.points, one.scores, np.array([[260, 100, 340, 300]], np.float32))
    other = mirror(one, 640)
    assert other.points[0, INDEX["l_wrist"], 0] == 640 - one.points[0, INDEX["r_wrist"], 0]
    np.testing.assert_allclose(other.boxes, [[300, 100, 380, 300]])
    again = mirror(other, 640)
    np.testing.assert_allclose(again.points, one.points)
    np.testing.assert_allclose(again.boxes, one.boxes)


def test_people_are_looked_at_with_room_and_with_what_is_known_of_their_size() -> None:
    (somebody,) = match_people(boxes(box(300, 100, 200)), skeletons((300, 100, 200)), PICTURE, 0.4)
    nothing, shown = merge([])
    (target,) = targets([somebody], nothing, shown, PICTURE)
    x0, y0, x1, y1 = target.px_box
    assert x0 <= 250
    assert y0 <= 80
    assert x1 >= 350
    assert y1 >= 320
    assert target.px_size == pytest.approx(200, abs=1)
    assert target.shown_px == 0
    assert target.needs(176)
    known, shown = merge([(skeletons((300, 100, 200)), 0.9)])
    (target,) = targets([somebody], known, shown, PICTURE)
    assert not target.needs(176)


def test_somebody_is_found_again_after_a_step_and_their_box_goes_with_them() -> None:
    (before,) = match_people(boxes(box(300, 100, 200)), skeletons((300, 100, 200)), PICTURE, 0.4)
    now = skeletons((312, 100, 204), (500, 100, 200))
    assert pair_again([before], now, PICTURE) == {0: 0}
    px_box, points = in_pixels(before, PICTURE)
    assert points is not None
    moved = carry_box(px_box, points, now.points[0], PICTURE)
    np.testing.assert_allclose(moved, [271.2, 99.5, 352.8, 304], atol=4)


def test_nobody_is_found_again_elsewhere() -> None:
    (before,) = match_people(boxes(box(300, 100, 200)), skeletons((300, 100, 200)), PICTURE, 0.4)
    assert pair_again([before], skeletons((500, 100, 200)), PICTURE) == {}


def test_a_box_of_the_networks_own_is_the_persons() -> None:
    own = skeletons((300, 100, 200), score=0.5)
    own = Skeletons(own.points, own.scores, np.array([[250, 90, 350, 500]], np.float32))
    (found,) = match_people(boxes(), own, PICTURE, 0.4)
    assert found.box == pytest.approx((250 / 640, 90 / 480, 350 / 640, 1.0), abs=1e-4)
    assert found.score == pytest.approx(0.5)


def test_oks_is_one_for_the_same_and_falls_with_distance() -> None:
    here, near, far = skeletons((300, 100, 200), (306, 100, 200), (400, 100, 200)).points
    assert oks(here, here) == pytest.approx(1)
    assert 0.5 < oks(here, near) < 1
    assert oks(here, far) < 0.1
    assert oks(here, np.zeros_like(here)) == 0


def test_movenet_is_read_in_its_own_order() -> None:
    output = np.zeros((1, 6, 56), dtype=np.float32)
    output[0, 2, 51:] = (0.1, 0.2, 0.9, 0.6, 0.48)  # y0, x0, y1, x1, score
    output[0, 2, :51] = np.tile((0.5, 0.25, 0.9), 17)  # y, x, score
    output[0, 2, 2] = 0.1  # an unsure nose
    poses = movenet.decode(output, (200, 400), least_score=0.3, keypoint_score=0.2)
    assert not movenet.full(output, least_score=0.3)
    np.testing.assert_allclose(poses.boxes, [[80, 20, 240, 180]], rtol=1e-5)
    np.testing.assert_allclose(poses.scores, [0.8], rtol=1e-5)
    np.testing.assert_allclose(poses.points[0, INDEX["l_knee"]], [100, 100, 0.9], rtol=1e-5)
    np.testing.assert_array_equal(poses.points[0, INDEX["nose"]], 0)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_broken_pictures_are_none(data: bytes) -> None:
    assert decode_jpeg(data) is None
