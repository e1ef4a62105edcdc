"""Top-down pose networks: one person's box in, that person's keypoints out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from posewire.inference.engines import Engine, model_run
from posewire.inference.imaging import Image, View, crop_person
from posewire.inference.poses import heatmap, simcc
from posewire.inference.registry import ModelSpec
from posewire.shared.messages import ModelRun
from posewire.shared.skeleton import COCO_MIRRORED, from_coco

Array = npt.NDArray[np.float32]
Outputs = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The keypoints of some people, what ran for them, and how long reading them took (ms)."""

    points: Array
    """Shape (people, 18, 3), [x, y, score], pixels of the picture. The network places every
    point, whether it shows or not; the score tells."""
    run: ModelRun | None
    decode_ms: float


class PoseEstimator:
    """A network that looks at one person at a time."""

    def __init__(self, engine: Engine, spec: ModelSpec, *, mirror: bool) -> None:
        """``mirror``: average with the mirror image of each person: better, and twice the work."""
        self.engine = engine
        self._spec, self._mirror = spec, mirror

    @property
    def pixels(self) -> int:
        """Input pixels that one person takes."""
        height, width = self.engine.input_shape
        return height * width * (1 + self._mirror)

    async def estimate(self, image: Image, boxes: Array) -> Estimate:
        """Return the keypoints of the people in ``boxes``, (n, 4) or more columns, pixels.

        The crops run side by side, as many as the device takes. Raises DeviceError.
        """
        if not len(boxes):
            return Estimate(np.zeros((0, 18, 3), np.float32), None, 0.0)
        started = time.perf_counter()
        crops = await asyncio.to_thread(self._crops, image, boxes)
        tensors = [tensor for tensor, _view in crops]
        if self._mirror:
            tensors += [np.ascontiguousarray(tensor[:, :, ::-1]) for tensor in tensors]
        outputs = await asyncio.gather(*(self.engine.infer(tensor) for tensor in tensors))
        ended = time.perf_counter()
        points = await asyncio.to_thread(self._read, outputs, [view for _tensor, view in crops])
        decode_ms = round((time.perf_counter() - ended) * 1000, 2)
        run = model_run(self.engine, ended - started, len(tensors), self.pixels * len(boxes))
        return Estimate(points, run, decode_ms)

    def _crops(self, image: Image, boxes: Array) -> list[tuple[Image, View]]:
        wanted = self._spec.preprocessing
        return [
            crop_person(
                image, box, self.engine.input_shape, margin=wanted.margin, border=wanted.border
            )
            for box in boxes
        ]

    def _read(self, outputs: Sequence[Outputs], views: Sequence[View]) -> Array:
        count = len(views)
        read = self._read_simcc if self._spec.family == "simcc-topdown" else self._read_heatmaps
        points = read(outputs[:count], outputs[count:])
        scales = np.array([[view.scale_x, view.scale_y] for view in views], np.float32)
        corners = np.array([[view.x0, view.y0] for view in views], np.float32)
        points[..., :2] = points[..., :2] / scales[:, None] + corners[:, None]
        return from_coco(points)

    def _read_heatmaps(self, outputs: Sequence[Outputs], mirrored: Sequence[Outputs]) -> Array:
        maps = np.concatenate([next(iter(output.values())) for output in outputs])
        if mirrored:
            others = np.concatenate([next(iter(output.values())) for output in mirrored])
            maps = (maps + heatmap.mirror(others, COCO_MIRRORED)) * np.float32(0.5)
        points = heatmap.decode(maps)
        points[..., :2] *= self.engine.input_shape[0] / maps.shape[2]
        return points

    def _read_simcc(self, outputs: Sequence[Outputs], mirrored: Sequence[Outputs]) -> Array:
        x_bins, y_bins = _bins(outputs)
        if mirrored:
            others = simcc.mirror(*_bins(mirrored), COCO_MIRRORED)
            x_bins = (x_bins + others[0]) * np.float32(0.5)
            y_bins = (y_bins + others[1]) * np.float32(0.5)
        return simcc.decode(x_bins, y_bins, self.engine.input_shape)

    def close(self) -> None:
        """Release the network."""
        self.engine.close()


def _bins(outputs: Sequence[Outputs]) -> tuple[Array, Array]:
    """Return people's bins along x and y, which the exports give in this order."""
    x_bins, y_bins = zip(*(output.values() for output in outputs), strict=True)
    return np.concatenate(x_bins), np.concatenate(y_bins)
