"""JPEG in and out: encoding, scaling down, turning upright.

Images are uint8 arrays of shape (height, width, 3), BGR.
"""

from __future__ import annotations

import functools
import struct
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from posewire.shared.errors import SourceError
from posewire.shared.jpeg import DHT, SOS, read_header
from posewire.shared.settings import CaptureSettings

Image = NDArray[np.uint8]


def encode(image: Image, quality: int) -> bytes:
    """Return ``image`` as a baseline JPEG; the same image gives the same bytes."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise SourceError(f"a picture of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()


def fitted(width: int, height: int, capture: CaptureSettings) -> tuple[int, int]:
    """Return the size at which a picture is put on the bus: its own, or scaled down to fit."""
    scale = min(1.0, capture.max_width / width, capture.max_height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def decode(data: bytes, orientation: int, size: tuple[int, int], limit: tuple[int, int]) -> Image:
    """Decode an image file, turn it upright, and scale it down.

    Args:
        data: the file, in any format OpenCV reads.
        orientation: EXIF's, 1 to 8.
        size: width and height as stored, before turning.
        limit: width and height to return, after turning.

    Raises ValueError where it cannot be decoded.
    """
    stored_limit = limit if orientation < 5 else limit[::-1]
    flags = cv2.IMREAD_COLOR
    # libjpeg can leave out what would be scaled away: an eighth of 12000x9000 needs no 324 MB.
    for reduction, reduced in ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4),
                               (2, cv2.IMREAD_REDUCED_COLOR_2)):  # fmt: skip
        if all(have // reduction >= want for have, want in zip(size, stored_limit, strict=True)):
            flags = reduced
            break
    try:
        image = cv2.imdecode(
            np.frombuffer(data, dtype=np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error.err or error}") from None
    if image is None:
        raise ValueError("cannot be decoded")
    upright = turn_upright(cast(Image, image), orientation)
    if (upright.shape[1], upright.shape[0]) != limit:
        upright = cast(Image, cv2.resize(upright, limit, interpolation=cv2.INTER_AREA))
    return upright


def turn_upright(image: Image, orientation: int) -> Image:
    """Return ``image`` as EXIF's ``orientation`` wants it shown.

    ::

        1 as is   2 mirrored   3 half turn   4 upside down
        5 transposed   6 quarter turn clockwise   7 anti-transposed   8 quarter turn back
    """
    if orientation in (5, 6, 7, 8):
        image = cast(Image, cv2.transpose(image))
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if flip is None else cast(Image, cv2.flip(image, flip))


def admit(jpeg: bytes, capture: CaptureSettings) -> tuple[bytes, int, int]:
    """Take a camera's JPEG over, undecoded wherever possible.

    It is decoded and encoded again only where it is larger than the settings allow, lies on its
    side, or is not of one or three colour components. Motion JPEG may leave out the Huffman tables
    that every browser wants; they are put in without decoding.

    Returns the JPEG, its width and its height. Raises ValueError where it is none.
    """
    info = read_header(jpeg)
    turned = info.orientation >= 5
    shown = (info.height, info.width) if turned else (info.width, info.height)
    limit = fitted(*shown, capture)
    if limit == shown and info.orientation == 1 and info.components in (1, 3):
        return (jpeg if info.has_huffman_tables else _with_huffman_tables(jpeg)), *shown
    if info.width * info.height > capture.max_pixels:
        raise ValueError(
            f"{info.width}x{info.height} is more than capture.max_pixels ({capture.max_pixels})"
        )
    if not info.has_huffman_tables:
        jpeg = _with_huffman_tables(jpeg)
    image = decode(jpeg, info.orientation, (info.width, info.height), limit)
    return encode(image, capture.jpeg_quality), *limit


def _with_huffman_tables(jpeg: bytes) -> bytes:
    return jpeg[:2] + _standard_huffman_tables() + jpeg[2:]


@functools.cache
def _standard_huffman_tables() -> bytes:
    """Return the DHT segments of ITU-T T.81, Annex K.3: what an encoder writes by default."""
    jpeg = encode(np.zeros((16, 16, 3), dtype=np.uint8), 90)
    tables, at = b"", 2
    while jpeg[at + 1] != SOS:
        end = at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        if jpeg[at + 1] == DHT:
            tables += jpeg[at:end]
        at = end
    return tables
