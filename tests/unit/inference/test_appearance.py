"""Colours of torso and legs."""

from __future__ import annotations

import numpy as np
import pytest

from posewire.inference.appearance import PART, SIZE, describe, dressed
from posewire.shared.messages import Keypoint, Person
from posewire.shared.skeleton import INDEX
from posewire.tracker.association import alike, look

BOX = (0.4, 0.1, 0.6, 0.9)


def scene(
    torso: tuple[int, int, int], legs: tuple[int, int, int], light: float = 1.0
) -> np.ndarray:
    """A grey picture, 200 x 200, with somebody in the middle; colours in BGR."""
    image = np.full((200, 200, 3), 128, np.float64)
    image[40:105, 80:120] = torso
    image[105:180, 80:120] = legs
    noise = np.random.default_rng(0).normal(0, 6, image.shape)
    return np.clip(image * light + noise, 0, 255).astype(np.uint8)


def skeleton(dx: float = 0.0) -> tuple[Keypoint, ...]:
    points: list[Keypoint] = [(0.0, 0.0, 0.0)] * 18
    for name, x, y in (
        ("r_shoulder", 0.44, 0.25), ("l_shoulder", 0.56, 0.25), ("r_hip", 0.46, 0.5),
        ("l_hip", 0.54, 0.5), ("r_knee", 0.46, 0.7), ("l_knee", 0.54, 0.7),
    ):  # fmt: skip
        points[INDEX[name]] = (x + dx, y, 0.9)
    return tuple(points)


def likeness(one: np.ndarray, two: np.ndarray, *persons: Person) -> float:
    first, second = persons if len(persons) == 2 else (persons[0], persons[0])
    looks = look([*describe(one, (first,)), *describe(two, (second,))])
    return float(alike(looks[:1], looks[1:])[0, 0])


RED, BLUE, BLACK, GREEN = (30, 30, 200), (180, 60, 30), (20, 20, 20), (40, 150, 40)
POSED = Person(box=BOX, score=0.9, keypoints=skeleton())
BARE = Person(box=BOX, score=0.9)


@pytest.mark.parametrize("person", [POSED, BARE])
def test_the_same_clothes_are_alike_and_others_are_not(person: Person) -> None:
    assert likeness(scene(RED, BLUE), scene(RED, BLUE, 0.9), person) > 0.5
    assert likeness(scene(RED, BLUE), scene(GREEN, BLACK), person) == -1
    assert likeness(scene(RED, BLUE), scene(BLUE, RED), person) == -1


def test_with_and_without_a_skeleton_it_is_nearly_the_same() -> None:
    assert likeness(scene(RED, BLUE), scene(RED, BLUE), POSED, BARE) > 0.5


def test_somebody_seen_from_the_side_has_a_width() -> None:
    points = list(skeleton())
    for name in ("r_shoulder", "l_shoulder", "r_hip", "l_hip", "r_knee", "l_knee"):
        points[INDEX[name]] = (0.5, points[INDEX[name]][1], 0.9)
    person = Person(box=BOX, score=0.9, keypoints=tuple(points))
    assert likeness(scene(RED, BLUE), scene(RED, BLUE), POSED, person) > 0.5


def test_parts_out_of_the_picture_are_not_known() -> None:
    outside = Person(box=(0.9, 0.1, 1.0, 0.9), score=0.9, keypoints=skeleton(dx=0.6))
    (found,) = describe(scene(RED, BLUE), (outside,))
    assert found == bytes(SIZE)
    assert likeness(scene(RED, BLUE), scene(GREEN, BLACK), POSED, outside) == 0
    points = list(skeleton())
    for name in ("r_knee", "l_knee"):
        x, y, score = points[INDEX[name]]
        points[INDEX[name]] = (x, y + 2, score)
    low = Person(box=(0.4, 0.6, 0.6, 1.4), score=0.9, keypoints=tuple(points))
    (found,) = describe(scene(RED, BLUE), (low,))
    assert any(found[:PART])
    assert not any(found[PART:])
    # A box that the border cuts off does not tell by itself where the torso is.
    alone = Person(box=(0.4, 0.6, 0.6, 1.0), score=0.9)
    assert describe(scene(RED, BLUE), (alone,)) == (bytes(SIZE),)


def test_nobody_has_no_appearance() -> None:
    assert describe(scene(RED, BLUE), ()) == ()
    assert (
        dressed(scene(RED, BLUE), (POSED,))[0].appearance == describe(scene(RED, BLUE), (POSED,))[0]
    )


def test_appearances_of_another_program_are_not_known() -> None:
    looks = look([b"abcdef", b"xy", b""])
    assert looks.shape == (3, 2, 3)
    assert not looks[1:].any()
    assert (alike(looks[:1], looks[1:]) == 0).all()
