"""Child processes: the services and the embedded servers, started, watched, and stopped together.

Children run in sessions of their own, so a terminal's Ctrl-C reaches only the parent, which stops
them in order. Should the parent be killed, the kernel kills them (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey, die_with_parent
from posewire.shared.backoff import Backoff
from posewire.shared.python import module_command
from posewire.shared.tasks import cancel

_log = structlog.get_logger(__name__)
_GRACE_S = 2.0
"""After SIGTERM; then SIGKILL."""
_STEADY_S = 10.0
"""A child that ran for this long starts again without a pause when it dies."""
_LOG_LIMIT = 10_000_000

Server = EmbeddedValkey | EmbeddedPostgres


class Child:
    """A process that is started again whenever it ends."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self.restarts = 0
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def keep_running(self, on_death: Callable[[str, int, str], None]) -> None:
        """Start the process, and again after each death, until cancelled.

        ``on_death`` is called with the name, the exit code and the end of the log.
        """
        backoff = Backoff(first_s=0.1, most_s=5.0)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            self._spawn()
            assert self._process is not None
            while (code := self._process.poll()) is None:
                await asyncio.sleep(0.05)
            on_death(self.name, code, self.log_tail())
            self.restarts += 1
            if loop.time() - started > _STEADY_S:
                backoff.reset()
            await backoff.sleep()

    def _spawn(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        # What the parent has merged into the file must not be overridden by what it came from.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POSEWIRE_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- system calls only
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-3:])
        return ""


class Supervisor:
    """Keeps servers and services running until it is stopped."""

    def __init__(self, servers: Sequence[Server], children: Sequence[Child]) -> None:
        self.servers = list(servers)
        self.children = list(children)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, on_death: Callable[[str, int, str], None]) -> None:
        """Start what is to run and keep watching it."""
        for child in self.children:
            task = asyncio.create_task(child.keep_running(on_death), name=child.name)
            self._tasks.append(task)
        for server in self.servers:
            self._tasks.append(asyncio.create_task(_revive(server, on_death), name=server.name))

    async def stop(self) -> None:
        """Stop services, then servers: at most three seconds."""
        await cancel(self._tasks)
        for child in self.children:
            child.signal(signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + _GRACE_S
        while any(child.pid for child in self.children):
            if asyncio.get_running_loop().time() > deadline:
                for child in self.children:
                    child.signal(signal.SIGKILL)
            await asyncio.sleep(0.02)
        await asyncio.gather(*(server.stop() for server in self.servers))


async def _revive(server: Server, on_death: Callable[[str, int, str], None]) -> None:
    while True:
        await asyncio.sleep(0.1)
        if not server.alive:
            on_death(server.name, -1, "")
            await server.start()


def service_command(service: str, settings_file: Path) -> list[str]:
    """Return the command of a service as a child process."""
    return module_command("posewire", "run", service, "--config", str(settings_file))
