"""Frames with their overlay drawn in, as JPEG; blocking, to be called in a thread."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from posewire.shared.jpeg import refusal
from posewire.shared.messages import Box, TrackUpdate
from posewire.shared.overlay import draw

_QUALITY = 85
_MARGIN = 0.15
_MOST_HEIGHT = 240


def drawn_jpeg(jpeg: bytes, update: TrackUpdate, fps: float | None) -> bytes | None:
    """Return ``jpeg`` with the overlay of ``update``; None where it is no picture."""
    image = _decoded(jpeg)
    if image is None:
        return None
    draw(image, update, fps=fps or None)
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes() if done else None


def scaled_jpeg(jpeg: bytes, width: int) -> bytes | None:
    """Return ``jpeg`` scaled down to ``width`` pixels; None where it is none, or not wider."""
    image = _decoded(jpeg)
    if image is None or image.shape[1] <= width:
        return None
    height = max(round(image.shape[0] * width / image.shape[1]), 1)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes() if done else None


def person_jpeg(jpeg: bytes, box: Box) -> bytes | None:
    """Return the part of ``jpeg`` around a relative box, at most 240 pixels high, or None."""
    image = _decoded(jpeg)
    if image is None:
        return None
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    margin_x, margin_y = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
    left, right = (int(np.clip(x * width, 0, width)) for x in (x0 - margin_x, x1 + margin_x))
    top, low = (int(np.clip(y * height, 0, height)) for y in (y0 - margin_y, y1 + margin_y))
    part = image[top:low, left:right]
    if not part.size:
        return None
    if part.shape[0] > _MOST_HEIGHT:
        scale = _MOST_HEIGHT / part.shape[0]
        size = (max(round(part.shape[1] * scale), 1), _MOST_HEIGHT)
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    done, encoded = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes() if done else None


def _decoded(jpeg: bytes) -> npt.NDArray[np.uint8] | None:
    """Return the picture, BGR, shape (height, width, 3); None where it is none, or too large."""
    if refusal(jpeg) is not None:
        return None
    decoded = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
    return None if decoded is None else np.asarray(decoded, dtype=np.uint8)
