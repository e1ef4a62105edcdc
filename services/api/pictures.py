"""Frames with their overlay drawn in, as JPEG; blocking, to be called in a thread."""

from __future__ import annotations

import cv2
import numpy as np

from shared.messages import TrackUpdate
from shared.overlay import draw

_QUALITY = 85


def drawn_jpeg(jpeg: bytes, update: TrackUpdate, fps: float | None) -> bytes | None:
    """Return ``jpeg`` with the overlay of ``update``; None where it is no picture."""
    data = np.frombuffer(jpeg, dtype=np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        return None
    draw(image.astype(np.uint8, copy=False), update, fps=fps or None)
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes() if done else None
