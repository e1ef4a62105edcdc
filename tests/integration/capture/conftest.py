"""Real pictures, videos and servers for capture's tests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from posewire.capture import jpeg as jpegs
from posewire.capture.sources import Picture, open_source
from posewire.shared.settings import CaptureSettings, SourceSettings

_BITS = 10


def numbered(number: int, width: int = 160, height: int = 96) -> jpegs.Image:
    """A picture in which ``number`` can be read: ten grey bars, light for each set bit.

    The rightmost bar is the lowest bit. The bottom quarter is red, to tell up from down.
    """
    image = np.zeros((height, width, 3), dtype=np.uint8)
    bar = width // _BITS
    for bit in range(_BITS):
        if number >> bit & 1:
            image[:, width - (bit + 1) * bar : width - bit * bar] = 220
    image[height * 3 // 4 :] = (0, 0, 200)
    return image


def number_in(jpeg: bytes) -> int:
    """Return the number that ``numbered`` has drawn."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    row, bar = image[height // 4, :, 1], width // _BITS
    return sum(1 << b for b in range(_BITS) if row[width - b * bar - bar // 2] > 110)


def write_video(
    path: Path,
    frames: int,
    *,
    fps: int = 10,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 96),
    faststart: bool = False,
) -> Path:
    """Write a video whose n-th frame shows n."""
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.time_base = Fraction(1, fps)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(number, *size), format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    return path


def source_of(url: object, **options: object) -> SourceSettings:
    """Settings of a source with short timeouts."""
    values = {"open_timeout_s": 2.0, "read_timeout_s": 2.0} | options
    return SourceSettings.model_validate({"url": str(url)} | values)


async def take(
    url: object,
    most: int | None = None,
    *,
    start_frame: int = 0,
    capture: CaptureSettings | None = None,
    **options: object,
) -> list[Picture]:
    """Return a source's pictures, at most ``most``."""
    source = await open_source(
        source_of(url, **options), capture or CaptureSettings(), start_frame=start_frame
    )
    found: list[Picture] = []
    try:
        async for picture in source:
            found.append(picture)
            if len(found) == most:
                break
    finally:
        await source.close()
    return found


class MjpegServer:
    """A camera that serves multipart Motion JPEG over HTTP."""

    def __init__(self) -> None:
        self.url = ""
        self.send = asyncio.Event()
        self.send.set()
        self.connections = 0
        self.credentials: str | None = None
        self.length_header = True
        self.answer: bytes | None = None
        self.number = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen; on the same port when it was stopped before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/video"

    async def stop(self) -> None:
        """Refuse new connections and break those that are open."""
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Break all open connections."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            await self._answer(request, writer)
        self._open.discard(writer)
        writer.close()

    async def _answer(self, request: str, writer: asyncio.StreamWriter) -> None:
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
            return
        if self.credentials is not None:
            wanted = "Basic " + base64.b64encode(self.credentials.encode()).decode()
            if f"Authorization: {wanted}" not in request:
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
        self.connections += 1
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )
        while True:
            await self.send.wait()
            jpeg = jpegs.encode(numbered(self.number % 1000), 90)
            length = f"Content-Length: {len(jpeg)}\r\n" if self.length_header else ""
            writer.write(f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode())
            writer.write(jpeg + b"\r\n")
            await writer.drain()
            self.number += 1
            await asyncio.sleep(0.02)


@pytest.fixture
async def mjpeg_server() -> AsyncIterator[MjpegServer]:
    """A running MjpegServer."""
    server = MjpegServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def new_video(tmp_path: Path) -> Callable[..., Path]:
    """Make a video whose n-th frame shows n."""

    def make(frames: int, name: str = "video.mp4", **options: object) -> Path:
        return write_video(tmp_path / name, frames, **options)  # type: ignore[arg-type]

    return make
