"""What goes wrong in the chaos test: networks are cut, disks are full, clocks jump."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import psutil

from posewire.launcher.embedded import EmbeddedValkey

FAKETIME = next(
    iter(
        path
        for folder in ("/usr/lib", "/usr/lib64")
        for path in Path(folder).glob("**/faketime/libfaketimeMT.so.1")
    ),
    None,
)


class Proxy:
    """A TCP port in front of a server's unix socket; what it forwards can be held up."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._victims: Callable[[], Iterable[int]] | None = None
        self._cut_ports: set[int] = set()
        self._everybody = False
        self._connections: dict[int, list[asyncio.StreamWriter]] = {}
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self, victims: Callable[[], Iterable[int]] | None = None) -> None:
        """Forward nothing, in no direction; with ``victims``, nothing of these processes."""
        self._everybody, self._victims = victims is None, victims
        self._look_for_victims()

    def heal(self, *, reset: bool) -> None:
        """Forward again. ``reset``: connections that were cut are gone; else they go on."""
        cut = set(self._connections) if self._everybody else self._cut_ports
        self._everybody, self._victims, self._cut_ports = False, None, set()
        if reset:
            for port in cut & set(self._connections):
                for writer in self._connections[port]:
                    writer.transport.abort()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.heal(reset=False)
        for writers in list(self._connections.values()):
            for writer in writers:
                writer.transport.abort()

    def _look_for_victims(self) -> None:
        for pid in self._victims() if self._victims is not None else ():
            with contextlib.suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp"):
                    self._cut_ports.add(connection.laddr.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        self._look_for_victims()
        try:
            server, to_server = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        self._connections[port] = [writer, to_server]
        pumps = [self._pump(port, reader, to_server), self._pump(port, server, writer)]
        try:
            await asyncio.gather(*pumps)
        finally:
            self._connections.pop(port, None)
            writer.close()
            to_server.close()

    async def _pump(
        self, port: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                while self._everybody or port in self._cut_ports:
                    await asyncio.sleep(0.05)
                sink.write(data)
                await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()


class Clock:
    """The wall clock of the Python services, as they see it.

    libfaketime cannot be used for them: it breaks clock_nanosleep with absolute times, by which
    Python sleeps from 3.11 on. So ``sitecustomize`` replaces ``time.time``, which is the only way
    by which the services and the tracker read the wall clock.
    """

    _SITECUSTOMIZE = """\
import pathlib, time
_offset, _time = pathlib.Path({offset!r}), time.time
def _shifted():
    return _time() + float(_offset.read_text() or 0)
time.time = _shifted
"""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._offset = folder / "offset"
        self.set(0)
        code = self._SITECUSTOMIZE.format(offset=str(self._offset))
        (folder / "sitecustomize.py").write_text(code)
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {"PYTHONPATH": os.pathsep.join(paths)}

    def set(self, seconds: float) -> None:
        """Set the clock so many seconds ahead."""
        part = self._offset.with_suffix(".part")
        part.write_text(str(seconds))
        part.replace(self._offset)


class JumpingValkey(EmbeddedValkey):
    """A Valkey whose clock is libfaketime's: ids and leases are made by it."""

    def set_clock(self, seconds: float) -> None:
        """Set the clock so many seconds ahead."""
        (self.data / "faketime").write_text(f"{seconds:+.0f}")

    def _command(self) -> list[str]:
        if FAKETIME is None:
            return super()._command()
        if not (self.data / "faketime").exists():
            self.set_clock(0)
        return [
            "env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={self.data / 'faketime'}",
            "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1",
            *super()._command(),
        ]  # fmt: skip


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a small tmpfs on ``folder``; False where only root may and this is not root."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextlib.asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[None]:
    """Leave no byte free on the disk of ``folder`` while the body runs."""
    filler = folder / "filler"
    try:
        with filler.open("wb") as file:
            while True:
                free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), max(free, 4096))
                except OSError:
                    break
                file.seek(0, os.SEEK_END)
        yield
    finally:
        filler.unlink(missing_ok=True)
