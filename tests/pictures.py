"""Small pictures for tests that need no people in them."""

from __future__ import annotations

import functools
import struct

import cv2
import numpy as np


@functools.cache
def grey_jpeg(width: int = 64, height: int = 48) -> bytes:
    """Return a whole JPEG of one grey."""
    _done, data = cv2.imencode(".jpg", np.full((height, width, 3), 128, np.uint8))
    return data.tobytes()


def declaring(jpeg: bytes, width: int, height: int) -> bytes:
    """Return ``jpeg`` with another size in its header: few bytes that ask for much memory."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]
