"""PicoDet and PP-TinyPose on real pictures, through the whole pipeline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewire.inference.people import in_pixels
from posewire.inference.pipeline import PersonPipeline
from posewire.inference.skeletons import iou, oks
from posewire.inference.watch import Findings
from posewire.shared.messages import Person
from posewire.shared.skeleton import from_coco
from tests.integration.inference.test_pipeline import examine, frames, jpeg, open_pipeline

__all__ = ["frames"]


async def opened(models_dir: Path, **options: object) -> PersonPipeline:
    if not (models_dir / "tinypose-256x192").is_dir():
        pytest.skip(f"no PP-TinyPose in {models_dir}")
    return await open_pipeline(model="pp-tinypose", models_dir=models_dir, **options)


@pytest.fixture
async def tinypose(models_dir: Path) -> AsyncIterator[PersonPipeline]:
    pipeline = await opened(models_dir)
    yield pipeline
    await pipeline.close()


def sure(findings: Findings) -> list[Person]:
    return [p for p in findings.persons if p.score > 0.5]


def assert_in_box(person: Person) -> None:
    """The keypoints are those of the person in the box: nearly all in it, and they fill it."""
    points = np.array([point for point in person.keypoints if point[2] > 0])
    x0, y0, x1, y1 = person.box
    room_x, room_y = 0.1 * (x1 - x0), 0.1 * (y1 - y0)
    inside = (points[:, 0] > x0 - room_x) & (points[:, 0] < x1 + room_x)
    inside &= (points[:, 1] > y0 - room_y) & (points[:, 1] < y1 + room_y)
    assert inside.mean() > 0.9
    assert np.ptp(points[:, 1]) > 0.6 * (y1 - y0)


async def test_people_are_found_with_skeletons_and_nobody_where_nobody_is(
    tinypose: PersonPipeline, frames: dict[int, bytes]
) -> None:
    assert "picodet" in tinypose.describe()
    assert "tinypose" in tinypose.describe()
    found = await examine(tinypose, frames[50])
    assert len(sure(found)) == 3
    for person in sure(found):
        assert len(person.keypoints) == 18
        assert_in_box(person)
    assert found.pose is not None
    assert found.pose.runs >= 3
    for empty in (0, 5, 229):
        findings = await examine(tinypose, frames[empty])
        assert [p for p in findings.persons if p.score > 0.4] == []
        follows = await examine(tinypose, frames[empty], t=0.15, before=findings)
        if not findings.persons:
            assert (follows.persons, follows.pose, follows.detector) == ((), None, None)


async def test_people_are_followed_without_the_detector_and_for_less(
    tinypose: PersonPipeline, frames: dict[int, bytes]
) -> None:
    first = await examine(tinypose, frames[50])
    second = await examine(tinypose, frames[51], t=0.1, before=first)
    assert second.detector is None
    assert first.pose is not None
    assert second.pose is not None
    assert second.pose.runs <= first.pose.runs
    assert len(sure(second)) == 3
    # Where the detector, run on this frame for comparison, has them; they walk with long steps.
    alone = await examine(tinypose, frames[51])
    for person in sure(second):
        assert_in_box(person)
        overlaps = [iou(np.array(person.box), np.array(p.box)) for p in alone.persons]
        assert max(overlaps) > 0.6
    third = await examine(tinypose, frames[52], t=0.2, before=second)
    assert third.detector is not None, "the detector was due"


async def test_the_detector_runs_at_once_if_somebody_is_not_found_again(
    tinypose: PersonPipeline, frames: dict[int, bytes]
) -> None:
    crowd = await examine(tinypose, frames[50])
    nobody = await examine(tinypose, frames[229], t=0.1, before=crowd)
    assert nobody.detector is not None
    assert nobody.detector.runs == 1
    assert [p for p in nobody.persons if p.score > 0.4] == []


@pytest.mark.parametrize("preset", ["fast", "accurate"])
async def test_every_preset_finds_them(
    models_dir: Path, frames: dict[int, bytes], preset: str
) -> None:
    pipeline = await opened(models_dir, preset=preset)
    found = await examine(pipeline, frames[50])
    await pipeline.close()
    assert len(sure(found)) == 3
    assert found.detector is not None
    assert found.detector.runs == (2 if preset == "accurate" else 1)


async def test_rtmdet_finds_people_for_it_too(models_dir: Path, frames: dict[int, bytes]) -> None:
    pipeline = await opened(models_dir, detector="rtmdet-nano-person")
    found = await examine(pipeline, frames[50])
    await pipeline.close()
    assert "rtmdet" in pipeline.describe()
    assert len(sure(found)) == 3
    for person in sure(found):
        assert_in_box(person)


async def test_no_more_people_are_looked_at_than_allowed(
    models_dir: Path, frames: dict[int, bytes]
) -> None:
    pipeline = await opened(models_dir, most_people=1)
    found = await examine(pipeline, frames[50])
    await pipeline.close()
    assert found.pose is not None
    assert found.pose.runs == 1
    assert len([p for p in found.persons if p.keypoints]) == 1
    assert len(found.persons) >= 3


async def test_the_same_picture_gives_the_same_answer_whatever_else_runs(
    tinypose: PersonPipeline, frames: dict[int, bytes]
) -> None:
    alone = {index: (await examine(tinypose, data)).persons for index, data in frames.items()}
    many = await asyncio.gather(*(examine(tinypose, frames[i]) for i in list(frames) * 4))
    for index, findings in zip(list(frames) * 4, many, strict=True):
        assert findings.persons == alone[index]


@pytest.mark.parametrize("size", [(1, 1), (4000, 3000), (1, 500), (700, 2)])
@pytest.mark.parametrize("everywhere", [False, True])
async def test_pictures_of_any_size(
    tinypose: PersonPipeline, size: tuple[int, int], everywhere: bool
) -> None:
    black = jpeg(np.zeros((*size, 3), dtype=np.uint8))
    before = None
    if everywhere:
        # As if somebody had been there: their crops are looked at, too.
        points = ((0.5, 0.5, 0.9),) * 18
        boxes = ((0.0, 0.0, 1.0, 1.0), (0.9, 0.9, 1.0, 1.0), (0.5, 0.0, 0.5, 1.0))
        people = tuple(Person(box=box, score=0.9, keypoints=points) for box in boxes)
        before = Findings(people, None, None, 1.0)
    findings = await examine(tinypose, black, t=0.1, before=before)
    assert findings.error is None
    assert sure(findings) == []


LARGE = 12
"""Pictures whose largest person is looked for."""


async def test_the_largest_people_of_photographs_are_found(
    tinypose: PersonPipeline, data_dir: Path
) -> None:
    labels = data_dir / "coco" / "keypoints_dev.json"
    if not labels.is_file():
        pytest.skip(f"no {labels}")
    told = json.loads(labels.read_text())
    names = {image["id"]: image["file_name"] for image in told["images"]}
    largest = {}
    for person in told["annotations"]:
        if person["num_keypoints"] >= 12 and not person["iscrowd"]:
            before = largest.get(person["image_id"])
            if before is None or before["area"] < person["area"]:
                largest[person["image_id"]] = person
    chosen = sorted(largest.values(), key=lambda person: -person["area"])[:LARGE]
    assert len(chosen) == LARGE
    found = 0
    for person in chosen:
        data = (data_dir / "coco" / "images" / names[person["image_id"]]).read_bytes()
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        points = np.array(person["keypoints"], np.float32).reshape(17, 3)
        points[:, 2] = points[:, 2] > 0
        points = from_coco(points)
        x, y, width, height = person["bbox"]
        box = np.array([x, y, x + width, y + height])
        for other in sure(await examine(tinypose, data)):
            their_box, theirs = in_pixels(other, image.shape[:2])
            if theirs is not None and iou(box, their_box) > 0.5 and oks(points, theirs) > 0.5:
                found += 1
                break
    assert found >= LARGE - 2
