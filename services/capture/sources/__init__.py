"""Sources of pictures, behind one small interface."""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from posewire.capture.sources import images, mjpeg, picamera, video
from posewire.capture.sources.base import Picture, Source, Step, without_credentials
from posewire.capture.sources.threaded import ThreadedSource
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings, SourceSettings

__all__ = ["Picture", "Source", "is_stream", "open_source"]

_STREAMS = ("rtsp", "rtsps", "http", "https")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# The reader's own timeout comes first and knows more; this one is for what cannot be interrupted.
_MARGIN_S = 1.0


def is_stream(url: str) -> bool:
    """Return whether ``url`` is on a network: trying again is the normal thing to do."""
    return _scheme(url) in _STREAMS


async def open_source(
    source: SourceSettings, capture: CaptureSettings, *, start_frame: int = 0
) -> Source:
    """Open what ``source.url`` names.

    Args:
        source: where it is, and how long to wait for it.
        capture: size and quality of the pictures.
        start_frame: files and images: index of the first picture wanted; those before it are
            passed over. Ignored by cameras and streams.

    Raises SourceError with a text for people, without credentials.
    """
    read = _reader(source, capture, start_frame)
    opened = ThreadedSource(
        read,
        name=without_credentials(source.url, source.url),
        read_timeout_s=source.read_timeout_s,
    )
    # rtsp knocks first and V4L2 tries twice, each with the timeout.
    await opened.start(2 * source.open_timeout_s + _MARGIN_S)
    return opened


def _reader(
    source: SourceSettings, capture: CaptureSettings, start_frame: int
) -> Callable[[], Generator[Step, None, None]]:
    url, scheme = source.url, _scheme(source.url)
    if scheme in ("rtsp", "rtsps"):
        return functools.partial(video.read_rtsp, source, capture)
    if scheme in ("http", "https"):
        return functools.partial(mjpeg.read_http, source, capture, start_frame)
    if url.startswith("picamera:"):
        number = url.removeprefix("picamera:") or "0"
        if not number.isdecimal():
            raise SourceError(f"expected picamera:0 or another number, got {url}")
        return functools.partial(picamera.read_picamera, int(number), source, capture)
    if url.isdecimal() or url.startswith("/dev/video"):
        return functools.partial(video.read_device, source, capture)
    path = _path(url, scheme)
    read = images.read_images if images.is_images(path) else video.read_file
    return functools.partial(read, path, source, capture, start_frame)


def _scheme(url: str) -> str | None:
    found = _SCHEME.match(url)
    return found[1].lower() if found else None


def _path(url: str, scheme: str | None) -> str:
    if url.startswith("clip:"):
        name = url.removeprefix("clip:")
        clip = importlib.resources.files("posewire") / "capture" / "assets" / f"{name}.mp4"
        if not re.fullmatch(r"[a-z0-9_-]+", name) or not clip.is_file():
            raise SourceError(f"there is no clip {name!r} in Posewire; clip:people is")
        return str(clip)
    if scheme == "file":
        return unquote(urlsplit(url).path)
    if scheme is not None:
        shown = without_credentials(url, url)
        raise SourceError(
            f"{shown}: {scheme}:// is not known; known: file, {', '.join(_STREAMS)}, "
            "picamera:0, clip:people, a device number, a path"
        )
    return str(Path(url).expanduser())
