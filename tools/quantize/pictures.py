"""Calibration pictures: read, cut out where the network looks at one person, made into inputs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from posewire.inference.pipeline import PersonPipeline
from posewire.inference.registry import Preprocessing
from posewire.shared.errors import PosewireError
from posewire.shared.settings import InferenceSettings

Image: TypeAlias = npt.NDArray[np.uint8]
"""BGR, shape (height, width, 3)."""
Box: TypeAlias = tuple[float, float, float, float]
"""[x0, y0, x1, y1], pixels."""

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_FROM_A_VIDEO = 100
"""Frames taken of a video, evenly spread: neighbours show nearly the same."""
_LEAST_SIDE = 24
"""Smaller people are left out: they are not what the network is calibrated for."""


def read(paths: Sequence[Path]) -> list[Image]:
    """Return the pictures of files and folders, and frames of videos. Exits for other files."""
    return [image for path in paths for image in _read(path)]


def _read(path: Path) -> Iterator[Image]:
    if path.is_dir():
        for inside in sorted(path.iterdir()):
            if inside.suffix.lower() in _PICTURES:
                yield from _read(inside)
        return
    if path.suffix.lower() in _PICTURES:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise SystemExit(f"{path} is not a picture")
        yield np.asarray(image, np.uint8)
        return
    # A container's own count is often wrong; all frames at once may not fit the memory.
    video = cv2.VideoCapture(str(path))
    frames = 0
    while video.grab():
        frames += 1
    if not frames:
        raise SystemExit(f"{path} is neither a picture nor a video nor a folder")
    wanted = set(np.linspace(0, frames - 1, min(frames, _FROM_A_VIDEO)).astype(int).tolist())
    video = cv2.VideoCapture(str(path))
    for number in range(frames):
        if video.grab() and number in wanted:
            yield np.asarray(video.retrieve()[1], np.uint8)


def people(images: Sequence[Image], settings: InferenceSettings) -> list[list[Box]]:
    """Return the people of each picture, found with the models that ``settings`` choose."""

    async def find() -> list[list[Box]]:
        pipeline = await PersonPipeline.open(settings)
        found = []
        for image in images:
            _ok, jpeg = cv2.imencode(".jpg", image)
            prepared = await pipeline.prepare(jpeg.tobytes())
            assert prepared is not None
            height, width = image.shape[:2]
            persons = (await pipeline.examine(prepared)).persons
            boxes = [np.array(person.box) * (width, height, width, height) for person in persons]
            found.append(
                [
                    (float(x0), float(y0), float(x1), float(y1))
                    for x0, y0, x1, y1 in boxes
                    if max(x1 - x0, y1 - y0) >= _LEAST_SIDE
                ]
            )
        await pipeline.close()
        return found

    try:
        return asyncio.run(find())
    except PosewireError as error:
        raise SystemExit(str(error)) from None


def network_input(
    image: Image, box: Box | None, shape: tuple[int, int], how: Preprocessing
) -> npt.NDArray[np.float32]:
    """Return the input for a picture, or for the person in ``box`` of it.

    float32, shape (1, 3, height, width), normalised as the network wants it.
    """
    pixels = _placed(image, box, shape, how).astype(np.float32)
    if how.colours == "RGB":
        pixels = pixels[..., ::-1]
    pixels = (pixels - np.array(how.mean, np.float32)) / np.array(how.std, np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)


def _placed(image: Image, box: Box | None, shape: tuple[int, int], how: Preprocessing) -> Image:
    height, width = shape
    interpolation = cv2.INTER_CUBIC if how.interpolation == "cubic" else cv2.INTER_LINEAR
    if box is None and how.resize in ("stretch", "near-stretch"):
        return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)
    x0, y0, x1, y1 = box or (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
    margin = how.margin if box is not None else 1.0
    scale = min(width / max(x1 - x0, 1.0), height / max(y1 - y0, 1.0)) / margin
    shift = np.array([width, height]) / 2 - scale * np.array([x0 + x1, y0 + y1]) / 2
    if how.resize == "letterbox":
        shift = np.zeros(2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    border = (how.border,) * 3
    placed = cv2.warpAffine(image, matrix, (width, height), flags=interpolation, borderValue=border)
    return np.asarray(placed, np.uint8)
