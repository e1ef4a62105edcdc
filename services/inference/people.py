"""From boxes and skeletons to people: the two correct each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from posewire.inference.regions import Target
from posewire.inference.skeletons import Skeletons, extent, iou, oks
from posewire.shared.messages import Person
from posewire.shared.skeleton import INDEX, as_array

Array = npt.NDArray[np.float32]

_LEAST_POINTS_ALONE = 6
"""A skeleton without a box needs this many keypoints: fewer are often a piece of somebody."""
_LEAST_SCORE_ALONE = 0.35
_SAME = 0.5
"""OKS from which two skeletons of one frame are one person's."""
_INSIDE = 0.6
"""Share of a skeleton's keypoints in a box that makes it the box's."""
_AGAIN = 0.3
"""Similarity from which a skeleton is somebody's of the frame before."""
_MARGIN_X, _MARGIN_Y = 0.25, 0.10
"""Share of a box's width and height added at each side: arms and feet reach out of boxes."""
_MARGIN_SKELETON = 0.2
"""Share of a skeleton's size added around it: without a box, joints may be missing at its ends."""
_GROWTH = 1.15
"""How much larger or smaller somebody may become from one frame to the next."""
_HEAD = [INDEX[name] for name in ("nose", "r_eye", "l_eye", "r_ear", "l_ear")]


def match_people(
    boxes: Array, skeletons: Skeletons, picture: tuple[int, int], least_score: float
) -> tuple[Person, ...]:
    """Return the people of one picture, best first.

    A skeleton in a box is that box's; a second one in the same box is another person, a box
    without a skeleton stays a person with a lower score, and a skeleton without a box becomes one
    if it has enough keypoints or its network gave it a box.

    Args:
        boxes: shape (n, 5), [x0, y0, x1, y1, score], pixels, best first; those below
            ``least_score`` count only with a skeleton or as a low score.
        skeletons: in pixels.
        picture: height and width.
        least_score: from here a box is a person.
    """
    height, width = picture
    pairs = _pair(boxes, skeletons.points)
    skeletons = _join_pieces(boxes, skeletons, pairs)
    people = []
    for index, box in enumerate(boxes):
        mine = pairs.get(index)
        if mine is None:
            score = float(box[4]) * (0.9 if box[4] >= least_score else 0.6)
            people.append(person(box[:4], score, None, picture))
        else:
            points = skeletons.points[mine]
            score = max(float(box[4]), _certainty(points, float(skeletons.scores[mine])))
            people.append(person(box[:4], score, points, picture))
    taken = set(pairs.values())
    for index, points in enumerate(skeletons.points):
        score = float(skeletons.scores[index])
        if index in taken:
            continue
        if skeletons.boxes is not None:
            box = np.clip(skeletons.boxes[index], 0, [width, height] * 2)
            people.append(person(box, score, points, picture))
        elif _stands_alone(points, score):
            certainty = 0.9 * _certainty(points, score)
            people.append(person(box_of(points, picture), certainty, points, picture))
    return tuple(sorted(people, key=lambda one: -one.score))


def targets(
    people: Sequence[Person], skeletons: Skeletons, shown_px: Array, picture: tuple[int, int]
) -> list[Target]:
    """Return where to look for ``people``, who may come from an earlier frame.

    Args:
        people: those known or expected.
        skeletons, shown_px: what ``skeletons.merge`` gave for this frame so far.
        picture: height and width.
    """
    height, width = picture
    places = []
    for person in people:
        box, points = in_pixels(person, picture)
        wide, high = _MARGIN_X * (box[2] - box[0]), _MARGIN_Y * (box[3] - box[1])
        size = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0)
        place = box + np.array([-wide, -high, wide, high], np.float32)
        shown = 0.0
        if points is not None:
            seen = points[points[:, 2] > 0, :2]
            size = max(size, extent(points))
            room = _MARGIN_SKELETON * extent(points)
            place = _around(_around(place, seen - room), seen + room)
            shown = max(
                (
                    float(px)
                    for other, px in zip(skeletons.points, shown_px, strict=True)
                    if oks(other, points) >= _SAME
                ),
                default=0.0,
            )
        limits = np.array([width, height] * 2, np.float32)
        x0, y0, x1, y1 = np.clip(place, 0, limits).tolist()
        places.append(Target((x0, y0, x1, y1), size, shown, person.score))
    return places


def pair_again(
    expected: Sequence[Person], skeletons: Skeletons, picture: tuple[int, int]
) -> dict[int, int]:
    """Pair people of the frame before with skeletons of this one: {person: skeleton}."""
    candidates = []
    for i, person in enumerate(expected):
        _box, points = in_pixels(person, picture)
        if points is None:
            continue
        before = _tight_box(points[points[:, 2] > 0])
        for j, other in enumerate(skeletons.points):
            overlap = iou(before, _tight_box(other[other[:, 2] > 0]))
            likeness = max(oks(points, other), overlap)
            if likeness >= _AGAIN:
                candidates.append((likeness, i, j))
    return best_pairs(candidates)


def carry_box(box: Array, before: Array, now: Array, picture: tuple[int, int]) -> Array:
    """Return the box, [x0, y0, x1, y1], moved and scaled as the keypoints have since.

    Args:
        box: around the person when the keypoints were ``before``.
        before, now: shape (18, 3); all in pixels.
        picture: height and width; the box is clipped to it.
    """
    shared = (before[:, 2] > 0) & (now[:, 2] > 0)
    if shared.sum() < 2:
        return box_of(now, picture)
    old, new = before[shared, :2], now[shared, :2]
    centre_old, centre_new = np.median(old, axis=0), np.median(new, axis=0)
    spread_old, spread_new = np.abs(old - centre_old).mean(), np.abs(new - centre_new).mean()
    growth = np.clip(spread_new / max(spread_old, 1.0), 1 / _GROWTH, _GROWTH)
    moved = ((box.reshape(2, 2) - centre_old) * growth + centre_new).reshape(4)
    limits = np.array([picture[1], picture[0]] * 2, np.float32)
    carried: Array = np.clip(_around(moved, now[now[:, 2] > 0, :2]), 0, limits)
    return carried.astype(np.float32)


def in_pixels(person: Person, picture: tuple[int, int]) -> tuple[Array, Array | None]:
    """Return a person's box and keypoints in pixels; None where it is a box alone."""
    height, width = picture
    box = np.array(person.box, np.float32) * np.array([width, height] * 2, np.float32)
    points = as_array(person.keypoints) * np.array([width, height, 1], np.float32)
    return box, points if (points[:, 2] > 0).any() else None


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
    return Skeletons(points, skeletons.scores, skeletons.boxes)


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
                overlap = iou(box[:4], _tight_box(seen))
                candidates.append((inside * (0.2 + overlap), i, j))
    return best_pairs(candidates)


def best_pairs(candidates: list[tuple[float, int, int]]) -> dict[int, int]:
    """Choose pairs greedily, each row and column once: {row: column}."""
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


def _around(box: Array, points: Array) -> Array:
    """Grow a box so that it holds ``points``."""
    return np.concatenate([np.minimum(box[:2], points.min(0)), np.maximum(box[2:], points.max(0))])


def _tight_box(seen: Array) -> Array:
    return np.concatenate([seen[:, :2].min(0), seen[:, :2].max(0)])


def person(px_box: Array, score: float, points: Array | None, picture: tuple[int, int]) -> Person:
    """Return the person of a box, (4,), and keypoints, (18, 3), pixels of ``picture``."""
    scale = np.array([picture[1], picture[0], 1], dtype=np.float32)
    x0, y0, x1, y1 = (px_box / np.tile(scale[:2], 2)).round(5).tolist()
    keypoints: tuple[tuple[float, float, float], ...] = ()
    if points is not None and (points[:, 2] > 0).any():
        keypoints = tuple(map(tuple, (points / scale).astype(np.float64).round(5).tolist()))
    return Person(box=(x0, y0, x1, y1), score=round(min(score, 1.0), 4), keypoints=keypoints)
