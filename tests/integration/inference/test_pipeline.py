"""The real pipeline on real pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewire.inference.finder import Prior
from posewire.inference.pipeline import PersonPipeline
from posewire.inference.registry import MOVENET
from posewire.inference.watch import Findings
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings
from tests.pictures import declaring

CLIP = Path(__file__).resolve().parents[3] / "services" / "capture" / "assets" / "people.mp4"


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


async def examine(
    pipeline: PersonPipeline, data: bytes, t: float = 0.0, before: Findings | None = None
) -> Findings:
    prepared = await pipeline.prepare(data, t, None if before is None else t - 0.1)
    assert prepared is not None
    return await pipeline.examine(prepared, None if before is None else Prior(before.persons))


@pytest.fixture(scope="module")
def frames() -> dict[int, bytes]:
    """Frames of the sample clip: empty ones, one person, three people."""
    reader = cv2.VideoCapture(str(CLIP))
    pictures = {}
    for index in range(230):
        found, image = reader.read()
        assert found
        if index in (0, 5, 18, 50, 51, 52, 229):
            pictures[index] = jpeg(image)
    return pictures


async def open_pipeline(**options: object) -> PersonPipeline:
    try:
        return await PersonPipeline.open(InferenceSettings(device="CPU", **options))
    except ModelError as error:
        pytest.skip(f"no models here: {error}")


@pytest.fixture
async def zoo(models_dir: Path) -> AsyncIterator[PersonPipeline]:
    pipeline = await open_pipeline(model="openvino-zoo", models_dir=models_dir)
    yield pipeline
    await pipeline.close()


@pytest.fixture
async def movenet() -> AsyncIterator[PersonPipeline]:
    pipeline = await open_pipeline(model=MOVENET)
    yield pipeline
    await pipeline.close()


async def test_people_are_found_with_skeletons_and_nobody_where_nobody_is(
    zoo: PersonPipeline, frames: dict[int, bytes]
) -> None:
    found = await examine(zoo, frames[50])
    assert len([p for p in found.persons if p.score > 0.5]) == 3
    assert all(len(p.keypoints) == 18 for p in found.persons if p.score > 0.5)
    assert found.detector is not None
    assert found.pose is not None
    assert found.pose.device == "CPU"
    assert found.pose.ms > 0
    for empty in (0, 5, 229):
        findings = await examine(zoo, frames[empty])
        assert [p for p in findings.persons if p.score > 0.4] == []
        follows = await examine(zoo, frames[empty], t=0.15, before=findings)
        assert follows.persons == findings.persons == ()
        assert follows.pose is None, "the pose network ran on an empty frame"
        assert follows.detector is None, "the detector ran though it was not due"


async def test_people_are_followed_without_the_detector_and_for_less(
    zoo: PersonPipeline, frames: dict[int, bytes]
) -> None:
    first = await examine(zoo, frames[50])
    second = await examine(zoo, frames[51], t=0.1, before=first)
    assert second.detector is None
    assert second.pose is not None
    assert first.pose is not None
    assert second.pose.pixels < first.pose.pixels
    assert len([p for p in second.persons if p.score > 0.5]) == 3
    third = await examine(zoo, frames[52], t=0.2, before=second)
    assert third.detector is not None, "the detector was due"


async def test_the_detector_runs_at_once_if_somebody_is_not_found_again(
    zoo: PersonPipeline, frames: dict[int, bytes]
) -> None:
    crowd = await examine(zoo, frames[50])
    nobody = await examine(zoo, frames[229], t=0.1, before=crowd)
    assert nobody.detector is not None
    assert [p for p in nobody.persons if p.score > 0.4] == []


@pytest.mark.parametrize("preset", ["fast", "accurate"])
async def test_every_preset_finds_them(
    models_dir: Path, frames: dict[int, bytes], preset: str
) -> None:
    pipeline = await open_pipeline(models_dir=models_dir, preset=preset)
    found = await examine(pipeline, frames[50])
    await pipeline.close()
    assert len([p for p in found.persons if p.score > 0.5]) == 3


async def test_movenet_finds_them_too(movenet: PersonPipeline, frames: dict[int, bytes]) -> None:
    found = await examine(movenet, frames[50])
    assert len([p for p in found.persons if p.score > 0.5]) == 3
    assert found.detector is None
    assert found.pose is not None
    assert [p for p in (await examine(movenet, frames[0])).persons if p.score > 0.4] == []


async def test_the_same_picture_gives_the_same_answer_whatever_else_runs(
    zoo: PersonPipeline, frames: dict[int, bytes]
) -> None:
    alone = {index: (await examine(zoo, data)).persons for index, data in frames.items()}
    many = await asyncio.gather(*(examine(zoo, frames[i]) for i in list(frames) * 4))
    for index, findings in zip(list(frames) * 4, many, strict=True):
        assert findings.persons == alone[index]


@pytest.mark.parametrize("size", [(1, 1), (7680, 7680), (1, 500), (700, 2)])
async def test_pictures_of_any_size(zoo: PersonPipeline, size: tuple[int, int]) -> None:
    findings = await examine(zoo, jpeg(np.zeros((*size, 3), dtype=np.uint8)))
    assert findings.error is None
    assert [p for p in findings.persons if p.score > 0.5] == []


async def test_a_broken_picture_is_told(zoo: PersonPipeline, frames: dict[int, bytes]) -> None:
    huge = declaring(frames[50], 30_000, 30_000)
    for data in (b"", b"no picture", frames[50][:20], huge):
        assert await zoo.prepare(data) is None
