"""The overlay's JSON and its drawing."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from posewire.api.overlay import Overlay, encode_end, encode_update, schemas
from posewire.shared.messages import FrameHeader, ModelRun, SessionEnd, TrackedPerson, TrackUpdate
from posewire.shared.overlay import draw, header_parts
from posewire.shared.skeleton import COLOURS, INDEX, LIMBS

FRAME = FrameHeader(
    camera="main", session="s1", seq=7, t=0.7, captured_at=1_700_000_000.7, width=768, height=432,
    source="demo",
)  # fmt: skip
KEYPOINTS = tuple((0.5, 0.2 + 0.03 * i, 0.9) for i in range(18))


def person(track: int = 3, visit: int | None = 2, **changes: object) -> TrackedPerson:
    values = {
        "track": track, "visit": visit, "box": (0.41234567, 0.3, 0.6, 0.9), "score": 0.87654,
        "keypoints": KEYPOINTS, "dwell_s": 1.234,
    }  # fmt: skip
    return TrackedPerson(**(values | changes))  # type: ignore[arg-type]


def run(model: str, ms: float = 5.0, precision: str = "FP16-INT8") -> ModelRun:
    return ModelRun(model=model, precision=precision, device="CPU", ms=ms)


def update(*persons: TrackedPerson, **changes: object) -> TrackUpdate:
    values = {"frame": FRAME, "frame_id": "1-0", "persons": persons, "people": len(persons)}
    return TrackUpdate(**(values | changes))  # type: ignore[arg-type]


def test_an_update_becomes_compact_json() -> None:
    message = json.loads(encode_update(update(person(), detector=run("d"), inference_ms=5.5), 9.96))
    assert message["type"] == "overlay"
    assert (message["session"], message["seq"]) == ("s1", 7)
    assert message["captured_at"] == "2023-11-14T22:13:20.700000Z"
    assert message["persons"][0]["box"] == [0.4123, 0.3, 0.6, 0.9]
    assert message["persons"][0]["keypoints"][1] == [0.5, 0.23, 0.9]
    assert message["detector"] == {
        "model": "d", "precision": "FP16-INT8", "device": "CPU", "ms": 5.0
    }  # fmt: skip
    assert message["pose"] is None
    assert message["fps"] == 10.0


def test_what_is_sent_fits_the_published_schema() -> None:
    text = encode_update(update(person(), person(4, None, keypoints=())), 0.0)
    decoded = msgspec.json.decode(text, type=Overlay)
    assert [p.track for p in decoded.persons] == [3, 4]
    published = schemas("#/components/schemas/{name}")
    assert set(json.loads(text)) == set(published["Overlay"]["properties"])


def test_the_end_of_a_session_is_told_apart() -> None:
    end = SessionEnd(camera="main", session="s1", frames=8, t=0.8, captured_at=0.0, reason="failed")
    message = json.loads(encode_end(end))
    assert (message["type"], message["frames"], message["reason"]) == ("session_end", 8, "failed")


def test_header_names_people_time_device_rate_and_models() -> None:
    parts = header_parts(
        update(person(), detector=run("find"), pose=run("pose"), inference_ms=12.34), 24.96
    )
    assert parts == ["people 1", "12.3 ms", "CPU", "25.0 fps", "find + pose FP16-INT8"]


def test_header_tells_precisions_apart() -> None:
    parts = header_parts(update(detector=run("a"), pose=run("b", precision="FP32")))
    assert parts[-1] == "a FP16-INT8 + b FP32"


def test_box_skeleton_and_number_are_drawn_in_the_colour_of_the_track() -> None:
    image = np.full((480, 640, 3), 60, np.uint8)
    draw(image, update(person(3)))
    red, green, blue = COLOURS[3]

    def has(x: float, y: float) -> bool:
        px_x, px_y = round(x * 640), round(y * 480)
        near = image[px_y - 3 : px_y + 4, px_x - 3 : px_x + 4].reshape(-1, 3).astype(int)
        return bool((np.abs(near - (blue, green, red)).sum(axis=1) < 30).any())

    assert has(0.6, 0.7), "the box's right edge"
    first, second = LIMBS[0]
    middle = (KEYPOINTS[first][1] + KEYPOINTS[second][1]) / 2
    assert has(0.5, middle + 0.004), "a limb"
    assert has(0.42, 0.28), "the tag above the box"
    assert image[: 480 // 30].mean() < 40, "the header's band is dark"


def test_missing_keypoints_draw_no_limbs() -> None:
    keypoints = [(0.0, 0.0, 0.0)] * 18
    keypoints[INDEX["neck"]] = (0.5, 0.5, 0.9)
    plain, lone = np.zeros((480, 640, 3), np.uint8), np.zeros((480, 640, 3), np.uint8)
    draw(plain, update(person(keypoints=())))
    draw(lone, update(person(keypoints=tuple(keypoints))))
    ys, xs = np.nonzero((plain != lone).any(axis=2))
    assert len(ys) > 0
    assert abs(ys - 240).max() < 8
    assert abs(xs - 320).max() < 8


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (40, 30), (2160, 3840)])
def test_any_size_can_be_drawn_on(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    draw(image, update(person(), detector=run("d")), fps=25.0)
    assert image.any() or min(shape) < 8


@pytest.mark.parametrize("box", [(-5.0, -5.0, 9.0, 9.0), (0.5, 0.5, 0.5, 0.5), (float("nan"),) * 4])
def test_strange_boxes_do_not_hurt(box: tuple[float, ...]) -> None:
    draw(np.zeros((120, 160, 3), np.uint8), update(person(box=box)))


def test_nearer_people_are_drawn_over_farther_ones() -> None:
    near, far = person(1, keypoints=()), person(2, box=(0.41, 0.2, 0.6, 0.6), keypoints=())
    images = [np.zeros((480, 640, 3), np.uint8) for _ in range(2)]
    for image, people in zip(images, ((near, far), (far, near)), strict=True):
        draw(image, update(*people))
    assert all((a == b).all() for a, b in pairwise(images))
