"""Cameras on networks: Motion JPEG over HTTP, remote files, RTSP, and the Pi's program."""

from __future__ import annotations

import asyncio
import http.server
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from posewire.capture import jpeg as jpegs
from posewire.capture.sources import open_source
from posewire.shared.errors import SourceError
from posewire.shared.settings import CaptureSettings
from tests.integration.capture.conftest import (
    MjpegServer,
    number_in,
    numbered,
    source_of,
    take,
)


class TestMjpeg:
    @pytest.mark.parametrize("length_header", [True, False])
    async def test_pictures_pass_through_undecoded(
        self, mjpeg_server: MjpegServer, length_header: bool
    ) -> None:
        mjpeg_server.length_header = length_header
        found = await take(mjpeg_server.url, 5)
        for picture in found:
            assert picture.jpeg == jpegs.encode(numbered(number_in(picture.jpeg)), 90)
            assert (picture.width, picture.height) == (160, 96)
        times = [p.t for p in found]
        assert times[0] == 0.0
        assert times == sorted(times)

    async def test_it_is_live(self, mjpeg_server: MjpegServer) -> None:
        source = await open_source(source_of(mjpeg_server.url), CaptureSettings())
        assert source.live
        await source.close()

    async def test_who_reads_slowly_gets_the_newest(self, mjpeg_server: MjpegServer) -> None:
        source = await open_source(source_of(mjpeg_server.url), CaptureSettings())
        first = await anext(aiter(source))
        while mjpeg_server.number < number_in(first.jpeg) + 20:
            await asyncio.sleep(0.01)
        sent = mjpeg_server.number
        await anext(aiter(source))
        second = await anext(aiter(source))
        await source.close()
        assert sent - number_in(second.jpeg) <= 4
        assert second.index == number_in(second.jpeg) - number_in(first.jpeg) + first.index

    async def test_silence_is_a_stall(self, mjpeg_server: MjpegServer) -> None:
        source = await open_source(
            source_of(mjpeg_server.url, read_timeout_s=0.5), CaptureSettings()
        )
        await anext(aiter(source))
        mjpeg_server.send.clear()
        with pytest.raises(SourceError, match=r"no picture for 0\.5 s|timed out"):
            async for _ in source:
                pass
        await source.close()

    async def test_a_broken_connection_is_a_loss(self, mjpeg_server: MjpegServer) -> None:
        source = await open_source(source_of(mjpeg_server.url), CaptureSettings())
        await anext(aiter(source))
        mjpeg_server.hang_up()
        with pytest.raises(SourceError):
            async for _ in source:
                pass
        await source.close()

    async def test_credentials_are_used_and_not_shown(self, mjpeg_server: MjpegServer) -> None:
        mjpeg_server.credentials = "viewer:s3cr/t@x"
        good = mjpeg_server.url.replace("http://", "http://viewer:s3cr%2Ft%40x@")
        assert len(await take(good, 2)) == 2
        bad = mjpeg_server.url.replace("http://", "http://viewer:wr0ng@")
        with pytest.raises(SourceError, match="401") as raised:
            await take(bad, 2)
        assert "wr0ng" not in str(raised.value)

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n",
            b"junk",
            b"",
        ],
    )
    async def test_other_answers_are_errors(self, mjpeg_server: MjpegServer, answer: bytes) -> None:
        mjpeg_server.answer = answer
        with pytest.raises(SourceError):
            await take(mjpeg_server.url)

    async def test_nobody_there(self) -> None:
        with pytest.raises(SourceError, match="127"):
            await take("http://127.0.0.1:9/video")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server for the files in tmp_path."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_remote_video_file_is_a_file(web: str, new_video: Callable[..., Path]) -> None:
    new_video(20, "remote.mp4")
    source = await open_source(source_of(f"{web}/remote.mp4"), CaptureSettings())
    assert (source.live, source.frames) == (False, 20)
    assert [number_in(p.jpeg) async for p in source] == list(range(20))
    await source.close()
    with pytest.raises(SourceError, match="404"):
        await take(f"{web}/none.mp4")


async def test_a_video_without_a_telling_name(web: str, new_video: Callable[..., Path]) -> None:
    new_video(5, "download.mp4").rename(new_video(1, "x.mp4").parent / "download")
    assert len(await take(f"{web}/download")) == 5


class TestRtsp:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("rtsp://viewer:hunter22@127.0.0.1:9/live", "127.0.0.1:9 cannot be reached"),
            ("rtsp://viewer:hunter22@camera.invalid/live", "the name camera.invalid is unknown"),
            ("rtsp://viewer:hunter22@:99999/live", "RTSP URL|no host"),
        ],
    )
    async def test_unreachable(self, url: str, expected: str) -> None:
        with capture_logs() as logs, pytest.raises(SourceError, match=expected) as raised:
            await take(url)
        assert "hunter22" not in str(raised.value) + repr(logs)

    async def test_a_host_that_never_answers(self) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            with pytest.raises(SourceError, match="does not answer in time"):
                await take(f"rtsp://127.0.0.1:{port}/live", open_timeout_s=0.5)
        finally:
            server.close()
            await asyncio.sleep(0)

    async def test_a_real_stream(self, rtsp_url: str) -> None:
        source = await open_source(source_of(rtsp_url, open_timeout_s=8), CaptureSettings())
        assert source.live
        found = []
        async for picture in source:
            found.append(picture)
            if len(found) == 10:
                break
        await source.close()
        assert {(p.width, p.height) for p in found} == {(320, 240)}
        times = [p.t for p in found]
        assert times[0] == 0.0
        assert times == sorted(times)
        assert times[-1] > 0.3

    _SERVER = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(); server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory(); factory.set_shared(True)
factory.set_launch("( videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1"
                   " ! x264enc tune=zerolatency key-int-max=15 speed-preset=ultrafast"
                   " ! rtph264pay name=pay0 pt=96 config-interval=1 )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""

    @pytest.fixture
    async def rtsp_url(self) -> AsyncIterator[str]:
        """A GStreamer RTSP server's stream."""
        python = "/usr/bin/python3"
        probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
        if (
            not Path(python).exists()
            or subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode
        ):
            pytest.skip("no GStreamer RTSP server (apt install gir1.2-gst-rtsp-server-1.0)")
        process = subprocess.Popen(
            [python, "-c", self._SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        yield f"rtsp://127.0.0.1:{int(line)}/live"
        process.kill()
        process.wait()
        process.stdout.close()


class TestPiCamera:
    """The program is a stand-in: there is no Pi camera here. What it writes is cut up for real."""

    @pytest.fixture
    def rpicam(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An rpicam-vid that writes its arguments to a file and pictures in odd pieces."""
        program = tmp_path / "bin" / "rpicam-vid"
        program.parent.mkdir()
        pictures = b"".join(jpegs.encode(numbered(n), 90) for n in range(1, 6))
        (tmp_path / "stream.mjpeg").write_bytes(pictures)
        program.write_text(
            f"#!{sys.executable}\n"
            "import os, sys, time\n"
            f"open({str(tmp_path / 'arguments')!r}, 'w').write(' '.join(sys.argv[1:]))\n"
            "os.write(2, b'chatter\\n' * 20000)\n"
            f"data = open({str(tmp_path / 'stream.mjpeg')!r}, 'rb').read()\n"
            "for at in range(0, len(data), 1009):\n"
            "    os.write(1, data[at : at + 1009]); time.sleep(0.005)\n"
            "if os.path.exists(sys.argv[0] + '.hangs'): time.sleep(60)\n"
            "sys.exit('ERROR: the camera is gone')\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(program.parent))
        return program

    async def test_its_stream_is_cut_into_pictures(self, rpicam: Path, tmp_path: Path) -> None:
        source = await open_source(
            source_of("picamera:1", width=640, height=480, fps=12), CaptureSettings()
        )
        assert (source.live, source.fps) == (True, 12.0)
        found = []
        with pytest.raises(SourceError, match="the camera is gone"):
            async for picture in source:
                found.append(number_in(picture.jpeg))
        await source.close()
        assert found == [1, 2, 3, 4, 5]
        arguments = (tmp_path / "arguments").read_text()
        assert "--camera 1 " in arguments
        assert "--codec mjpeg" in arguments
        assert "--width 640 --height 480 --framerate 12" in arguments

    async def test_its_silence_is_a_stall_and_ends_it(self, rpicam: Path) -> None:
        Path(f"{rpicam}.hangs").touch()
        source = await open_source(source_of("picamera:0", read_timeout_s=0.5), CaptureSettings())
        with pytest.raises(SourceError, match=r"for 0\.5 s"):
            async for _ in source:
                pass
        await source.close()

    async def test_without_any_program(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert shutil.which("rpicam-vid") is None
        with pytest.raises(SourceError, match="rpicam-vid is installed"):
            await take("picamera:0")
