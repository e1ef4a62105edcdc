"""The Raspberry Pi's camera: through picamera2 where it is installed, else rpicam-vid.

Untested on a real Pi camera: there was none. The rpicam-vid path is tested with a program that
writes what rpicam-vid writes; picamera2 is used as in its own MJPEG server example.
"""

from __future__ import annotations

import importlib.util
import io
import os
import queue
import select
import shutil
import subprocess
from collections.abc import Generator, Iterator
from typing import Any

from posewire.capture.sources.base import Opened, Step
from posewire.capture.sources.mjpeg import pictures
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings, SourceSettings

_PROGRAMS = ("rpicam-vid", "libcamera-vid")
_WIDTH, _HEIGHT, _FPS = 1280, 720, 30.0


def read_picamera(
    number: int, source: SourceSettings, capture: CaptureSettings
) -> Generator[Step, None, None]:
    """Yield the pictures of Pi camera ``number``, undecoded. Raises SourceError."""
    if importlib.util.find_spec("picamera2") is not None:
        chunks = _picamera2(number, source)
    else:
        program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
        if program is None:
            raise SourceError(
                f"Pi camera {number}: neither picamera2 nor {_PROGRAMS[0]} is installed; "
                "install rpicam-apps (or python3-picamera2)"
            )
        chunks = _rpicam_vid(program, number, source)
    yield Opened(live=True, fps=source.fps or _FPS)
    try:
        yield from pictures(chunks, capture)
    except ValueError as error:
        raise SourceError(f"Pi camera {number}: {error}") from None


def _rpicam_vid(program: str, number: int, source: SourceSettings) -> Iterator[bytes]:
    command = [
        program, "--camera", str(number), "--codec", "mjpeg", "--nopreview", "--timeout", "0",
        "--width", str(source.width or _WIDTH), "--height", str(source.height or _HEIGHT),
        "--framerate", f"{source.fps or _FPS:g}", "--flush", "--output", "-",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        output, complaints = process.stdout.fileno(), process.stderr.fileno()
        said = b""
        try:
            while True:
                ready, _, _ = select.select([output, complaints], [], [], source.read_timeout_s)
                if not ready:
                    raise SourceError(
                        f"Pi camera {number}: no data for {source.read_timeout_s:g} s"
                    )
                # Its chatter must be read too, or the pipe fills and it stops.
                if complaints in ready:
                    said = (said + os.read(complaints, 65536))[-500:]
                if output in ready:
                    data = os.read(output, 1 << 20)
                    if not data:
                        break
                    yield data
        finally:
            process.kill()
            process.wait()
    last = said.decode(errors="replace").strip().splitlines()[-1:]
    raise SourceError(f"Pi camera {number}: {program} ended: {last[0] if last else 'no reason'}")


def _picamera2(number: int, source: SourceSettings) -> Iterator[bytes]:
    module: Any = importlib.import_module("picamera2")
    encoders: Any = importlib.import_module("picamera2.encoders")
    outputs: Any = importlib.import_module("picamera2.outputs")
    arrived: queue.Queue[bytes] = queue.Queue(maxsize=2)

    class Sink(io.BufferedIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            if arrived.full():
                arrived.get_nowait()
            arrived.put_nowait(bytes(data))
            return len(data)

    try:
        camera = module.Picamera2(number)
    except (IndexError, RuntimeError) as error:
        raise SourceError(f"Pi camera {number} cannot be opened: {error}") from None
    try:
        camera.configure(
            camera.create_video_configuration(
                main={"size": (source.width or _WIDTH, source.height or _HEIGHT)},
                controls={"FrameRate": source.fps or _FPS},
            )
        )
        camera.start_recording(encoders.MJPEGEncoder(), outputs.FileOutput(Sink()))
        while True:
            try:
                yield arrived.get(timeout=source.read_timeout_s)
            except queue.Empty:
                raise SourceError(
                    f"Pi camera {number}: no picture for {source.read_timeout_s:g} s"
                ) from None
    finally:
        camera.close()
