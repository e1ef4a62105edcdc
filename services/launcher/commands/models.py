"""posewire models: list, fetch and check model files."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table

from posewire.inference.registry import (
    DETECTORS,
    PAIRS,
    ModelFiles,
    ModelSpec,
    cache_folder,
    find,
    find_pair,
    find_spec,
    known,
    pull,
    resolve,
)
from posewire.launcher.options import settings_for
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings
from posewire.shared.telemetry import configure_logging

_console = Console(highlight=False)


def show(config: Path | None, *, as_json: bool) -> None:
    """List the known models, where their files are, their licences and training data."""
    inference = settings_for(config, {}).inference
    rows = [_row(spec, inference) for spec in known(inference)]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
        return
    table = Table(
        Column("model", no_wrap=True),
        Column("finds", no_wrap=True),
        Column("precision", no_wrap=True),
        Column("MB", justify="right", no_wrap=True),
        Column("here", no_wrap=True),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for row in rows:
        here = "[red]damaged[/red]" if row["error"] else "yes" if row["path"] else "-"
        size = f"{row['megabytes']:.1f}" if row["megabytes"] else "-"
        table.add_row(row["name"], row["finds"], row["precision"], size, here)
    _console.print(table)
    for row in rows:
        if row["error"]:
            _console.print(f"{row['name']} {row['precision']}: {row['error']}", style="red")
    _console.print("[bold]Pairs[/bold], in the order in which model = 'auto' takes them")
    for pair in PAIRS:
        parts = " + ".join(part for part in (pair.detector, pair.pose) if part is not None)
        _console.print(
            Padding(parts if pair.name == parts else f"{pair.name}: {parts}", (0, 0, 0, 2))
        )
    _console.print("\n[bold]Licences and training data[/bold]")
    for (publisher, licence, trained_on), names in _by_terms(rows).items():
        _console.print(Padding(", ".join(names), (0, 0, 0, 2)))
        terms = f"{licence}, by {publisher}." if publisher else f"{licence}."
        _console.print(Padding(f"{terms} {trained_on}", (0, 0, 0, 4), style="dim"))
    _console.print(f"\nModels are looked for in {_places(inference)}.", soft_wrap=True)


def _row(spec: ModelSpec, inference: InferenceSettings) -> dict[str, Any]:
    path, error = None, None
    try:
        found = find(spec, inference)
        path = str(found.path) if found else None
    except ModelError as failure:
        error = str(failure)
    return {
        "name": spec.name,
        "family": spec.family,
        "finds": "people" if spec.family in DETECTORS else "poses",
        "precision": spec.precision,
        "megabytes": spec.megabytes,
        "path": path,
        "error": error,
        "publisher": spec.publisher,
        "licence": spec.licence,
        "trained_on": spec.trained_on,
        "sources": list(spec.sources),
        "not_fetched": list(spec.elsewhere),
    }


def _by_terms(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, str], list[str]]:
    """Return the names of the models that share publisher, licence and training data."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        names = found.setdefault((row["publisher"], row["licence"], row["trained_on"]), [])
        if row["name"] not in names:
            names.append(row["name"])
    return found


def _places(inference: InferenceSettings) -> str:
    cache = f"the cache {cache_folder(inference)}"
    return f"{inference.models_dir} and {cache}" if inference.models_dir else cache


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

        files = asyncio.run(_fetch(inference, name, progress))
    for file in files:
        _console.print(f"{file.spec.name} {file.spec.precision}: {file.path}")


async def _fetch(
    inference: InferenceSettings, name: str | None, progress: Callable[[str, int, int], None]
) -> list[ModelFiles]:
    if name is None:
        selection = await resolve(inference, progress)
        return [files for files in (selection.detector, selection.pose) if files is not None]
    pair = find_pair(name)
    names = [name] if pair is None else [pair.detector, pair.pose, pair.fast_pose]
    specs = [
        find_spec(part, inference.precision, known(inference)) for part in names if part is not None
    ]
    return [await pull(spec, inference, progress) for spec in specs]


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
