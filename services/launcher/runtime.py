"""The data folder of a running system: who holds it, and where its servers are."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from posewire.shared.errors import ConfigError, StoreError
from posewire.shared.settings import DatabaseSettings, Settings


class Runtime(msgspec.Struct):
    """What other commands need to find a running system."""

    pid: int
    bus_url: str
    database_url: str
    page_url: str


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the data folder alone. Raises ConfigError naming the process that has it.

    A folder that is made here is this user's alone; one that exists keeps its mode.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"data folder {folder} cannot be used: {error}; set --data-dir") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(file, 32).decode(errors="replace").strip() or "unknown"
            raise ConfigError(
                f"Posewire is running already in {folder} (process {owner}); "
                "stop it, or give another --data-dir"
            ) from None
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        yield
    finally:
        os.close(file)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user can read: it may hold passwords."""
    part = path.with_suffix(path.suffix + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    part.replace(path)


def publish(folder: Path, runtime: Runtime) -> None:
    """Tell other commands about the running system."""
    write_private(folder / "runtime.json", msgspec.json.encode(runtime))


def withdraw(folder: Path) -> None:
    """Take that back."""
    (folder / "runtime.json").unlink(missing_ok=True)


def find(folder: Path) -> Runtime | None:
    """Return the system that runs in ``folder``, None where none does."""
    try:
        runtime = msgspec.json.decode((folder / "runtime.json").read_bytes(), type=Runtime)
        os.kill(runtime.pid, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return runtime


def database(settings: Settings) -> DatabaseSettings:
    """Return the database with its URL: as configured, or that of the running system.

    Raises StoreError where there is neither.
    """
    if settings.database.url is not None:
        return settings.database
    if (running := find(settings.data_dir)) is not None:
        return settings.database.model_copy(update={"url": running.database_url})
    raise StoreError(
        f"no database: database.url is not set, and no Posewire runs in {settings.data_dir}"
    )
