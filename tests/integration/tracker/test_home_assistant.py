"""Home Assistant itself finds the cameras and hears of their events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_page_system import free_port
from tests.integration.tracker.integrating import Broker, NewSettings, mqtt, tracking, until
from tests.integration.tracker.test_store import END, SCENE, feed
from tests.memory_bus import MemoryBus
from tests.unit.tracker.scenes import events_of

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-ha" / "bin" / "python"
# The automation of docs/integrations.md, for a camera and a switch that are here.
CONFIGURATION = """
http: {server_host: 127.0.0.1, server_port: PORT}
input_boolean: {hall: {}}
automation:
  - alias: light
    triggers:
      - trigger: state
        entity_id: event.posewire_door_event
    conditions: "{{ trigger.to_state.attributes.event_type == 'entered' }}"
    actions:
      - action: input_boolean.turn_on
        target: {entity_id: input_boolean.hall}
"""


@contextlib.asynccontextmanager
async def home_assistant(folder: Path, broker: Broker) -> AsyncIterator[list[dict[str, Any]]]:
    """Run it; yield the states that it says, to which more are added."""
    (folder / "configuration.yaml").write_text(CONFIGURATION.replace("PORT", str(free_port())))
    process = await asyncio.create_subprocess_exec(
        PYTHON, Path(__file__).with_name("home_assistant.py"), folder,
        str(broker.port), "posewire", "se/cret",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    states: list[dict[str, Any]] = []

    async def read(lines: asyncio.StreamReader) -> None:
        async for line in lines:
            states.append(json.loads(line))

    reading = asyncio.create_task(read(process.stdout))
    try:
        yield states
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except asyncio.TimeoutError:
            process.kill()
        await reading


def of(states: list[dict[str, Any]], entity: str) -> list[str]:
    return [state["state"] for state in states if state["entity"] == entity]


async def test_home_assistant_shows_people_and_events_and_acts_on_them(
    new_settings: NewSettings, broker: Broker, tmp_path: Path
) -> None:
    if not PYTHON.exists():
        pytest.skip("no .venv-ha (make ha-env)")
    (home := tmp_path / "home").mkdir()
    bus = MemoryBus()
    people, occupancy = "sensor.posewire_door_people", "binary_sensor.posewire_door_occupancy"
    async with home_assistant(home, broker) as states:
        await until(lambda: of(states, "mqtt") == ["create_entry"], "it runs", 60)
        async with tracking(new_settings(**mqtt(broker)), bus):
            await until(lambda: of(states, people)[-1:] == ["0"], "it finds the camera")
            await until(lambda: of(states, occupancy)[-1:] == ["off"], "nobody is there")
            half = next(n for n, r in enumerate(SCENE) if r.frame.t > 2.5)
            await feed(bus, SCENE[:half])
            await until(lambda: of(states, occupancy)[-1:] == ["on"], "somebody is there")
            await until(lambda: of(states, "input_boolean.hall") == ["on"], "it acts")
            await feed(bus, [*SCENE[half:], END])
            await until(lambda: of(states, occupancy)[-1:] == ["off"], "all have left")
            await until(lambda: of(states, people)[-1:] == ["0"], "all have left")
        await until(lambda: of(states, people)[-1:] == ["unavailable"], "the tracker has ended")
    told = [s for s in states if s["entity"] == "event.posewire_door_event" and "kind" in s]
    assert [state["event_type"] for state in told] == [event.kind for event in events_of(SCENE)]
