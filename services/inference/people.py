"""From boxes and skeletons to people: the two correct each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.inference.poses.paf import Skeletons
from shared.messages import Person
from shared.skeleton import INDEX, OKS_SIGMAS

Array = npt.NDArray[np.float32]

_SAME_SKELETON = 0.5
"""OKS from which two skeletons from different regions are one person's."""
_LEAST_POINTS_ALONE = 6
"""A skeleton without a box needs this many keypoints: fewer are often a piece of somebody."""
_LEAST_SCORE_ALONE = 0.35
_INSIDE = 0.6
"""Share of a skeleton's keypoints in a box that makes it the box's."""
_HEAD = [INDEX[name] for name in ("nose", "r_eye", "l_eye", "r_ear", "l_ear")]


def merge_skeletons(skeletons: Skeletons) -> Skeletons:
    """Join the skeletons of several regions: of those that are one person's the best stays.

    The best has the highest sum of keypoint scores. Points in pixels of the picture.
    """
    points, scores = skeletons.points, skeletons.scores
    order = np.argsort(-points[:, :, 2].sum(1), kind="stable")
    kept: list[int] = []
    for index in order:
        if all(oks(points[other], points[index]) < _SAME_SKELETON for other in kept):
            kept.append(int(index))
    return Skeletons(points[kept], scores[kept])


def oks(one: Array, two: Array) -> float:
    """Return the object keypoint similarity of two skeletons, shape (18, 3), pixels; 0 to 1.

    COCO's measure over the keypoints both have; the area is that of the larger skeleton's box.
    Skeletons that share fewer than two keypoints have similarity 0.
    """
    shared = (one[:, 2] > 0) & (two[:, 2] > 0)
    if shared.sum() < 2:
        return 0.0
    area = max(_extent_area(one), _extent_area(two))
    squared = ((one[shared, :2] - two[shared, :2]) ** 2).sum(1)
    spread = 2 * area * (2 * OKS_SIGMAS[shared]) ** 2
    return float(np.exp(-squared / np.maximum(spread, 1e-6)).mean())


def _extent_area(points: Array) -> float:
    seen = points[points[:, 2] > 0, :2]
    width, height = np.ptp(seen, axis=0)
    # A skeleton seen from the side or of shoulders only has next to no area of its own.
    return float(max(width * height, 0.25 * max(width, height) ** 2, 1.0))


def match_people(
    boxes: Array, skeletons: Skeletons, picture: tuple[int, int], least_score: float
) -> tuple[Person, ...]:
    """Return the people of one picture, best first.

    A skeleton in a box is that box's; a second one in the same box is another person, a box
    without a skeleton stays a person with a lower score, and a skeleton without a box becomes one
    if it has enough keypoints.

    Args:
        boxes: shape (n, 5), [x0, y0, x1, y1, score], pixels, best first; those below
            ``least_score`` count only with a skeleton or as a low score.
        skeletons: in pixels.
        picture: height and width.
        least_score: from here a box is a person.
    """
    height, width = picture
    scale = np.array([width, height, 1], dtype=np.float32)
    pairs = _pair(boxes, skeletons.points)
    skeletons = _join_pieces(boxes, skeletons, pairs)
    people = []
    for index, box in enumerate(boxes):
        mine = pairs.get(index)
        if mine is None:
            score = float(box[4]) * (0.9 if box[4] >= least_score else 0.6)
            people.append(_person(box[:4], score, None, scale))
        else:
            points = skeletons.points[mine]
            score = max(float(box[4]), _certainty(points, float(skeletons.scores[mine])))
            people.append(_person(box[:4], score, points, scale))
    taken = set(pairs.values())
    for index, points in enumerate(skeletons.points):
        if index in taken or not _stands_alone(points, float(skeletons.scores[index])):
            continue
        certainty = _certainty(points, float(skeletons.scores[index]))
        people.append(_person(box_of(points, picture), 0.9 * certainty, points, scale))
    return tuple(sorted(people, key=lambda person: -person.score))


def _join_pieces(boxes: Array, skeletons: Skeletons, pairs: dict[int, int]) -> Skeletons:
    """Add pieces to the skeleton of the box they lie in.

    All limbs hang on the neck: where it is out of sight, one person's legs are pieces apart.
    """
    points = skeletons.points.copy()
    owned = set(pairs.values())
    for piece in range(len(points)):
        has = points[piece, :, 2] > 0
        if piece in owned or has.sum() >= _LEAST_POINTS_ALONE:
            continue
        for box, mine in pairs.items():
            apart = not (has & (points[mine, :, 2] > 0)).any()
            if apart and _inside(points[piece], boxes[box]) == 1.0:
                points[mine, has] = points[piece, has]
                break
    return Skeletons(points, skeletons.scores)


def _inside(skeleton: Array, box: Array) -> float:
    """Return the share of a skeleton's keypoints in a box."""
    seen = skeleton[skeleton[:, 2] > 0, :2]
    return float(((seen >= box[:2]) & (seen <= box[2:4])).all(1).mean()) if len(seen) else 0.0


def _pair(boxes: Array, points: Array) -> dict[int, int]:
    """Pair boxes with skeletons, best pair first: {box: skeleton}."""
    candidates = []
    for i, box in enumerate(boxes):
        for j, skeleton in enumerate(points):
            seen = skeleton[skeleton[:, 2] > 0]
            inside = _inside(skeleton, box)
            if inside >= _INSIDE:
                overlap = _iou(box[:4], _tight_box(seen))
                candidates.append((inside * (0.2 + overlap), i, j))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _value, i, j in sorted(candidates, reverse=True):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def _stands_alone(points: Array, score: float) -> bool:
    return int((points[:, 2] > 0).sum()) >= _LEAST_POINTS_ALONE and score >= _LEAST_SCORE_ALONE


def _certainty(points: Array, score: float) -> float:
    """A skeleton's score as that of a person: half of the keypoints found is as sure as all."""
    return score * min(1.0, float((points[:, 2] > 0).sum()) / 9)


def box_of(points: Array, picture: tuple[int, int]) -> Array:
    """Return the box of the person with these keypoints: [x0, y0, x1, y1], in the picture.

    The keypoints' own box, with room for the top of the head above the eyes, for flesh around
    joints, and for feet below the ankles.
    """
    seen = points[points[:, 2] > 0, :2]
    x0, y0 = seen.min(0)
    x1, y1 = seen.max(0)
    size = max(x1 - x0, y1 - y0, 1.0)
    head = any(points[index, 2] > 0 for index in _HEAD)
    box = [
        x0 - 0.08 * size,
        y0 - (0.10 if head else 0.2) * size,
        x1 + 0.08 * size,
        y1 + 0.06 * size,
    ]
    limits = [picture[1], picture[0]] * 2
    return np.clip(np.array(box, dtype=np.float32), 0, limits).astype(np.float32)


def _tight_box(seen: Array) -> Array:
    return np.concatenate([seen[:, :2].min(0), seen[:, :2].max(0)])


def _iou(a: Array, b: Array) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def _person(px_box: Array, score: float, points: Array | None, scale: Array) -> Person:
    x0, y0, x1, y1 = (px_box / np.tile(scale[:2], 2)).round(5).tolist()
    keypoints: tuple[tuple[float, float, float], ...] = ()
    if points is not None:
        keypoints = tuple(map(tuple, (points / scale).astype(np.float64).round(5).tolist()))
    return Person(box=(x0, y0, x1, y1), score=round(min(score, 1.0), 4), keypoints=keypoints)
