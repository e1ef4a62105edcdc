"""Everything FFmpeg opens: video files, GIFs, remote files, RTSP and other streams, V4L2."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import av
import av.error
import structlog
from av.codec.context import Flags

from posewire.capture import jpeg as jpegs
from posewire.capture.sources.base import Opened, Picture, Step, without_credentials
from posewire.capture.sources.clock import LiveClock
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings, SourceSettings

_log = structlog.get_logger(__name__)
_ORIENTATION_OF_TURN = {90: 8, 180: 3, 270: 6}
"""EXIF's orientation for a display matrix that turns counterclockwise by so many degrees."""
_RTSP_PORT = 554


@dataclass(frozen=True, slots=True)
class Input:
    """What FFmpeg is to open."""

    target: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    live: bool | None = None
    """None: live where FFmpeg knows no duration."""

    @property
    def shown(self) -> str:
        """Return the target as it may be shown to people."""
        return without_credentials(self.target, self.target)


def read_file(
    path: str, source: SourceSettings, capture: CaptureSettings, start_frame: int
) -> Generator[Step, None, None]:
    """Yield the frames of a video file or animated GIF. Raises SourceError."""
    file = Path(path)
    if not file.exists():
        raise SourceError(f"video {path} does not exist")
    if not file.is_file():
        raise SourceError(f"{path} is no file")
    if file.stat().st_size == 0:
        raise SourceError(f"video {path} is empty (0 bytes)")
    # An absolute path, so that a colon in a name does not make a protocol of it.
    what = Input(f"file:{file.absolute()}", live=False)
    yield from _read(what, path, source, capture, start_frame)


def read_rtsp(source: SourceSettings, capture: CaptureSettings) -> Generator[Step, None, None]:
    """Yield the frames of an RTSP stream, over TCP. Raises SourceError."""
    shown = without_credentials(source.url, source.url)
    _knock(source, shown)
    what = Input(
        source.url,
        options={"rtsp_transport": "tcp", "timeout": str(round(source.read_timeout_s * 1e6))},
        live=True,
    )
    yield from _read(what, shown, source, capture, 0)


def read_http(
    source: SourceSettings, capture: CaptureSettings, start_frame: int
) -> Generator[Step, None, None]:
    """Yield the frames of a remote video file, HLS or another stream. Raises SourceError."""
    what = Input(source.url, options={"reconnect": "1", "reconnect_delay_max": "2"})
    yield from _read(what, what.shown, source, capture, start_frame)


def read_device(source: SourceSettings, capture: CaptureSettings) -> Generator[Step, None, None]:
    """Yield the frames of a V4L2 camera, as Motion JPEG where it offers that. Raises SourceError.

    ``source.url`` is a number or /dev/videoN.
    """
    device = f"/dev/video{source.url}" if source.url.isdecimal() else source.url
    if not Path(device).exists():
        present = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
        raise SourceError(f"camera {source.url}: {device} does not exist (present: {present})")
    options = {}
    if source.width and source.height:
        options["video_size"] = f"{source.width}x{source.height}"
    if source.fps:
        options["framerate"] = f"{source.fps:g}"
    packed = Input(device, "v4l2", options | {"input_format": "mjpeg"}, live=True)
    plain = Input(device, "v4l2", options, live=True)
    try:
        container = _open(packed, device, source)
    except SourceError:
        container = _open(plain, device, source)
    yield from _play(container, plain, device, capture, 0)


def _read(
    what: Input, shown: str, source: SourceSettings, capture: CaptureSettings, start_frame: int
) -> Generator[Step, None, None]:
    yield from _play(_open(what, shown, source), what, shown, capture, start_frame)


def _open(what: Input, shown: str, source: SourceSettings) -> Any:
    began = time.monotonic()
    try:
        return av.open(
            what.target,
            "r",
            format=what.format,
            options=what.options,
            timeout=(source.open_timeout_s, source.read_timeout_s),
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        # An open that was interrupted fails with whatever was going on at that moment.
        late = time.monotonic() - began >= source.open_timeout_s
        reason = "it does not answer in time" if late else _reason(error, what)
        raise SourceError(f"{shown} cannot be opened: {reason}") from None


def _reason(error: Exception, what: Input) -> str:
    """Say in words what FFmpeg says in numbers; the name of the source is said already."""
    if isinstance(error, av.error.InvalidDataError):
        return "it holds no video that can be read (truncated, or no video at all?)"
    if isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        return "it does not answer in time"
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "it wants another user name or password (401)"
    if isinstance(error, PermissionError):
        return "permission denied (for a camera: is this user in the group 'video'?)"
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return "another program uses it"
    text = getattr(error, "strerror", None) or str(error)
    return without_credentials(text, what.target)


def _play(
    container: Any, what: Input, shown: str, capture: CaptureSettings, start_frame: int
) -> Generator[Step, None, None]:
    with container:
        if not container.streams.video:
            raise SourceError(f"{shown} has no video in it")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise SourceError(f"{shown}: its video codec is unknown here")
        live = what.live if what.live is not None else container.duration is None
        # Frame threads conceal errors in an order that depends on timing; files must come out the
        # same each time, and live frames without the delay of a frame for each thread.
        stream.thread_type = "SLICE"
        if live:
            stream.codec_context.flags |= Flags.low_delay
        rate = stream.average_rate or stream.guessed_rate
        frames = stream.frames or None
        yield Opened(live, float(rate) if rate else 0.0, frames)
        if live and stream.codec_context.name == "mjpeg":
            yield from _pass_through(container, stream, what, shown, capture)
        elif live:
            yield from _live_frames(container, stream, what, shown, capture)
        else:
            yield from _file_frames(container, stream, what, shown, capture, start_frame)
    if live:
        raise SourceError(f"{shown}: the stream ended")


def _file_frames(
    container: Any, stream: Any, what: Input, shown: str, capture: CaptureSettings, start: int
) -> Iterator[Picture | None]:
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    index, first, t = 0, None, 0.0
    for frame in _decoded(container, stream, what, shown):
        stamp = frame.time
        first = stamp if first is None else first
        # Time goes on where stamps are missing or run backwards.
        due = t + (1 / rate if index else 0.0)
        t = max(t, stamp - first) if stamp is not None and first is not None else due
        if index < start:
            yield None
        else:
            yield _encoded(frame, t, index, capture)
        index += 1
    if index == 0:
        raise SourceError(f"{shown} has no frames that can be read")
    if stream.frames and index < stream.frames - 2:
        _log.warning("capture.file_ends_early", source=shown, frames=index, announced=stream.frames)


def _live_frames(
    container: Any, stream: Any, what: Input, shown: str, capture: CaptureSettings
) -> Iterator[Picture]:
    clock = LiveClock()
    for index, frame in enumerate(_decoded(container, stream, what, shown)):
        yield _encoded(frame, clock.time(frame.time, time.monotonic()), index, capture)


def _pass_through(
    container: Any, stream: Any, what: Input, shown: str, capture: CaptureSettings
) -> Iterator[Picture | None]:
    clock, index = LiveClock(), 0
    for packet in _packets(container, stream, what, shown):
        if not packet.size:
            continue
        stamp = float(packet.pts * packet.time_base) if packet.pts is not None else None
        t = clock.time(stamp, time.monotonic())
        try:
            jpeg, width, height = jpegs.admit(bytes(packet), capture)
        except ValueError:
            yield None  # half a picture, as webcams send first
        else:
            yield Picture(jpeg, width, height, t, index)
        index += 1


def _packets(container: Any, stream: Any, what: Input, shown: str) -> Iterator[Any]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.InvalidDataError:
            return  # a file that breaks off
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{shown} is lost: {_reason(error, what)}") from None
        if packet is None:
            return
        yield packet


def _decoded(container: Any, stream: Any, what: Input, shown: str) -> Iterator[Any]:
    """Yield decoded frames; what cannot be decoded is left out and counted in one log line."""
    broken = 0
    for packet in _packets(container, stream, what, shown):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            broken += 1
            if broken == 1:
                _log.warning("capture.broken_packet", source=shown)
            continue
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{shown} cannot be decoded: {_reason(error, what)}") from None
        yield from frames
    if broken:
        _log.warning("capture.broken_packets", source=shown, packets=broken)


def _encoded(frame: Any, t: float, index: int, capture: CaptureSettings) -> Picture:
    orientation = _ORIENTATION_OF_TURN.get(frame.rotation % 360, 1)
    turned = orientation >= 5
    shown = (frame.height, frame.width) if turned else (frame.width, frame.height)
    width, height = jpegs.fitted(*shown, capture)
    stored = (height, width) if turned else (width, height)
    smaller = stored != (frame.width, frame.height)
    image = frame.to_ndarray(
        format="bgr24",
        width=stored[0],
        height=stored[1],
        interpolation="AREA" if smaller else None,
    )
    upright = jpegs.turn_upright(cast(jpegs.Image, image), orientation)
    return Picture(jpegs.encode(upright, capture.jpeg_quality), width, height, t, index)


def _knock(source: SourceSettings, shown: str) -> None:
    """Connect and hang up: FFmpeg says "Input/output error" where a socket says what is wrong."""
    parts = urlsplit(source.url)
    try:
        host, port = parts.hostname, parts.port or _RTSP_PORT
    except ValueError as error:
        raise SourceError(f"{shown} is no RTSP URL: {error}") from None
    if not host:
        raise SourceError(f"{shown} names no host")
    try:
        socket.create_connection((host, port), source.open_timeout_s).close()
    except socket.gaierror:
        raise SourceError(f"{shown}: the name {host} is unknown") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise SourceError(f"{shown}: {host}:{port} cannot be reached ({reason})") from None
