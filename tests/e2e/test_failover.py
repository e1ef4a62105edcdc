"""A primary dies in the middle of a lossless run, of a cluster or before a Sentinel's eyes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from posewire.shared.bus import keys
from tests.e2e.system import System, analyze
from tests.valkey_servers import ValkeyCluster, WatchedPair

CAMERAS = ("door", "hall", "till")
_THREE_CAMERAS = '[sources.video]\nurl = "{video}"\n' + "".join(
    f'[cameras.{name}]\nsource = "video"\npolicy = "lossless"\n' for name in CAMERAS
)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path / "cluster")
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.mark.slow
@pytest.mark.parametrize("behind", [False, True], ids=["up to date", "behind"])
async def test_a_cluster_whose_primary_dies(
    cluster: ValkeyCluster,
    clip: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
    behind: bool,
) -> None:
    """Behind: the new primary lacks frames that were examined, tracked and committed already."""
    primaries = {camera: await cluster.primary(keys.frames(camera)) for camera in CAMERAS}
    assert len(set(primaries.values())) == 3, "the cameras lie on all shards"
    expected = analyze(clip, tmp_path, models_environment)
    assert expected
    system = new_system(clip, window=6, cameras=_THREE_CAMERAS, bus_url=cluster.url)
    await system.start()
    for camera in CAMERAS:
        await system.until(lambda seq, _ended: seq > 5, camera=camera)
    lost, _ended = await system.committed("door")
    if behind:
        await cluster.cut_off(primaries["door"])
        await system.until(lambda seq, _ended: seq > lost + 12, camera="door")
    before = {camera: await system.committed(camera) for camera in CAMERAS}
    assert not any(ended for _seq, ended in before.values()), "the run was over too early"
    pids = {name: system.service(name) for name in ("capture", "inference", "tracker", "api")}
    await primaries["door"].kill()
    await system.until(lambda seq, _ended: seq > before["door"][0] + 12, camera="door")
    await primaries["door"].start()  # comes back as a replica
    for camera in CAMERAS:
        await system.until(lambda _seq, ended: ended, timeout=240, camera=camera)
    for camera in CAMERAS:
        assert await system.rows(camera) == expected
    # They waited; nobody had to start them again.
    assert {name: system.service(name) for name in pids} == pids


@pytest.mark.slow
async def test_sentinels_whose_primary_dies(
    clip: Path,
    new_system: Callable[..., System],
    tmp_path: Path,
    models_environment: dict[str, str],
) -> None:
    expected = analyze(clip, tmp_path, models_environment)
    watched = WatchedPair(tmp_path / "watched")
    await watched.start()
    try:
        system = new_system(clip, window=6, bus_url=watched.url)
        await system.start()
        await system.until(lambda seq, _ended: seq > 10)
        seen, ended = await system.committed()
        assert not ended, "the run was over too early"
        await watched.primary.kill()
        await system.until(lambda seq, _ended: seq > seen + 12)
        await watched.primary.start()  # comes back as what it was, and is made a replica
        await system.until(lambda _seq, ended: ended, timeout=240)
        assert await system.rows() == expected
    finally:
        await watched.stop()
