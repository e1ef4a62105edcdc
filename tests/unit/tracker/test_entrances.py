"""When the border was crossed, from sights on one side of it."""

from __future__ import annotations

import numpy as np
import pytest

from posewire.tracker.entrances import MOST_S, beyond_s

ASPECT = 1.5


def walk_in(speed: float, first_depth: float, *, side: str = "left") -> np.ndarray:
    """Boxes at 10 frames/s of somebody .2 wide, their inner edge ``first_depth`` deep at first."""
    inner = first_depth + speed * np.arange(8) / 10
    outer = np.maximum(inner - 0.2, 0)
    low, high = np.full(8, 0.3), np.full(8, 0.8)
    if side == "left":
        return np.stack([outer, low, inner, high], axis=1)
    if side == "right":
        return np.stack([ASPECT - inner, low, ASPECT - outer, high], axis=1)
    # From below.
    return np.stack([low, 1 - inner, high, 1 - outer], axis=1)


TIMES = [i / 10 for i in range(8)]


@pytest.mark.parametrize("side", ["left", "right", "below"])
def test_the_inner_edge_tells_when_the_border_was_crossed(side: str) -> None:
    # A tenth of .2 was in the picture .08 / .4 seconds before.
    found = beyond_s(TIMES, walk_in(0.4, 0.1, side=side), ASPECT)
    assert found == pytest.approx(0.2, abs=0.01)


def test_it_works_backwards_in_time() -> None:
    found = beyond_s([5 - t for t in TIMES], walk_in(0.4, 0.1), ASPECT)
    assert found == pytest.approx(0.2, abs=0.01)


def test_it_is_never_far_off() -> None:
    assert beyond_s(TIMES, walk_in(0.01, 0.15), ASPECT) == MOST_S


@pytest.mark.parametrize(
    "boxes",
    [
        walk_in(0.4, 0.5),  # begins in the middle
        walk_in(0.0, 0.1),  # stands at the border
        walk_in(-0.1, 0.15),  # goes the other way
        walk_in(0.4, 0.1)[:2],  # seen twice only
    ],
)
def test_without_evidence_the_first_sight_stays(boxes: np.ndarray) -> None:
    assert beyond_s(TIMES[: len(boxes)], boxes, ASPECT) == 0.0
