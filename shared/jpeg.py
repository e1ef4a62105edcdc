"""What the header of a JPEG says, without decoding it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from posewire.shared.messages import MOST_SIDE

SOS, DHT = 0xDA, 0xC4
"""Markers: start of scan, Huffman tables."""
_SOI, _APP1 = 0xD8, 0xE1
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True, slots=True)
class JpegInfo:
    """What a JPEG's header says; ``orientation`` is EXIF's, 1 (upright) to 8."""

    width: int
    height: int
    components: int
    orientation: int
    has_huffman_tables: bool


def read_header(jpeg: bytes) -> JpegInfo:
    """Return what the header of ``jpeg`` says, without decoding it.

    Raises ValueError where these bytes are no JPEG.
    """
    if jpeg[:2] != b"\xff\xd8":
        raise ValueError(f"expected a JPEG (ff d8 ...), got {jpeg[:4].hex(' ') or 'nothing'}")
    frame: tuple[int, int, int] | None = None
    orientation, has_tables, at = 1, False, 2
    while at + 4 <= len(jpeg):
        if jpeg[at] != 0xFF:
            raise ValueError(f"broken JPEG: no marker at byte {at}")
        marker = jpeg[at + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= _SOI:  # fill bytes; markers without length
            at += 1 if marker == 0xFF else 2
            continue
        if marker == SOS:
            break
        (length,) = struct.unpack_from(">H", jpeg, at + 2)
        body = jpeg[at + 4 : at + 2 + length]
        if marker in _FRAME_HEADERS and len(body) >= 6:
            height, width = struct.unpack_from(">HH", body, 1)
            frame = width, height, body[5]
        elif marker == DHT:
            has_tables = True
        elif marker == _APP1 and body[:6] == b"Exif\0\0":
            orientation = _exif_orientation(body[6:])
        at += 2 + max(2, length)
    if frame is None or not frame[0] or not frame[1]:
        raise ValueError(f"broken JPEG: no size within its {len(jpeg)} bytes")
    return JpegInfo(*frame, orientation, has_tables)


def _exif_orientation(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, _kind, _count, value = struct.unpack_from(
                order + "HHIH", tiff, directory + 2 + 12 * entry
            )
            if tag == _ORIENTATION_TAG:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def refusal(jpeg: bytes, size: tuple[int, int] | None = None) -> str | None:
    """Return why ``jpeg`` must not be decoded, None where it may be.

    A decoder takes memory for the size that a header declares, whatever follows it: 2.7 GB for
    30000x30000. ``size``: width and height that the picture was announced with.
    """
    try:
        info = read_header(jpeg)
    except ValueError as error:
        return f"not a picture: {error}"
    declared = info.width, info.height
    if max(declared) > MOST_SIDE:
        return f"the JPEG is {info.width}x{info.height}; at most {MOST_SIDE} a side are allowed"
    if size is not None and declared != size:
        return f"the JPEG is {info.width}x{info.height}, announced were {size[0]}x{size[1]}"
    return None
