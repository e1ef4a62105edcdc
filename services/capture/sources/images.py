"""Image files as a source: one file, a folder, or a glob, in natural order."""

from __future__ import annotations

import glob
import io
import re
from collections.abc import Generator
from pathlib import Path

import structlog
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from posewire.capture import jpeg as jpegs
from posewire.capture.sources.base import Opened, Picture, Step
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings, SourceSettings

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
_ORIENTATION_TAG = 0x0112
# Pillow only reads headers here; how many pixels are too many is capture.max_pixels' to say.
PillowImage.MAX_IMAGE_PIXELS = None
_log = structlog.get_logger(__name__)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which ``img2.jpg`` comes before ``img10.jpg``."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", name)
        if part
    ]


def is_images(path: str) -> bool:
    """Return whether ``path`` stands for image files: a folder, a glob, or an image's name."""
    return (
        Path(path).is_dir()
        or (glob.has_magic(path) and not Path(path).exists())
        or Path(path).suffix.lower() in SUFFIXES
    )


def list_images(path: str) -> list[Path]:
    """Return the image files that ``path`` stands for.

    Raises SourceError where there are none.
    """
    if Path(path).is_dir():
        found, what = list(Path(path).iterdir()), f"folder {path}"
    elif Path(path).exists():
        return [Path(path)]
    elif glob.has_magic(path):
        # Path.glob takes no absolute patterns.
        names = glob.glob(path, recursive=True)  # noqa: PTH207
        found, what = [Path(name) for name in names], f"pattern {path}"
    else:
        raise SourceError(f"image {path} does not exist")
    images = [p for p in found if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not images:
        raise SourceError(
            f"{what} has no images (of {len(found)} files none ends in "
            f"{', '.join(sorted(SUFFIXES))})"
        )
    return sorted(images, key=lambda p: natural_key(str(p)))


def read_images(
    path: str, source: SourceSettings, capture: CaptureSettings, start_frame: int
) -> Generator[Step, None, None]:
    """Yield the images of ``path``, ``1 / source.fps`` apart; stills without a rate, a second.

    A file that cannot be read is logged and left out: its index is missing.

    Raises SourceError where there are no images, or where none of them can be read.
    """
    files = list_images(path)
    yield Opened(live=False, fps=source.fps or 0.0, frames=len(files))
    good, problem = start_frame > 0, ""
    for index, file in enumerate(files[start_frame:], start_frame):
        try:
            jpeg, width, height = load_image(file.read_bytes(), capture)
        except (OSError, ValueError) as error:
            problem = f"{file}: {error}"
            _log.warning("capture.image_skipped", file=str(file), reason=str(error))
            yield None
            continue
        good = True
        yield Picture(jpeg, width, height, index / (source.fps or 1.0), index, file.name)
    if not good:
        raise SourceError(f"none of the {len(files)} images can be read; the last: {problem}")


def load_image(data: bytes, capture: CaptureSettings) -> tuple[bytes, int, int]:
    """Return an image file as upright JPEG of an allowed size, its width and its height.

    A JPEG that is one already passes through undecoded.

    Raises ValueError where it is no image, or one of more than ``capture.max_pixels``.
    """
    if data[:2] == b"\xff\xd8":
        return jpegs.admit(data, capture)
    if not data:
        raise ValueError("the file is empty")
    width, height, orientation = _read_header(data)
    if width * height > capture.max_pixels:
        raise ValueError(f"{width}x{height} is more than capture.max_pixels ({capture.max_pixels})")
    shown = (height, width) if orientation >= 5 else (width, height)
    limit = jpegs.fitted(*shown, capture)
    image = jpegs.decode(data, orientation, (width, height), limit)
    return jpegs.encode(image, capture.jpeg_quality), *limit


def _read_header(data: bytes) -> tuple[int, int, int]:
    """Return width, height and EXIF orientation without decoding the picture."""
    try:
        with PillowImage.open(io.BytesIO(data)) as image:
            orientation = image.getexif().get(_ORIENTATION_TAG, 1)
            width, height = image.size
    except UnidentifiedImageError:
        raise ValueError("it is no image in a known format") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"its header cannot be read: {error}") from None
    return width, height, orientation if orientation in range(1, 9) else 1
