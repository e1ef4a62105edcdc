"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import ROOT, System


@pytest.fixture(scope="session")
def models_environment() -> dict[str, str]:
    """The zoo's models where they lie beside the project; else what 'auto' finds (MoveNet)."""
    folder = ROOT.parent / "shared" / "data" / "models"
    return {"POSEWIRE_MODELS_DIR": str(folder)} if folder.is_dir() else {}


@pytest.fixture(scope="session")
def clip() -> Path:
    """The generated clip that comes with Posewire."""
    return ROOT / "services" / "capture" / "assets" / "people.mp4"


@pytest.fixture
def new_system(
    tmp_path: Path, models_environment: dict[str, str]
) -> Iterator[Callable[..., System]]:
    """Make a System that plays a video; it is stopped after the test."""
    made: list[System] = []

    def make(video: Path, **options: Any) -> System:
        folder = tmp_path / f"system{len(made)}"
        folder.mkdir()
        made.append(System(folder, video, models_environment, **options))
        return made[-1]

    yield make
    for system in made:
        asyncio.run(system.stop())
