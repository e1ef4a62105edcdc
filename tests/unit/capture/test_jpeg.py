from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageOps

from posewire.capture import jpeg as jpegs
from posewire.shared.settings import CaptureSettings

# A picture whose four quarters differ, so that every turn and mirror shows.
QUARTERS = np.zeros((40, 60, 3), dtype=np.uint8)
QUARTERS[:20, :30] = 250
QUARTERS[:20, 30:] = 170
QUARTERS[20:, :30] = 90


def with_orientation(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    tiff = mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def without_tables(jpeg: bytes) -> bytes:
    """Leave out the DHT segments, as Motion JPEG does."""
    kept, at = jpeg[:2], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0]
        kept += b"" if jpeg[at + 1] == 0xC4 else jpeg[at:end]
        at = end
    return kept + jpeg[at:]


def progressive(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, "JPEG", progressive=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("jpeg", "expected"),
    [
        (jpegs.encode(QUARTERS, 90), (60, 40, 3, 1, True)),
        (progressive(QUARTERS), (60, 40, 3, 1, True)),
        (jpegs.encode(QUARTERS[:1, :1], 90), (1, 1, 3, 1, True)),
        (with_orientation(jpegs.encode(QUARTERS, 90), 6), (60, 40, 3, 6, True)),
        (with_orientation(jpegs.encode(QUARTERS, 90), 8, ">"), (60, 40, 3, 8, True)),
        (with_orientation(jpegs.encode(QUARTERS, 90), 77), (60, 40, 3, 1, True)),
        (without_tables(jpegs.encode(QUARTERS, 90)), (60, 40, 3, 1, False)),
    ],
)
def test_the_header_is_read(jpeg: bytes, expected: tuple[object, ...]) -> None:
    info = jpegs.read_header(jpeg)
    found = (info.width, info.height, info.components, info.orientation, info.has_huffman_tables)
    assert found == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\x89PNG\r\n", b"\xff\xd8", b"\xff\xd8\xff\xd9",
     b"\xff\xd8\x00\x01\x02\x03\x04", b"\xff\xd8\xff\xe0\x00\x00\xff\xe0\x00\x00",
     jpegs.encode(QUARTERS, 90)[:30]],
)  # fmt: skip
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG"):
        jpegs.read_header(data)


def test_every_prefix_is_read_or_refused() -> None:
    jpeg = with_orientation(jpegs.encode(QUARTERS, 90), 6)
    for length in range(len(jpeg)):
        try:
            assert jpegs.read_header(jpeg[:length]).width == 60
        except ValueError:
            continue


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_like_pillow_turns(orientation: int) -> None:
    jpeg = with_orientation(jpegs.encode(QUARTERS, 95), orientation)
    data, width, height = jpegs.admit(jpeg, CaptureSettings(jpeg_quality=95))
    upright = ImageOps.exif_transpose(PillowImage.open(io.BytesIO(jpeg)))
    assert (width, height) == upright.size
    ours = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if orientation > 1:  # no second turn by whoever reads it next
        assert jpegs.read_header(data).orientation == 1
    assert np.abs(ours.astype(int) - np.asarray(upright)[..., ::-1]).mean() < 3


def test_an_upright_jpeg_passes_untouched() -> None:
    jpeg = jpegs.encode(QUARTERS, 60)
    assert jpegs.admit(jpeg, CaptureSettings()) == (jpeg, 60, 40)


def test_missing_huffman_tables_are_put_in() -> None:
    complete = jpegs.encode(QUARTERS, 90)
    data, _, _ = jpegs.admit(without_tables(complete), CaptureSettings())
    assert jpegs.read_header(data).has_huffman_tables
    shown = np.asarray(PillowImage.open(io.BytesIO(data)))
    assert np.array_equal(shown, np.asarray(PillowImage.open(io.BytesIO(complete))))


def test_a_larger_jpeg_is_scaled_down() -> None:
    large = jpegs.encode(cv2.resize(QUARTERS, (3000, 2000)), 80)
    data, width, height = jpegs.admit(large, CaptureSettings(max_width=600, max_height=600))
    assert (width, height) == (600, 400)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (400, 600, 3)
    assert abs(int(image[100, 100, 0]) - 250) < 6
    assert int(image[350, 550, 0]) < 6


def test_more_pixels_than_allowed_are_refused() -> None:
    large = jpegs.encode(np.zeros((2000, 2000, 3), np.uint8), 50)
    with pytest.raises(ValueError, match="max_pixels"):
        jpegs.admit(large, CaptureSettings(max_width=1000, max_pixels=1_000_000))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((768, 432), (768, 432)), ((1, 1), (1, 1)), ((12000, 9000), (1920, 1440)),
     ((1000, 8000), (240, 1920)), ((100_000, 1), (1920, 1))],
)  # fmt: skip
def test_fitted(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert jpegs.fitted(*size, CaptureSettings()) == expected
