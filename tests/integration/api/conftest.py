"""A running gateway, and a way to put frames and updates on its bus."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from posewire.api import service
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedValkey
from posewire.shared.bus import Bus, keys
from posewire.shared.messages import CameraState, FrameHeader, TrackedPerson, TrackUpdate
from posewire.shared.settings import Settings
from tests.memory_bus import MemoryBus


async def kill(server: EmbeddedValkey | EmbeddedPostgres) -> None:
    """kill -9 an embedded server and wait until it is gone."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive:
        await asyncio.sleep(0.01)


class Camera:
    """Plays the part of capture, inference and tracker for one camera."""

    def __init__(self, bus: Bus, name: str = "main") -> None:
        self.bus = bus
        self.name = name
        self.seq = 0
        self.session = "s1"

    def jpeg(self, width: int = 320, height: int = 240) -> bytes:
        image = np.full((height, width, 3), 40 + self.seq % 100, np.uint8)
        return cv2.imencode(".jpg", image)[1].tobytes()

    async def publish(self, *, payload: bytes | None = None, people: int = 1) -> TrackUpdate:
        """Put one frame and its update on the bus."""
        header = FrameHeader(
            camera=self.name, session=self.session, seq=self.seq, t=self.seq / 10,
            captured_at=time.time(), width=320, height=240, source="demo",
        )  # fmt: skip
        self.seq += 1
        frame_id = await self.bus.publish(
            keys.frames(self.name), header, maxlen=64, payload=payload or self.jpeg()
        )
        persons = tuple(
            TrackedPerson(
                track=number, visit=number, box=(0.2 * number, 0.3, 0.2 * number + 0.15, 0.9),
                score=0.9, keypoints=tuple((0.2 * number + 0.05, 0.5, 0.9) for _ in range(18)),
            )
            for number in range(1, people + 1)
        )  # fmt: skip
        update = TrackUpdate(
            frame=header, frame_id=frame_id, persons=persons, people=people, inference_ms=12.0,
            latency_ms=50.0,
        )  # fmt: skip
        await self.bus.publish(keys.tracks(self.name), update, maxlen=1024)
        return update

    async def say(self, status: str = "running", source: str = "demo") -> None:
        """Put the camera's state on the bus."""
        state = CameraState(
            camera=self.name, status=status, source=source, session=self.session,  # type: ignore[arg-type]
            updated_at=time.time(), width=320, height=240, fps=10.0, frames=self.seq,
        )  # fmt: skip
        await self.bus.put(keys.state(self.name), state, ttl_s=6)


def settings(**changes: Any) -> Settings:
    """Settings of a small gateway on a free port."""
    values: dict[str, Any] = {
        "sources": {"demo": {"url": "clip:people"}, "door": {"url": "rtsp://u:p@10.0.0.8/x"}},
        "cameras": {"main": {"source": "demo"}, "back": {"source": "door"}},
        "api": {"port": 0},
    }
    for section, fields in changes.items():
        values.setdefault(section, {}).update(fields)
    return Settings.model_validate(values)


@contextlib.asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, bus: Bus
) -> AsyncIterator[str]:
    """Serve a gateway within the block; yields its address without a slash at the end."""
    found: list[str] = []
    original = service.url

    def noted(listener: socket.socket) -> str:
        found.append(original(listener))
        return found[-1]

    monkeypatch.setattr(service, "url", noted)
    task = asyncio.create_task(service.run(settings, bus))
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(200):
                with contextlib.suppress(httpx.TransportError):
                    if found and (await client.get(f"{found[0]}healthz")).status_code == 200:
                        break
                if task.done():
                    task.result()
                await asyncio.sleep(0.02)
        yield found[0].rstrip("/")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Return ``running`` with this test's monkeypatch."""

    def start(bus: Bus, **changes: Any) -> AbstractAsyncContextManager[str]:
        return running(monkeypatch, settings(**changes), bus)

    return start


@pytest.fixture
async def camera() -> Camera:
    """The camera "main" on an in-memory bus."""
    return Camera(MemoryBus())
