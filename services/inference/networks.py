"""Pose networks: from a region of a picture to skeletons in the picture's pixels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from posewire.inference.engines import Engine, open_engine
from posewire.inference.imaging import Image, View, crop
from posewire.inference.poses import associative, movenet, paf
from posewire.inference.regions import Region, Shape, halves
from posewire.inference.registry import ModelFiles
from posewire.inference.skeletons import Skeletons, merge, mirror
from posewire.shared.settings import InferenceSettings

Array = npt.NDArray[np.float32]
Outputs = dict[str, Array]

_LOW_MOVENET = 0.25
"""As finder.LOW_SCORE; MoveNet has no detector beside it, and a closer look tells who is there."""
_MOVENET_CLOSE_UP = 0.27
_MOST_HALVINGS = 1


@dataclass(frozen=True, slots=True)
class Look:
    """What a network saw in a region. Times in ms: the network's, and the decoder's."""

    region: Region
    skeletons: Skeletons
    started: float
    """``time.perf_counter`` when it began."""
    ended: float
    decode_ms: float
    pixels: int
    """Input pixels, all runs together."""
    full: bool
    """Whether there may be more people than the network can tell."""


class Decoder(Protocol):
    """Reads a family's outputs."""

    @property
    def area_factor(self) -> float:
        """Input area it wants, relative to human-pose-estimation-0001's."""

    def sweeps(self, areas: Sequence[float]) -> list[float]:
        """Return the input areas of a sweep for an effort's."""

    def full(self, outputs: Outputs) -> bool:
        """Return whether there may be more people than the network can tell."""

    def read(self, outputs: Outputs, mirrored: Outputs | None, shape: Shape) -> Skeletons:
        """Return skeletons in pixels of an input of ``shape`` (height, width)."""


class PafDecoder:
    """The OpenPose family."""

    area_factor = 1.0

    def __init__(self, settings: InferenceSettings) -> None:
        self._keypoint_score = settings.keypoint_score

    def sweeps(self, areas: Sequence[float]) -> list[float]:
        return list(areas)

    def full(self, outputs: Outputs) -> bool:
        return False

    def read(self, outputs: Outputs, mirrored: Outputs | None, shape: Shape) -> Skeletons:
        heatmaps, fields = _maps(outputs)
        if mirrored is not None:
            other_heatmaps, other_fields = paf.mirror(*_maps(mirrored))
            heatmaps = (heatmaps + other_heatmaps) * np.float32(0.5)
            fields = (fields + other_fields) * np.float32(0.5)
        skeletons = paf.decode(heatmaps, fields, keypoint_score=self._keypoint_score)
        cells = np.array([heatmaps.shape[2], heatmaps.shape[1]], dtype=np.float32)
        points = skeletons.points.copy()
        points[..., :2] *= np.array([shape[1], shape[0]], dtype=np.float32) / cells
        return Skeletons(points, skeletons.scores)


def _maps(outputs: Outputs) -> tuple[Array, Array]:
    # The field has twice as many planes as there are limbs; names differ between releases.
    heatmaps, fields = sorted((maps[0] for maps in outputs.values()), key=len)
    return heatmaps, fields


class MoveNetDecoder:
    """MoveNet MultiPose. It finds by itself who is there, and gives boxes."""

    # It is some four times faster for the same pixels.
    area_factor = 1.8

    def __init__(self, settings: InferenceSettings) -> None:
        self._least_score = _LOW_MOVENET * settings.detection_score
        self._keypoint_score = settings.keypoint_score

    def sweeps(self, areas: Sequence[float]) -> list[float]:
        # It misses people who fill the picture even where it finds others.
        return [_MOVENET_CLOSE_UP, *(self.area_factor * area for area in areas)]

    def full(self, outputs: Outputs) -> bool:
        (output,) = outputs.values()
        return movenet.full(output, least_score=self._least_score)

    def read(self, outputs: Outputs, mirrored: Outputs | None, shape: Shape) -> Skeletons:
        found = self._decode(outputs, shape)
        if mirrored is None:
            return found
        seen = [(found, 1.0), (mirror(self._decode(mirrored, shape), shape[1]), 1.0)]
        return merge(seen)[0]

    def _decode(self, outputs: Outputs, shape: Shape) -> Skeletons:
        (output,) = outputs.values()
        return movenet.decode(
            output, shape, least_score=self._least_score, keypoint_score=self._keypoint_score
        )


class AssociativeDecoder(PafDecoder):
    """The associative embedding family. Its outputs are told apart by name."""

    def read(self, outputs: Outputs, mirrored: Outputs | None, shape: Shape) -> Skeletons:
        found = self._decode(outputs, shape)
        if mirrored is None:
            return found
        return merge([(found, 1.0), (mirror(self._decode(mirrored, shape), shape[1]), 1.0)])[0]

    def _decode(self, outputs: Outputs, shape: Shape) -> Skeletons:
        heatmaps = outputs["heatmaps"][0]
        tags = outputs["embeddings"].reshape(heatmaps.shape)
        found = associative.decode(heatmaps, tags, keypoint_score=self._keypoint_score)
        cells = np.array([heatmaps.shape[2], heatmaps.shape[1]], dtype=np.float32)
        points = found.points.copy()
        points[..., :2] *= np.array([shape[1], shape[0]], dtype=np.float32) / cells
        return Skeletons(points, found.scores)


class PoseNetwork:
    """A pose network, compiled for each input shape when it is first needed.

    Args:
        settings, files, mirror: the model, and how it is run.
        engines: what is compiled already.
    """

    def __init__(
        self,
        settings: InferenceSettings,
        files: ModelFiles,
        *,
        mirror: bool,
        engines: Sequence[Engine] = (),
    ) -> None:
        self._settings, self._files = settings, files
        self._mirror = mirror
        self._compiled = {engine.input_shape: engine for engine in engines}
        self._engines: dict[Shape, asyncio.Future[Engine]] = {}
        self.decoder: Decoder
        if files.spec.family == "movenet-multipose":
            self.decoder = MoveNetDecoder(settings)
        elif files.spec.family == "associative-embedding":
            self.decoder = AssociativeDecoder(settings)
        else:
            self.decoder = PafDecoder(settings)

    @property
    def name(self) -> str:
        """The model's."""
        return self._files.spec.name

    async def engine(self, shape: Shape) -> Engine:
        """Return the engine for ``shape``. Raises DeviceError."""
        if shape in self._compiled:
            return self._compiled[shape]
        if shape not in self._engines:
            opening = asyncio.to_thread(open_engine, self._files, self._settings, shape=shape)
            self._engines[shape] = asyncio.ensure_future(opening)
        return await asyncio.shield(self._engines[shape])

    async def look(self, image: Image, region: Region) -> Look:
        """Run on ``region``."""
        engine = await self.engine(region.shape)
        started = time.perf_counter()
        tensor, view = await asyncio.to_thread(crop, image, region.px_box, region.shape)
        mirrored = None
        if self._mirror:
            other = np.ascontiguousarray(tensor[:, :, ::-1])
            outputs, mirrored = await asyncio.gather(engine.infer(tensor), engine.infer(other))
        else:
            outputs = await engine.infer(tensor)
        ended = time.perf_counter()
        skeletons, decode_ms = await asyncio.to_thread(
            self._read, outputs, mirrored, view, region.shape
        )
        pixels = region.shape[0] * region.shape[1] * (1 + self._mirror)
        full = self.decoder.full(outputs)
        return Look(region, skeletons, started, ended, decode_ms, pixels, full)

    async def looks(self, image: Image, regions: Sequence[Region]) -> list[Look]:
        """Run on several regions at once; a region too full for the network is halved."""
        found: list[Look] = []
        for _depth in range(_MOST_HALVINGS + 1):
            found += (new := await asyncio.gather(*(self.look(image, part) for part in regions)))
            regions = [half for look in new if look.full for half in halves(look.region)]
        return found

    def _read(
        self, outputs: Outputs, mirrored: Outputs | None, view: View, shape: Shape
    ) -> tuple[Skeletons, float]:
        began = time.perf_counter()
        found = self.decoder.read(outputs, mirrored, shape)
        points = view.to_picture(found.points)
        points[found.points[..., 2] <= 0] = 0
        boxes = found.boxes
        if boxes is not None:
            boxes = view.to_picture(boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        return Skeletons(points, found.scores, boxes), (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Release the engines."""
        for compiled in self._compiled.values():
            compiled.close()
        for engine in self._engines.values():
            if engine.done() and not engine.cancelled() and engine.exception() is None:
                engine.result().close()
