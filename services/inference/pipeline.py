"""From one JPEG to its people: models and device opened, pictures decoded, the finder run."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from posewire.inference.detector import Detector
from posewire.inference.engines import choose_device, open_engine
from posewire.inference.engines.choice import MYRIAD
from posewire.inference.finder import Finder, Prior
from posewire.inference.imaging import decode_jpeg
from posewire.inference.networks import PoseNetwork
from posewire.inference.presets import effort, in_one_shape
from posewire.inference.registry import Selection, resolve
from posewire.inference.watch import Findings, Prepared
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
        found = await self._finder.find(prepared.frame, prior)
        total_ms = round(prepared.ms + (time.perf_counter() - started) * 1000, 2)
        return Findings(found.persons, found.detector, found.pose, total_ms, found.decode_ms)

    async def close(self) -> None:
        """Release models and threads."""
        self._threads.shutdown(wait=True)
        await asyncio.to_thread(self._finder.close)


def _open_finder(settings: InferenceSettings, selection: Selection, device: str) -> Finder:
    work = effort(settings)
    detector = None
    if selection.detector is not None:
        spec = selection.detector.spec
        engine = open_engine(selection.detector, settings)
        detector = Detector(engine, spec.family, spec.person_label)
    engines = []
    if device == MYRIAD:
        # Each compiled shape takes memory on the stick and seconds to get there: one of each model.
        engines.append(open_engine(selection.pose, settings))
        work = in_one_shape(work, engines[0].input_shape)
    network = PoseNetwork(settings, selection.pose, mirror=work.mirror, engines=engines)
    return Finder(work, settings.detection_score, network, detector)
