"""From one JPEG to its people: decode, detect, look closer, match."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from services.inference import regions
from services.inference.detector import Detector
from services.inference.engines import Engine, choose_device, open_engine
from services.inference.imaging import Image, View, crop, decode_jpeg
from services.inference.people import match_people, merge_skeletons
from services.inference.poses import movenet, paf
from services.inference.poses.paf import Skeletons
from services.inference.registry import ModelFiles, Selection, resolve
from shared.messages import ModelRun, Person
from shared.settings import InferenceSettings

_LOW_SCORE = 0.5
"""Boxes with at least this share of ``detection_score`` are passed on: they continue tracks."""
_MOST_COST = 1.5
"""Regions may cost this many times the network's own whole picture."""
_MOVENET_LONG = 512
_MOVENET_SHAPES = ((288, 512), (384, 512), (512, 512), (512, 384), (512, 288))


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one picture, what ran for it, and for how long (ms)."""

    persons: tuple[Person, ...]
    detector: ModelRun | None
    pose: ModelRun | None
    total_ms: float
    error: str | None = None


class _Finder(Protocol):
    async def find(
        self, image: Image
    ) -> tuple[tuple[Person, ...], ModelRun | None, ModelRun | None]: ...

    def close(self) -> None: ...


class PersonPipeline:
    """Finds the people of pictures; pictures may be examined concurrently."""

    def __init__(self, finder: _Finder, description: str) -> None:
        self._finder = finder
        self._description = description
        self._threads = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "pictures")

    @classmethod
    async def open(
        cls, settings: InferenceSettings, selection: Selection | None = None
    ) -> PersonPipeline:
        """Fetch, load and compile the models. Raises ModelError, DeviceError."""
        selection = selection or await resolve(settings)
        device, why = await asyncio.to_thread(choose_device, settings)
        finder = await asyncio.to_thread(_open_finder, settings, selection)
        parts = [files for files in (selection.detector, selection.pose) if files is not None]
        names = " + ".join(f"{files.spec.name} {files.spec.precision}" for files in parts)
        return cls(finder, f"{names} on {device} ({selection.reason}; {why})")

    def describe(self) -> str:
        """Return models, precision, device, and why these."""
        return self._description

    async def examine(self, jpeg: bytes) -> Findings:
        """Find the people in a picture; the answer depends on nothing but the picture.

        A broken picture gives an ``error`` and no people. Raises DeviceError where the device
        fails.
        """
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._threads, decode_jpeg, jpeg)
        if image is None:
            error = f"not a picture: {len(jpeg)} bytes that no JPEG decoder takes"
            return Findings((), None, None, _since(started), error)
        persons, detector, pose = await self._finder.find(image)
        return Findings(persons, detector, pose, _since(started))

    async def close(self) -> None:
        """Release models and threads."""
        self._threads.shutdown(wait=True)
        await asyncio.to_thread(self._finder.close)


def _open_finder(settings: InferenceSettings, selection: Selection) -> _Finder:
    if selection.detector is None:
        return _MoveNet(settings, selection.pose)
    return _DetectorAndPose(settings, selection.detector, selection.pose)


class _Engines:
    """A pose network compiled for each input shape when it is first needed."""

    def __init__(self, settings: InferenceSettings, files: ModelFiles) -> None:
        self._settings, self._files = settings, files
        self._engines: dict[tuple[int, int], asyncio.Future[Engine]] = {}

    async def get(self, shape: tuple[int, int]) -> Engine:
        if shape not in self._engines:
            opening = asyncio.to_thread(open_engine, self._files, self._settings, shape=shape)
            self._engines[shape] = asyncio.ensure_future(opening)
        return await asyncio.shield(self._engines[shape])

    def close(self) -> None:
        for engine in self._engines.values():
            if engine.done() and not engine.cancelled() and engine.exception() is None:
                engine.result().close()


class _DetectorAndPose:
    """The Open Model Zoo pair: boxes first, then skeletons where the boxes are."""

    def __init__(self, settings: InferenceSettings, detector: ModelFiles, pose: ModelFiles) -> None:
        self._settings = settings
        self._detector = Detector(open_engine(detector, settings))
        self._poses = _Engines(settings, pose)
        self._pose_files = pose

    async def find(self, image: Image) -> tuple[tuple[Person, ...], ModelRun, ModelRun | None]:
        started = time.perf_counter()
        picture = (image.shape[0], image.shape[1])
        least = self._settings.detection_score
        tensor, view = await asyncio.to_thread(self._detector.prepare, image)
        boxes = await self._detector.find(tensor, view, picture, _LOW_SCORE * least)
        detected = _run(self._detector.engine, started)
        sure = boxes[boxes[:, 4] >= least]
        if not len(sure):
            nobody = Skeletons(np.zeros((0, 18, 3), np.float32), np.zeros(0, np.float32))
            return match_people(boxes, nobody, picture, least), detected, None
        started = time.perf_counter()
        looks = regions.plan(sure, picture, _MOST_COST)
        found = await asyncio.gather(*(self._look(image, region) for region in looks))
        together = Skeletons(
            np.concatenate([skeletons.points for skeletons in found]),
            np.concatenate([skeletons.scores for skeletons in found]),
        )
        persons = match_people(boxes, merge_skeletons(together), picture, least)
        engine = await self._poses.get(looks[0].shape)
        return persons, detected, _run(engine, started, len(looks))

    async def _look(self, image: Image, region: regions.Region) -> Skeletons:
        engine = await self._poses.get(region.shape)
        tensor, view = await asyncio.to_thread(crop, image, region.px_box, region.shape)
        output = await engine.infer(tensor)
        return await asyncio.to_thread(
            _read_skeletons, output, view, region.shape, self._settings.keypoint_score
        )

    def close(self) -> None:
        self._detector.engine.close()
        self._poses.close()


def _read_skeletons(
    output: dict[str, paf.Array], view: View, shape: tuple[int, int], keypoint_score: float
) -> Skeletons:
    # The field has twice as many planes as there are limbs; names differ between releases.
    heatmaps, fields = sorted((maps[0] for maps in output.values()), key=len)
    skeletons = paf.decode(heatmaps, fields, keypoint_score=keypoint_score)
    cells = np.array([heatmaps.shape[2], heatmaps.shape[1]], dtype=np.float32)
    points = skeletons.points.copy()
    points[..., :2] *= np.array([shape[1], shape[0]], dtype=np.float32) / cells
    return Skeletons(_in_picture(points, view), skeletons.scores)


def _in_picture(points: paf.Array, view: View) -> paf.Array:
    missing = points[..., 2] <= 0
    mapped = view.to_picture(points)
    mapped[missing] = 0
    return mapped


class _MoveNet:
    """MoveNet MultiPose: boxes and skeletons from one network on the whole picture.

    There is no detector to ask first, so the pose network runs on every frame.
    """

    def __init__(self, settings: InferenceSettings, files: ModelFiles) -> None:
        self._settings = settings
        self._engines = _Engines(settings, files)

    async def find(self, image: Image) -> tuple[tuple[Person, ...], None, ModelRun]:
        started = time.perf_counter()
        height, width = image.shape[:2]
        shape = min(_MOVENET_SHAPES, key=lambda s: abs(np.log((s[1] / s[0]) / (width / height))))
        engine = await self._engines.get(shape)
        whole = (0.0, 0.0, float(width), float(height))
        tensor, view = await asyncio.to_thread(crop, image, whole, shape)
        (output,) = (await engine.infer(tensor)).values()
        least = self._settings.detection_score
        boxes, skeletons = movenet.decode(output, shape, _LOW_SCORE * least)
        limits = np.array([width, height] * 2, dtype=np.float32)
        corners = view.to_picture(boxes[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
        boxes = np.concatenate([np.clip(corners, 0, limits), boxes[:, 4:]], axis=1)
        skeletons = Skeletons(_in_picture(skeletons.points, view), skeletons.scores)
        persons = match_people(boxes, skeletons, (height, width), least)
        return persons, None, _run(engine, started)

    def close(self) -> None:
        self._engines.close()


def _run(engine: Engine, started: float, runs: int = 1) -> ModelRun:
    return ModelRun(
        model=engine.model,
        precision=engine.precision,
        device=engine.device,
        ms=_since(started),
        runs=runs,
    )


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
