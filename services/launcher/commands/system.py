"""posewire demo and posewire up: the whole system as child processes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import webbrowser
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from posewire.inference.registry import Selection, resolve
from posewire.launcher import runtime
from posewire.launcher.commands.run import SERVICES
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
from posewire.launcher.options import settings_for
from posewire.launcher.status import CameraLine
from posewire.launcher.supervisor import Child, Server, Supervisor, service_command
from posewire.shared.bus import RedisBus
from posewire.shared.errors import ConfigError
from posewire.shared.settings import Settings
from posewire.shared.tasks import cancel
from posewire.shared.telemetry import configure_logging
from posewire.shared.worker import until_stopped

_PLAIN_EVERY_S = 5.0
_console = Console(highlight=False)


def demo(
    config: Path | None,
    overrides: Mapping[str, Any],
    *,
    source: str | None,
    data_dir: Path | None,
    port: int | None,
    duration_s: float,
    open_browser: bool,
) -> None:
    """Run everything on this machine. Raises PosewireError."""
    settings = settings_for(config, overrides, source=source, data_dir=data_dir)
    inference = settings.inference
    if "fallback" not in inference.model_fields_set:
        inference = inference.model_copy(update={"fallback": True})
    wanted = port if port is not None else settings.api.port
    api = settings.api.model_copy(
        update={"port": _free_port(settings.api.host, wanted, exactly=port is not None)}
    )
    settings = settings.model_copy(update={"inference": inference, "api": api})
    _run(settings, duration_s=duration_s, open_browser=open_browser)


def up(
    config: Path | None,
    overrides: Mapping[str, Any],
    *,
    source: str | None,
    data_dir: Path | None,
) -> None:
    """Run the services as configured. Raises PosewireError."""
    settings = settings_for(config, overrides, source=source, data_dir=data_dir)
    if settings.api.port == 0:
        free = _free_port(settings.api.host, 0, exactly=True)
        settings = settings.model_copy(
            update={"api": settings.api.model_copy(update={"port": free})}
        )
    _run(settings)


def _run(settings: Settings, *, duration_s: float = 0, open_browser: bool = False) -> None:
    # What the parent has to say it prints; its log is for what goes wrong.
    quiet = "log_level" not in settings.telemetry.model_fields_set
    level = {"log_level": "warning"} if quiet else {}
    configure_logging(settings.telemetry.model_copy(update=level))
    with runtime.holding(settings.data_dir):
        try:
            system = _System(settings).run(duration_s, open_browser=open_browser)
            # The services and servers it has started take a while to end.
            asyncio.run(until_stopped(system, ask_again_s=15.0))
        finally:
            runtime.withdraw(settings.data_dir)


class _System:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir.absolute()
        self._servers: list[Server] = []

    async def run(self, duration_s: float, *, open_browser: bool) -> None:
        """Start everything, show the status, and stop everything."""
        await self._fetch_models()
        supervisor = Supervisor([], [])
        try:
            settings = await self._start_servers()
            children = self._children(settings)
            supervisor = Supervisor(self._servers, children)
            await supervisor.start(self._tell_death)
            page = f"http://{_shown_host(settings.api.host)}:{settings.api.port}"
            assert settings.bus.url is not None
            assert settings.database.url is not None
            runtime.publish(
                self._folder,
                runtime.Runtime(os.getpid(), settings.bus.url, settings.database.url, page),
            )
            _console.print(
                Text.assemble("Posewire runs: ", (page, "bold underline"), "  (Ctrl-C stops)")
            )
            _console.print(f"logs in {self._folder / 'logs'}", style="dim")
            if open_browser:
                await asyncio.to_thread(webbrowser.open, page)
            await _first_of(self._show(settings), supervisor.watch(), within_s=duration_s or None)
        finally:
            await supervisor.stop()
            await asyncio.gather(*(server.stop() for server in self._servers))

    async def _fetch_models(self) -> Selection:
        """Resolve the models before anything starts, so that a download is seen."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        with Progress(*columns, TransferSpeedColumn(), console=_console, transient=True) as bars:
            tasks: dict[str, Any] = {}

            def progress(name: str, done: int, total: int) -> None:
                if name not in tasks:
                    tasks[name] = bars.add_task(f"downloading {name}", total=total or None)
                bars.update(tasks[name], completed=done, total=total or None)

            selection = await resolve(self._settings.inference, progress)
        parts = [files for files in (selection.detector, selection.pose) if files is not None]
        names = " and ".join(f"{files.spec.name} ({files.spec.precision})" for files in parts)
        _console.print(f"models: {names}: {selection.reason}", soft_wrap=True)
        return selection

    async def _start_servers(self) -> Settings:
        """Start the servers that are not configured; return settings that name all."""
        update: dict[str, Any] = {}
        bus, database = self._settings.bus, self._settings.database
        if bus.url is None:
            valkey = EmbeddedValkey(self._folder / "valkey")
            self._servers.append(valkey)
            await valkey.start()
            update["bus"] = bus.model_copy(update={"url": valkey.url})
        if database.url is None:
            postgres = EmbeddedPostgres(self._folder / "postgres")
            self._servers.append(postgres)
            await postgres.start()
            update["database"] = database.model_copy(update={"url": postgres.url})
        return self._settings.model_copy(update=update)

    def _children(self, settings: Settings) -> list[Child]:
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        logs.chmod(0o700)
        file = self._folder / "settings.json"
        runtime.write_private(file, settings.model_dump_json(exclude_none=True).encode())
        return [Child(name, service_command(name, file), logs / f"{name}.log") for name in SERVICES]

    def _tell_death(self, name: str, code: int, log: str) -> None:
        why = f" (exit code {code})" if code >= 0 else ""
        _console.print(f"{name} has ended{why}, starting it again", style="yellow")
        if code > 0 and log:
            _console.print(Text(log, style="dim"))

    async def _show(self, settings: Settings) -> None:
        """Show a line per camera: live on a terminal, now and then elsewhere."""
        assert settings.bus.url is not None
        bus = RedisBus(settings.bus.url)
        names = [name for name, camera in settings.cameras.items() if camera.enabled]
        lines = [CameraLine(name, bus) for name in names]
        tasks = [asyncio.create_task(line.follow()) for line in lines]
        try:
            if _console.is_terminal:
                with Live(console=_console, auto_refresh=False) as live:
                    while True:
                        live.update(Group(*(line.text() for line in lines)), refresh=True)
                        await asyncio.sleep(0.5)
            said: dict[str, str] = {}
            while True:
                await asyncio.sleep(_PLAIN_EVERY_S)
                for line in lines:
                    text = line.text().plain.rstrip()
                    if said.get(line.camera) != text:
                        sys.stdout.write(text + "\n")
                    said[line.camera] = text
                sys.stdout.flush()
        finally:
            await cancel(tasks)
            await bus.close()


async def _first_of(*work: Coroutine[Any, Any, None], within_s: float | None) -> None:
    """Run ``work`` until some of it ends or the time is over. Raises what it has ended with."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(tasks)
    for task in done:
        task.result()


def _free_port(host: str, wanted: int, *, exactly: bool) -> int:
    """Return ``wanted`` if it is free, else a free one. Raises ConfigError if ``exactly``."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if exactly or port == 0:
                    raise ConfigError(f"port {port} on {host} cannot be used: {error}") from None
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("a free port was found or an error raised")


def _shown_host(host: str) -> str:
    return "localhost" if host in ("0.0.0.0", "127.0.0.1", "::") else host  # noqa: S104
