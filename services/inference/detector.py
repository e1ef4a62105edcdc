"""Persons as boxes: a detector's network on a whole picture."""

from __future__ import annotations

import asyncio
import math
import time

import numpy as np
import numpy.typing as npt

from posewire.inference import detections
from posewire.inference.engines import Engine, model_run
from posewire.inference.imaging import Image, View, crop, letterbox, stretch
from posewire.inference.registry import ModelSpec
from posewire.shared.messages import ModelRun

Array = npt.NDArray[np.float32]

_MOST_STRETCH = 1.4
"""SSD networks learned from stretched pictures; beyond this, people get shapes they never saw."""
_NMS_IOU = 0.6
"""Of boxes that overlap by more, the better one is kept, where the model says nothing else."""
_SAME_PERSON = 0.55
"""IoU from which a box of a picture and one of its mirror image are one person's."""
_LEAST_PX = 2


class Detector:
    """Finds people's boxes.

    ``least_score``: boxes from here on are people; lower ones continue tracks.
    """

    def __init__(
        self, engine: Engine, spec: ModelSpec, least_score: float, *, mirror: bool = False
    ) -> None:
        """``mirror``: average with the mirror image's boxes: better, and twice the work."""
        self.engine, self.least_score = engine, least_score
        self._spec, self._mirror = spec, mirror

    async def find(self, image: Image, low_score: float) -> tuple[Array, ModelRun]:
        """Return the people in a picture, and what ran.

        float32, shape (n, 5), [x0, y0, x1, y1, score], pixels of the picture, best first, those
        with at least ``low_score``; boxes are clipped to the picture.
        """
        started = time.perf_counter()
        if self._mirror:
            width = image.shape[1]
            one, other = await asyncio.gather(
                self._look(image), self._look(np.ascontiguousarray(image[:, ::-1]))
            )
            other[:, [0, 2]] = width - other[:, [2, 0]]
            boxes = detections.fuse(one, other, _SAME_PERSON)
        else:
            boxes = await self._look(image)
        runs = 1 + self._mirror
        pixels = runs * math.prod(self.engine.input_shape)
        run = model_run(self.engine, time.perf_counter() - started, runs, pixels)
        return boxes[boxes[:, 4] >= low_score], run

    async def _look(self, image: Image) -> Array:
        tensor, view = await asyncio.to_thread(self.prepare, image)
        outputs = await self.engine.infer(tensor)
        return self.read(outputs, view, (image.shape[0], image.shape[1]))

    def prepare(self, image: Image) -> tuple[Image, View]:
        """Return the network's input for a picture, and which part of it the input shows."""
        shape, wanted = self.engine.input_shape, self._spec.preprocessing
        if wanted.resize == "letterbox":
            return letterbox(image, shape, wanted.border)
        if wanted.resize == "stretch":
            return stretch(image, shape, cubic=wanted.interpolation == "cubic")
        stretched = (image.shape[1] / image.shape[0]) / (shape[1] / shape[0])
        if 1 / _MOST_STRETCH <= stretched <= _MOST_STRETCH:
            return stretch(image, shape)
        whole = (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
        return crop(image, whole, shape)

    def read(self, outputs: dict[str, Array], view: View, picture: tuple[int, int]) -> Array:
        """Return the boxes in a picture (height, width), as ``find`` does."""
        found = self._read(outputs)
        found = found[np.isfinite(found).all(1)]
        corners = view.to_picture(found[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
        limits = np.array([picture[1], picture[0]] * 2, dtype=np.float32)
        boxes = np.concatenate([np.clip(corners, 0, limits), found[:, 4:]], axis=1)
        large = (boxes[:, 2:4] - boxes[:, :2] >= _LEAST_PX).all(1)
        boxes = boxes[large]
        ordered: Array = boxes[np.argsort(-boxes[:, 4], kind="stable")].astype(np.float32)
        return ordered

    def _read(self, outputs: dict[str, Array]) -> Array:
        spec, shape = self._spec, self.engine.input_shape
        nms_iou = _NMS_IOU if spec.nms_iou is None else spec.nms_iou
        if spec.family == "atss":
            return detections.read_atss(outputs, spec.person_label)
        if spec.family == "picodet":
            return detections.read_picodet(outputs, nms_iou)
        if spec.family == "rtmdet":
            return detections.read_rtmdet(outputs, nms_iou, shape)
        (output,) = outputs.values()
        if spec.family == "yolox":
            return detections.read_yolox(output, nms_iou, shape, spec.person_label)
        return detections.read_ssd(output, shape, spec.person_label)

    def close(self) -> None:
        """Release the network."""
        self.engine.close()
