"""posewire models: list, fetch and check model files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from posewire.inference.registry import cache_folder, find, find_spec, known, pull, resolve
from posewire.launcher.options import settings_for
from posewire.shared.errors import ModelError
from posewire.shared.telemetry import configure_logging

_console = Console(highlight=False)


def show(config: Path | None) -> None:
    """List the known models and where their files are."""
    inference = settings_for(config, {}).inference
    table = Table(
        Column("model", no_wrap=True),
        Column("precision", no_wrap=True),
        Column("MB", justify="right"),
        Column("licence", no_wrap=True),
        Column("where", overflow="fold"),
    )
    for spec in known(inference):
        try:
            found = find(spec, inference)
            where = str(found.path.parent) if found else "not here"
        except ModelError as error:
            where = f"[red]{error}[/red]"
        table.add_row(spec.name, spec.precision, f"{spec.megabytes:.1f}", spec.licence, where)
    _console.print(table)


def fetch(config: Path | None, name: str | None, overrides: Mapping[str, Any]) -> None:
    """Fetch one model, or what the configuration means. Raises ModelError."""
    settings = settings_for(config, overrides)
    configure_logging(settings.telemetry)
    inference = settings.inference
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=_console) as bars:
        tasks: dict[str, Any] = {}

        def progress(file: str, done: int, total: int) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total or None)
            bars.update(tasks[file], completed=done, total=total or None)

        if name is None:
            selection = asyncio.run(resolve(inference, progress))
            files = [f for f in (selection.detector, selection.pose) if f is not None]
        else:
            files = [
                asyncio.run(
                    pull(
                        find_spec(name, inference.precision, known(inference)), inference, progress
                    )
                )
            ]
    for file in files:
        _console.print(f"{file.spec.name} {file.spec.precision}: {file.path}")


def verify(config: Path | None) -> bool:
    """Check all files that are here; return whether all are good."""
    inference = settings_for(config, {}).inference
    good = True
    here = 0
    for spec in known(inference):
        try:
            found = find(spec, inference)
        except ModelError as error:
            good = False
            _console.print(f"[red]bad[/red]  {error}")
            continue
        if found is not None:
            here += 1
            _console.print(
                f"[green]ok[/green]   {spec.name} {spec.precision} ({found.path.parent})"
            )
    if not here and good:
        _console.print(f"no model files here; looked in {cache_folder(inference)}")
    return good
