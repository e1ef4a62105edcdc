"""What Prometheus learns from the gateway of bus, database and streams."""

from __future__ import annotations

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from posewire.api.app import create_app
from posewire.shared.bus import keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import CameraState, FrameHeader, Message, PoseResult, SessionEnd
from posewire.shared.settings import Settings
from tests.memory_bus import MemoryBus

Sample = tuple[str, frozenset[tuple[str, str]]]
SETTINGS = Settings.model_validate(
    {
        "sources": {"demo": {"url": "clip:people"}},
        "cameras": {
            "main": {"source": "demo"},
            "back": {"source": "demo"},
            "off": {"source": "demo", "enabled": False},
        },
    }
)


@pytest.fixture
async def bus() -> MemoryBus:
    return MemoryBus()


async def scrape(bus: MemoryBus) -> dict[Sample, float]:
    app = create_app(SETTINGS, bus)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> Sample:
    return name, frozenset(labels.items())


def frame(seq: int) -> FrameHeader:
    return FrameHeader(
        camera="main", session="s", seq=seq, t=seq / 10, captured_at=1000 + seq / 10,
        width=64, height=48, source="demo",
    )  # fmt: skip


async def put_frame(bus: MemoryBus, seq: int) -> str:
    return await bus.publish(keys.frames("main"), frame(seq), maxlen=64, payload=b"jpeg")


async def put_poses(bus: MemoryBus, seq: int, frame_id: str) -> None:
    result = PoseResult(frame=frame(seq), frame_id=frame_id)
    await bus.publish(keys.poses("main"), result, maxlen=64)


async def say(bus: MemoryBus, status: str) -> None:
    state = CameraState(
        camera="main", status=status, source="demo", session="s",  # type: ignore[arg-type]
        updated_at=time.time(), width=64, height=48, fps=10.0, frames=1,
    )  # fmt: skip
    await bus.put(keys.state("main"), state, ttl_s=6)


async def test_a_camera_is_in_one_state(bus: MemoryBus) -> None:
    found = await scrape(bus)
    assert found[key("posewire_camera_state", camera="main", state="unknown")] == 1
    await say(bus, "stalled")
    found = await scrape(bus)
    states = {
        dict(labels)["state"]: value
        for (name, labels), value in found.items()
        if name.endswith("_state") and ("camera", "main") in labels
    }
    assert states.pop("stalled") == 1
    assert set(states.values()) == {0}
    assert not [labels for _name, labels in found if ("camera", "off") in labels]


async def test_a_service_that_stands_still_falls_behind(bus: MemoryBus) -> None:
    ids = [await put_frame(bus, 0)]
    await put_poses(bus, 0, ids[0])
    lag = key("posewire_stream_lag_seconds", camera="main", service="inference")
    assert (await scrape(bus))[lag] == 0
    bus.advance(7.0)
    ids.append(await put_frame(bus, 1))
    assert (await scrape(bus))[lag] >= 7
    await put_poses(bus, 1, ids[1])
    found = await scrape(bus)
    assert found[lag] == 0
    behind = key("posewire_stream_lag_seconds", camera="main", service="tracker")
    assert found[behind] >= 7, "the tracker has answered nothing yet"
    assert found[key("posewire_stream_entries", camera="main", stream="frames")] == 2


async def test_who_never_answers_is_behind_the_oldest_frame(bus: MemoryBus) -> None:
    await put_frame(bus, 0)
    bus.advance(3.0)
    await put_frame(bus, 1)
    lag = key("posewire_stream_lag_seconds", camera="main", service="inference")
    assert (await scrape(bus))[lag] >= 3


async def test_the_end_of_a_session_is_no_lag(bus: MemoryBus) -> None:
    await put_poses(bus, 0, await put_frame(bus, 0))
    bus.advance(5.0)
    end = SessionEnd(
        camera="main", session="s", frames=1, t=0.0, captured_at=1000.0, reason="ended",
        source="demo",
    )  # fmt: skip
    frame_id = await bus.publish(keys.frames("main"), end, maxlen=64)
    told = SessionEnd(
        **{f: getattr(end, f) for f in end.__struct_fields__} | {"frame_id": frame_id}
    )
    await bus.publish(keys.poses("main"), told, maxlen=64)
    lag = key("posewire_stream_lag_seconds", camera="main", service="inference")
    assert (await scrape(bus))[lag] == 0


async def test_old_figures_of_a_bus_that_is_away_are_not_told(bus: MemoryBus) -> None:
    await say(bus, "running")
    await put_frame(bus, 0)
    found = await scrape(bus)
    assert found[key("posewire_bus_up")] == 1
    assert found[key("posewire_bus_memory_bytes")] > 4
    bus.away = True
    found = await scrape(bus)
    assert found[key("posewire_bus_up")] == 0
    assert found[key("posewire_database_up")] == 0
    assert found[key("posewire_camera_state", camera="main", state="unknown")] == 1
    assert not [name for name, _labels in found if name == "posewire_stream_entries"]


async def test_a_shard_that_is_away_takes_only_its_cameras_along() -> None:
    class TwoShards(MemoryBus):
        async def get(self, key: str) -> Message | None:
            if "{back}" in key:
                raise BusUnavailable("this shard is away")
            return await super().get(key)

    bus = TwoShards()
    await say(bus, "running")
    await put_frame(bus, 0)
    found = await scrape(bus)
    assert found[key("posewire_bus_up")] == 0, "not all of it"
    assert found[key("posewire_camera_state", camera="main", state="running")] == 1
    assert found[key("posewire_stream_entries", camera="main", stream="frames")] == 1
    assert found[key("posewire_camera_state", camera="back", state="unknown")] == 1
