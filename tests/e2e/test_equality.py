"""The same file through ``analyze`` and through the running services gives the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.system import System, analyze


async def _compare(
    video: Path, system: System, folder: Path, environment: dict[str, str]
) -> list[dict[str, str]]:
    expected = analyze(video, folder, environment)
    await system.start()
    await system.until(lambda _seq, ended: ended, timeout=240)
    assert await system.rows() == expected
    return expected


@pytest.mark.slow
async def test_the_generated_clip(
    clip: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
) -> None:
    events = await _compare(clip, new_system(clip), tmp_path, models_environment)
    kinds = [event["kind"] for event in events]
    assert kinds.count("entered") == kinds.count("exited") >= 3


@pytest.mark.slow
async def test_one_by_one(
    data_dir: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
) -> None:
    video = data_dir / "videos" / "one-by-one-person-detection.mp4"
    events = await _compare(video, new_system(video), tmp_path, models_environment)
    kinds = [event["kind"] for event in events]
    assert (kinds.count("entered"), kinds.count("exited")) == (6, 6)
