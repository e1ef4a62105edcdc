"""What the gateway tells Prometheus of bus, database and streams; looked up at every scrape."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Any, get_args

from prometheus_client import Gauge, generate_latest

from posewire.api import metrics, queries
from posewire.api.gateway import Gateway
from posewire.shared.bus import Bus, Entry, keys
from posewire.shared.errors import BusUnavailable, StoreError, StoreUnavailable
from posewire.shared.messages import CameraState, CameraStatus, PoseResult, SessionEnd, TrackUpdate

_STATES = (*get_args(CameraStatus), "unknown")
_WITHIN_S = 3.0
"""Prometheus gives up after ten seconds by default."""


async def exposition(gateway: Gateway) -> bytes:
    """Return all metrics of this process, those of bus and database as they are now."""
    await asyncio.gather(_look_at_bus(gateway), _look_at_database(gateway))
    return generate_latest()


async def _look_at_bus(gateway: Gateway) -> None:
    cameras = [name for name, camera in gateway.settings.cameras.items() if camera.enabled]
    answered = await asyncio.gather(
        _answered(_look_at_memory(gateway.bus)),
        *(_answered(_look_at_camera(gateway.bus, name)) for name in cameras),
    )
    metrics.bus_up.set(all(answered))
    # Of a cluster, one shard may be away with its cameras. Figures of those are not known; old ones
    # would look as if all went on.
    for name, there in zip(cameras, answered[1:], strict=True):
        if not there:
            _set_state(name, "unknown")
            for stream in ("frames", "poses", "tracks"):
                _remove(metrics.stream_entries, name, stream)
            for service in ("inference", "tracker"):
                _remove(metrics.stream_lag, name, service)


async def _answered(look: Coroutine[Any, Any, None]) -> bool:
    """Look; return whether the bus has answered."""
    try:
        await asyncio.wait_for(look, _WITHIN_S)
    except (BusUnavailable, asyncio.TimeoutError):
        return False
    return True


def _remove(gauge: Gauge, *labels: str) -> None:
    with contextlib.suppress(KeyError):  # where it was never set
        gauge.remove(*labels)


async def _look_at_memory(bus: Bus) -> None:
    size = await bus.memory_bytes()
    metrics.bus_memory.set(math.nan if size is None else size)


async def _look_at_camera(bus: Bus, camera: str) -> None:
    state = await bus.get(keys.state(camera))
    _set_state(camera, state.status if isinstance(state, CameraState) else "unknown")
    streams = {
        "frames": keys.frames(camera), "poses": keys.poses(camera), "tracks": keys.tracks(camera)
    }  # fmt: skip
    last = {}
    for name, key in streams.items():
        metrics.stream_entries.labels(camera, name).set(await bus.length(key))
        last[name] = await bus.last(key)
    # Of a stream and the one it is made from, the newest frames; times are the bus's own.
    for service, made, source in (("inference", "poses", None), ("tracker", "tracks", "poses")):
        newest = _frame_time(last[source]) if source else _written_at(last["frames"])
        done = _frame_time(last[made])
        if newest is not None and done is None:  # nothing was ever answered
            oldest = await bus.reader(streams["frames"]).read(count=1, block_s=0.001)
            done = _written_at(oldest[0]) if oldest else None
        lag_s = max(newest - done, 0.0) if newest is not None and done is not None else 0.0
        metrics.stream_lag.labels(camera, service).set(lag_s)


def _set_state(camera: str, state: str) -> None:
    for name in _STATES:
        metrics.camera_state.labels(camera, name).set(name == state)


def _written_at(entry: Entry | None) -> float | None:
    return None if entry is None else int(entry.id.partition("-")[0]) / 1000


def _frame_time(entry: Entry | None) -> float | None:
    """Return when the frame that ``entry`` was made from was put on the bus."""
    if entry is None or not isinstance(entry.message, (PoseResult, TrackUpdate, SessionEnd)):
        return None
    frame_id = entry.message.frame_id
    return int(frame_id.partition("-")[0]) / 1000 if frame_id else None


async def _look_at_database(gateway: Gateway) -> None:
    try:
        version = await asyncio.wait_for(queries.schema_version(gateway.database), _WITHIN_S)
    except (StoreUnavailable, StoreError, asyncio.TimeoutError):
        version = None
    metrics.database_up.set(version is not None)
