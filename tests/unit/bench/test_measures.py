"""The benches' own arithmetic."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench import cameras
from bench.events import Moment, compare, read_truth
from bench.keypoint_errors import diagnose


def moments(*rows: tuple[str, float]) -> list[Moment]:
    return [Moment(kind, t, round(t * 10), f"P{n}") for n, (kind, t) in enumerate(rows)]


def test_events_are_matched_one_to_one_by_kind_and_time() -> None:
    truth = moments(("entered", 1.0), ("exited", 5.0), ("entered", 7.0))
    found = moments(("entered", 1.3), ("entered", 1.1), ("exited", 5.9))
    result = compare(truth, found, 0.8)
    assert result["precision"] == pytest.approx(1 / 3, abs=1e-3)
    assert result["recall"] == pytest.approx(1 / 3, abs=1e-3)
    wrong = " | ".join(result["wrong"])
    assert "missed   exited of P1" in wrong
    assert "invented entered of P0 at 1.30 s" in wrong
    assert compare(truth, found, 0.9)["f1"] == pytest.approx(2 / 3, abs=1e-3)


def test_nothing_reported_and_nothing_true() -> None:
    assert compare([], [], 1.0)["precision"] == 1.0
    assert compare(moments(("entered", 1.0)), [], 1.0)["recall"] == 0.0


def test_open_ends_are_the_videos(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("video,person,enter_frame,exit_frame,notes\nv,P1,,23,\nv,P2,46,,\n")
    found = [(m.kind, m.frame, m.who) for m in read_truth(path, 25.0, 71)]
    assert found == [
        ("entered", 0, "P1"), ("exited", 23, "P1"), ("entered", 46, "P2"), ("exited", 70, "P2"),
    ]  # fmt: skip


class Truth:
    """What ``diagnose`` needs of pycocotools' COCO."""

    def __init__(self, people: list[np.ndarray]) -> None:
        self.people = people

    def getImgIds(self) -> list[int]:
        return [1]

    def getAnnIds(self, imgIds: list[int]) -> list[int]:
        return list(range(len(self.people)))

    def loadAnns(self, ids: list[int]) -> list[dict[str, object]]:
        return [
            {"keypoints": p.reshape(-1), "area": 8000.0, "num_keypoints": 17, "iscrowd": 0}
            for p in self.people
        ]


def somebody(x: float) -> np.ndarray:
    rng = np.random.default_rng(3)
    points = np.concatenate([rng.uniform(0, 150, (17, 2)), np.full((17, 1), 2.0)], axis=1)
    points[:, 0] += x
    return points


def detection(points: np.ndarray) -> dict[str, object]:
    return {"image_id": 1, "keypoints": points.reshape(-1).tolist(), "score": 1.0}


def test_errors_are_told_apart() -> None:
    one, two = somebody(0), somebody(600)
    found = one.copy()
    found[9], found[10] = one[10], one[9]  # wrists inverted
    found[15] = two[15]  # an ankle swapped
    found[16] = 0  # the other one missed
    shares = diagnose(Truth([one, two]), [detection(found)])
    assert shares["inverted"] == pytest.approx(2 / 17, abs=1e-3)
    assert shares["swapped"] == pytest.approx(1 / 17, abs=1e-3)
    assert shares["missed"] == pytest.approx(1 / 17, abs=1e-3)
    assert shares["good"] == pytest.approx(13 / 17, abs=1e-3)
    assert shares["undetected"] == 0.5


def test_a_perfect_result_has_no_errors() -> None:
    one = somebody(0)
    shares = diagnose(Truth([one]), [detection(one)])
    assert shares["good"] == 1.0
    assert shares["undetected"] == 0.0


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ({0.1: 10, 0.2: 20, float("inf"): 20}, 0.5, 0.1),
        ({0.1: 0, 0.2: 20, float("inf"): 20}, 0.5, 0.15),
        ({0.1: 0, 0.2: 10, float("inf"): 20}, 0.95, 0.2),  # beyond the last bound: no more is known
    ],
)
def test_quantiles_of_a_histogram(
    counts: dict[float, float], share: float, expected: float
) -> None:
    assert cameras.quantile(counts, share) == pytest.approx(expected)


def test_nothing_measured_has_no_quantile() -> None:
    assert math.isnan(cameras.quantile({0.1: 0, float("inf"): 0}, 0.5))


def test_rates_are_of_what_came_between_two_looks() -> None:
    before, after = cameras.Snapshot(10.0), cameras.Snapshot(30.0)
    for snapshot, frames, skipped in ((before, 100, 50), (after, 300, 150)):
        snapshot.sums["posewire_inference_frames_total"] = frames
        snapshot.sums["posewire_inference_skipped_total"] = skipped
        snapshot.cpu_s["inference"] = frames / 10
        snapshot.memory["inference"] = 5e8
    found = cameras.summary(before, after)
    assert (found["examined_fps"], found["skipped"]) == (10, 0.333)
    assert found["cpu_cores"] == {"inference": 1.0}
    assert found["memory_mb"] == {"inference": 500}
