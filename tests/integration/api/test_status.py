"""The system's state as the page shows it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from posewire.api.app import create_app
from posewire.api.routes import health
from tests.integration.api.conftest import Camera, settings


async def status(camera: Camera, **changes: Any) -> dict[str, Any]:
    app = create_app(settings(**changes), camera.bus)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        found = (await client.get("/api/v1/status")).json()
    await app.state.gateway.database.close()
    return dict(found)


def checks(found: dict[str, Any]) -> dict[str, tuple[bool | None, str]]:
    return {check["name"]: (check["ok"], check["text"]) for check in found["checks"]}


async def test_services_streams_and_what_is_wrong(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    await camera.publish()
    await camera.say()
    found = await status(camera)
    named = checks(found)
    assert found["ok"] is False
    assert named["Redis"] == (True, "answers")
    assert named["Postgres"][0] is False
    assert "no database is configured" in named["Postgres"][1]
    assert named["capture of main"] == (True, "running")
    assert named["capture of back"][0] is False
    assert "is the capture service running?" in named["capture of back"][1]
    assert named["inference of main"][0] is False, "nothing was ever put into poses"
    main = next(c for c in found["cameras"] if c["camera"] == "main")
    assert main["streams"]["frames"]["length"] == 1
    assert main["streams"]["poses"] == {"length": 0, "age_s": None}
    # A tracker that stands still while poses come in.
    monkeypatch.setattr(health, "_LATE_S", 0.2)
    await asyncio.sleep(0.3)
    assert checks(await status(camera))["tracker of main"][0] is True
    await camera.say("reconnecting")
    assert checks(await status(camera))["capture of main"] == (False, "reconnecting")


async def test_without_a_bus_the_rest_is_told(camera: Camera) -> None:
    camera.bus.away = True  # type: ignore[attr-defined]
    found = await status(camera)
    assert checks(found)["Redis"][0] is False
    assert found["cameras"] == []
