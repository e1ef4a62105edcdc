"""From one JPEG to its people: models and device opened, pictures decoded, the finder run."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from posewire.inference.bottomup import BottomUpFinder
from posewire.inference.detector import Detector
from posewire.inference.engines import choose_device, open_engine
from posewire.inference.engines.choice import MYRIAD
from posewire.inference.estimator import PoseEstimator
from posewire.inference.finder import Finder, Prior
from posewire.inference.imaging import decode_jpeg
from posewire.inference.networks import PoseNetwork
from posewire.inference.presets import effort, in_one_shape, top_down_effort
from posewire.inference.registry import TOP_DOWN, Selection, resolve
from posewire.inference.topdown import TopDownFinder
from posewire.inference.watch import Findings, Prepared
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings


class PersonPipeline:
    """Finds the people of pictures; frames of different cameras may be examined concurrently."""

    def __init__(self, finder: Finder, description: str) -> None:
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
        finder = await asyncio.to_thread(_open_finder, settings, selection, device)
        parts = [files for files in (selection.detector, selection.pose) if files is not None]
        names = " + ".join(f"{files.spec.name} {files.spec.precision}" for files in parts)
        reasons = f"{settings.preset}; {selection.reason}; {why}"
        return cls(finder, f"{names} on {device} ({reasons})")

    def describe(self) -> str:
        """Return models, precision, device, and why these."""
        return self._description

    async def prepare(
        self, jpeg: bytes, t: float = 0.0, before_t: float | None = None
    ) -> Prepared | None:
        """Decode a picture and run what is due on it by its time; None where it is no picture.

        Args:
            jpeg: the picture.
            t: its time, seconds since its session began.
            before_t: its predecessor's; None where it stands alone.

        Raises DeviceError where the device fails.
        """
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._threads, decode_jpeg, jpeg)
        if image is None:
            return None
        frame = await self._finder.prepare(image, t, before_t)
        return Prepared(frame, (time.perf_counter() - started) * 1000)

    async def examine(self, prepared: Prepared, prior: Prior | None = None) -> Findings:
        """Find the people of a prepared frame; without ``prior`` it stands alone.

        The answer depends on nothing but picture, times and ``prior``. Raises DeviceError where
        the device fails.
        """
        started = time.perf_counter()
        found = await prepared.frame.find(prior)
        total_ms = round(prepared.ms + (time.perf_counter() - started) * 1000, 2)
        return Findings(found.persons, found.detector, found.pose, total_ms, found.decode_ms)

    async def close(self) -> None:
        """Release models and threads."""
        self._threads.shutdown(wait=True)
        await asyncio.to_thread(self._finder.close)


def _open_finder(settings: InferenceSettings, selection: Selection, device: str) -> Finder:
    if selection.pose.spec.family in TOP_DOWN:
        return _open_top_down(settings, selection)
    work = effort(settings)
    detector = _open_detector(settings, selection, mirror=False)
    engines = []
    if device == MYRIAD:
        # Each compiled shape takes memory on the stick and seconds to get there: one of each model.
        engines.append(open_engine(selection.pose, settings))
        work = in_one_shape(work, engines[0].input_shape)
    network = PoseNetwork(settings, selection.pose, mirror=work.mirror, engines=engines)
    return BottomUpFinder(work, settings.detection_score, network, detector)


def _open_top_down(settings: InferenceSettings, selection: Selection) -> Finder:
    work = top_down_effort(settings)
    detector = _open_detector(settings, selection, mirror=work.mirror)
    if detector is None:
        raise ModelError(f"{selection.pose.spec.name} needs a detector")
    engine = open_engine(selection.pose, settings)
    estimator = PoseEstimator(engine, selection.pose.spec, mirror=work.mirror)
    return TopDownFinder(
        work, settings.detection_score, settings.keypoint_score, estimator, detector
    )


def _open_detector(
    settings: InferenceSettings, selection: Selection, *, mirror: bool
) -> Detector | None:
    if selection.detector is None:
        return None
    spec = selection.detector.spec
    least_score = settings.detection_score if spec.threshold is None else spec.threshold
    return Detector(open_engine(selection.detector, settings), spec, least_score, mirror=mirror)
