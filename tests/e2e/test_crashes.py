"""kill -9 of each part in the middle of a lossless run: the rows are those of a quiet run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.system import System, analyze


@pytest.mark.slow
async def test_every_part_may_die_in_the_middle(
    clip: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
) -> None:
    expected = analyze(clip, tmp_path, models_environment)
    assert expected
    system = new_system(clip, window=6)
    await system.start()
    last = -1
    for part in ("capture", "inference", "tracker", "api", "valkey", "postgres"):
        seen = last
        # Each dies while frames are on their way, and only after the run went on.
        await system.until(lambda seq, _ended, seen=seen: seq > seen + 5)
        before, ended = await system.committed()
        assert not ended, f"the run was over before {part} could be killed"
        await system.kill(part)
        last = max(before, last)
    await system.until(lambda _seq, ended: ended, timeout=240)
    assert await system.rows() == expected
    assert system.service("api") is not None


@pytest.mark.slow
async def test_servers_may_come_after_the_services(
    clip: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
) -> None:
    expected = analyze(clip, tmp_path, models_environment)
    system = new_system(clip)
    system.start_services()
    await asyncio.sleep(6)
    pids = {name: system.service(name) for name in ("capture", "inference", "tracker", "api")}
    assert all(pids.values()), system.logs()
    await system.valkey.start()
    await asyncio.sleep(2)
    await system.postgres.start()
    await system.until(lambda _seq, ended: ended, timeout=240)
    assert await system.rows() == expected
    # They waited; nobody had to start them again.
    assert {name: system.service(name) for name in pids} == pids


@pytest.mark.slow
async def test_whatever_is_started_twice_by_mistake_changes_nothing(
    clip: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
) -> None:
    """A second capture, inference and tracker of the same camera; two captures gave no events."""
    expected = analyze(clip, tmp_path, models_environment)
    system = new_system(clip, window=6)
    await system.start()
    with contextlib.ExitStack() as twice:
        for service in ("capture", "inference", "tracker"):
            twice.enter_context(system.another(service))
        await system.until(lambda seq, _ended: seq > 30)
        # One that is stopped for longer than its lease comes back to a camera that others have.
        first = system.service("capture")
        assert first is not None
        first.suspend()
        before, _ended = await system.committed()
        await system.until(lambda seq, ended: ended or seq > before + 20)
        first.resume()
        await system.until(lambda _seq, ended: ended, timeout=240)
    assert await system.rows() == expected
