"""Motion JPEG: pictures cut out of a byte stream, and multipart streams over HTTP."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from urllib.parse import unquote, urlsplit

import httpx

from posewire.capture import jpeg as jpegs
from posewire.capture.sources import video
from posewire.capture.sources.base import Opened, Picture, Step, without_credentials
from posewire.capture.sources.clock import LiveClock
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings, SourceSettings

_MOST_BYTES = 32 * 1024 * 1024
_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".m3u8", ".mpd")


class Splitter:
    """Cuts JPEGs out of a stream of them, whatever stands between (multipart headers, nothing).

    It walks over the segments up to the scan and looks for the end marker behind it: a thumbnail
    within an EXIF segment has an end marker too.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._data = bytearray()
        self._most_bytes = most_bytes
        self._searched = 0
        self._scan = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the JPEGs that ``data`` completes. Raises ValueError where one never ends."""
        self._data += data
        while (jpeg := self._next()) is not None:
            yield jpeg
        if len(self._data) > self._most_bytes:
            raise ValueError(f"a picture of more than {self._most_bytes} bytes")

    def _next(self) -> bytes | None:
        data = self._data
        if data[:3] != b"\xff\xd8\xff":
            start = data.find(b"\xff\xd8\xff")
            del data[: start if start >= 0 else max(0, len(data) - 2)]
            self._searched = self._scan = 0
            if start < 0:
                return None
        if not self._scan:
            self._scan = self._find_scan()
            if not self._scan:
                return None
        end = data.find(b"\xff\xd9", max(self._scan, self._searched))
        if end < 0:
            self._searched = max(0, len(data) - 1)
            return None
        jpeg = bytes(data[: end + 2])
        del data[: end + 2]
        self._searched = self._scan = 0
        return jpeg

    def _find_scan(self) -> int:
        """Return where the entropy-coded data begins, 0 where it has not come yet."""
        data, at = self._data, 2
        while at + 4 <= len(data):
            if data[at] != 0xFF:
                return at  # broken; the end marker will be found behind it
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if data[at + 1] == 0xDA:
                return at + 2 + length
            at += 1 if data[at + 1] == 0xFF else 2 + max(2, length)
        return 0


def read_http(
    source: SourceSettings, capture: CaptureSettings, start_frame: int
) -> Generator[Step, None, None]:
    """Yield the pictures of an http(s):// URL.

    multipart/x-mixed-replace passes through undecoded; everything else is FFmpeg's.
    Raises SourceError.
    """
    if not urlsplit(source.url).path.lower().endswith(_VIDEO_SUFFIXES):
        shown = without_credentials(source.url, source.url)
        try:
            yield from _read_multipart(source, shown, capture)
        except _NotMultipart:
            pass
        else:
            raise SourceError(f"{shown}: the stream ended")
    yield from video.read_http(source, capture, start_frame)


class _NotMultipart(Exception):
    """The URL answers with something else."""


def _read_multipart(
    source: SourceSettings, shown: str, capture: CaptureSettings
) -> Generator[Step, None, None]:
    timeout = httpx.Timeout(source.open_timeout_s, read=source.read_timeout_s)
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=True) as client,
            _get(client, source.url) as response,
        ):
            if response.status_code >= 400:
                raise SourceError(
                    f"{shown} answers {response.status_code} {response.reason_phrase}"
                )
            kind = response.headers.get("content-type", "").lower()
            if not kind.startswith("multipart/"):
                raise _NotMultipart
            yield Opened(live=True)
            yield from pictures(response.iter_raw(), capture)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise SourceError(f"{shown}: {without_credentials(reason, source.url)}") from None
    except ValueError as error:
        raise SourceError(f"{shown}: {error}") from None


@contextlib.contextmanager
def _get(client: httpx.Client, address: str) -> Iterator[httpx.Response]:
    """GET with the URL's credentials: Basic first, Digest where the camera asks for it.

    They are taken out of the URL, which httpx prints in its logs and errors.
    """
    url = httpx.URL(address)
    user = (unquote(url.username), unquote(url.password)) if url.username else None
    request = client.build_request("GET", url.copy_with(userinfo=b""))
    response = client.send(request, stream=True, auth=user)
    wanted = response.headers.get("www-authenticate", "").lower()
    if response.status_code == 401 and wanted.startswith("digest") and user is not None:
        response.close()
        response = client.send(request, stream=True, auth=httpx.DigestAuth(*user))
    try:
        yield response
    finally:
        response.close()


def pictures(chunks: Iterator[bytes], capture: CaptureSettings) -> Iterator[Picture | None]:
    """Yield the pictures in a stream of JPEGs; one that is broken is left out (None).

    Raises ValueError where a picture never ends.
    """
    splitter, clock, index = Splitter(), LiveClock(), 0
    for chunk in chunks:
        for jpeg in splitter.feed(chunk):
            t = clock.time(None, time.monotonic())
            try:
                data, width, height = jpegs.admit(jpeg, capture)
            except ValueError:
                yield None
            else:
                yield Picture(data, width, height, t, index)
            index += 1
        yield None
