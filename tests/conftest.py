"""Fixtures for everything that needs real servers or real data."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings

from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey

settings.register_profile("posewire", deadline=None)  # shared machines stall now and then
settings.load_profile("posewire")
ROOT = Path(__file__).resolve().parents[1]
_numbers = itertools.count()


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[EmbeddedValkey]:
    """A Valkey server of this test's own; it may be killed and started again."""
    server = EmbeddedValkey(tmp_path / "valkey")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def valkey_url(valkey: EmbeddedValkey) -> str:
    """URL of a Valkey server of this test's own."""
    return valkey.url


@pytest.fixture(scope="session")
def postgres_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the session's Postgres."""
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="session")
def postgres(postgres_data: Path) -> Iterator[EmbeddedPostgres]:
    """One Postgres server for the whole session."""
    server = EmbeddedPostgres(postgres_data)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def postgres_url(postgres: EmbeddedPostgres) -> str:
    """URL of an empty database of this test's own."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return postgres.url.replace("/posewire?", f"/{name}?")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with real models and videos beside the project."""
    folder = Path(os.environ.get("POSEWIRE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder} (set POSEWIRE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def models_dir(data_dir: Path) -> Path:
    """The folder with the Open Model Zoo's files."""
    folder = data_dir / "models"
    if not folder.is_dir():
        pytest.skip(f"no models in {folder}")
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keep the developer's own POSEWIRE_* variables and posewire.toml out of the tests."""
    for name in os.environ:
        if name.startswith("POSEWIRE_") and name != "POSEWIRE_TEST_DATA":
            monkeypatch.delenv(name)
    yield
