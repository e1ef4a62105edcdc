"""Child processes: the services and the embedded servers, started, watched, and stopped together.

Whoever dies is started again, and whoever falls silent is killed first: services show signs of life
as they do to systemd, servers are asked.

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

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey
from posewire.launcher.heartbeat import SILENT_S, Heartbeat, Silence
from posewire.launcher.logs import ChildLog
from posewire.launcher.privileges import die_with_parent
from posewire.shared.backoff import Backoff
from posewire.shared.python import module_command
from posewire.shared.tasks import cancel
from posewire.shared.watchdog import START_S

_log = structlog.get_logger(__name__)
_GRACE_S = 2.0
"""After SIGTERM; then SIGKILL."""
_STEADY_S = 10.0
"""A child that ran for this long starts again without a pause when it dies."""
_LOOK_S = 0.05
_QUESTIONS = 5
"""A server is given up when so many questions in a row have had no answer."""

OnDeath = Callable[[str, int, str], None]
Server = EmbeddedValkey | EmbeddedPostgres


class Child:
    """A process that is started again whenever it ends or falls silent."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_file: Path,
        *,
        silent_s: float = SILENT_S,
        first_s: float = START_S,
    ) -> None:
        """``command`` tells of itself as to systemd (``posewire.shared.systemd``), or it is killed.

        Args:
            name: for people.
            command: what to start.
            log_file: where its output goes.
            silent_s: silence after which it is killed.
            first_s: the same until it has said that it is ready.
        """
        self.name = name
        self.restarts = 0
        self._command = list(command)
        self._log = ChildLog(log_file)
        self._silent_s, self._first_s = silent_s, first_s
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    async def keep_running(self, on_death: OnDeath) -> None:
        """Start the process, and again after each death, until cancelled.

        ``on_death`` is called with the name, the exit code and the end of the log.
        """
        backoff = Backoff(first_s=0.1, most_s=5.0)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            with contextlib.closing(Heartbeat(self._silent_s)) as heartbeat:
                process = self._process = self._spawn(heartbeat)
                await self._watch(process, heartbeat)
            on_death(self.name, process.returncode, self.log_tail())
            self.restarts += 1
            if loop.time() - started > _STEADY_S:
                backoff.reset()
            await backoff.sleep()

    async def _watch(self, process: subprocess.Popen[str], heartbeat: Heartbeat) -> None:
        """Return once the process has ended; kill it where it is silent for too long."""
        silence = Silence(self._silent_s, self._first_s)
        loop = asyncio.get_running_loop()
        before = loop.time()
        while process.poll() is None:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            if heard := heartbeat.read(process.pid):
                silence.broken(begun="READY=1" in heard)
            elif silence.passes(now - before):
                _log.error("child.silent", name=self.name, seconds=round(silence.seconds))
                process.kill()
            before = now

    def _spawn(self, heartbeat: Heartbeat) -> subprocess.Popen[str]:
        # What the parent has merged into the file must not be overridden by what it came from, and
        # whoever watches the parent does not watch its children.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("POSEWIRE_")}
        environment.pop("WATCHDOG_PID", None)
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment | heartbeat.environment,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 -- system calls only
        )
        assert process.stdout is not None
        self._log.follow(process.stdout)
        return process

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        return self._log.tail(3)


class Supervisor:
    """Keeps servers and services running until it is stopped."""

    def __init__(
        self, servers: Sequence[Server], children: Sequence[Child], *, silent_s: float = SILENT_S
    ) -> None:
        """``silent_s``: a server that has not answered for so long is killed."""
        self._silent_s = silent_s
        self.servers = list(servers)
        self.children = list(children)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, on_death: OnDeath) -> None:
        """Start what is to run and keep watching it."""
        for child in self.children:
            task = asyncio.create_task(child.keep_running(on_death), name=child.name)
            self._tasks.append(task)
        for server in self.servers:
            revive = _revive(server, on_death, self._silent_s)
            self._tasks.append(asyncio.create_task(revive, name=server.name))

    async def watch(self) -> None:
        """Wait until cancelled; raises what keeps the watching from going on."""
        await asyncio.gather(*self._tasks)

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


async def _revive(server: Server, on_death: OnDeath, silent_s: float) -> None:
    while True:
        await _until_gone(server, silent_s)
        on_death(server.name, -1, "")
        await _start_again(server)


async def _until_gone(server: Server, silent_s: float) -> None:
    """Return once the server has ended; kill it where it does not answer for too long."""
    loop = asyncio.get_running_loop()
    asked, unanswered = loop.time(), 0
    while server.alive:
        await asyncio.sleep(_LOOK_S)
        if loop.time() - asked < silent_s / _QUESTIONS:
            continue
        asked = loop.time()
        if await server.responds(within_s=silent_s / _QUESTIONS):
            unanswered = 0
            continue
        unanswered += 1
        if unanswered == _QUESTIONS:
            _log.error("server.silent", name=server.name, seconds=round(silent_s))
            server.kill()


async def _start_again(server: Server) -> None:
    """Start the server, however long that is impossible: a full disk may be tidied up."""
    backoff = Backoff(first_s=0.5, most_s=10.0)
    while True:
        try:
            return await server.start()
        except (EmbeddedServerError, OSError) as error:
            pause = backoff.next_s()
            _log.error("server.waits", name=server.name, reason=str(error), pause_s=round(pause, 1))
            await asyncio.sleep(pause)


def service_command(service: str, settings_file: Path) -> list[str]:
    """Return the command of a service as a child process."""
    return module_command("posewire", "run", service, "--config", str(settings_file))
