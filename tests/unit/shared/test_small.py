"""Redaction, backoff, skeleton conversions."""

from __future__ import annotations

import numpy as np
import pytest

from posewire.shared.backoff import Backoff
from posewire.shared.redact import redact
from posewire.shared.skeleton import (
    COCO_KEYPOINTS,
    INDEX,
    KEYPOINTS,
    LIMBS,
    from_coco,
    rel_to_px,
    to_coco,
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("rtsp://user:secret@10.0.0.8/stream", "rtsp://***@10.0.0.8/stream"),
        ("rtsp://user:p@ss@10.0.0.8/stream", "rtsp://***@10.0.0.8/stream"),
        ("http://cam/video?user=a&pwd=secret&x=1", "http://cam/video?user=***&pwd=***&x=1"),
        ("postgresql://posewire@/posewire?host=/run", "postgresql://***@/posewire?host=/run"),
        ("two http://a:b@c and redis://:secret@d", "two http://***@c and redis://***@d"),
        ("no url, but a@b.c", "no url, but a@b.c"),
    ],
)
def test_credentials_are_redacted(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_pauses_grow_to_their_bound_and_start_over() -> None:
    backoff = Backoff(first_s=0.1, most_s=1.0)
    pauses = [backoff.next_s() for _ in range(50)]
    assert 0.05 <= pauses[0] <= 0.1
    assert all(0.5 <= pause <= 1.0 for pause in pauses[4:])
    backoff.reset()
    assert backoff.next_s() <= 0.1


def test_coco_and_back() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((3, 17, 3), dtype=np.float32) + 0.1
    ours = from_coco(points)
    assert ours.shape == (3, 18, 3)
    np.testing.assert_array_equal(to_coco(ours), points)
    left = points[:, COCO_KEYPOINTS.index("l_shoulder")]
    right = points[:, COCO_KEYPOINTS.index("r_shoulder")]
    np.testing.assert_allclose(ours[:, INDEX["neck"], :2], (left + right)[:, :2] / 2, rtol=1e-6)


def test_no_neck_without_both_shoulders() -> None:
    points = np.ones((17, 3), dtype=np.float32)
    points[COCO_KEYPOINTS.index("l_shoulder")] = 0
    np.testing.assert_array_equal(from_coco(points)[INDEX["neck"]], 0)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., 17, 3\), got \(18, 3\)"):
        from_coco(np.zeros((18, 3), dtype=np.float32))


def test_limbs_connect_every_keypoint() -> None:
    assert {index for limb in LIMBS for index in limb} == set(range(len(KEYPOINTS)))


def test_relative_points_become_pixels() -> None:
    points = np.array([[0.5, 0.25, 0.9]], dtype=np.float32)
    np.testing.assert_allclose(rel_to_px(points, 640, 480), [[320, 120, 0.9]], rtol=1e-6)
