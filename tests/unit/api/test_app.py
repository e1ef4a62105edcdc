"""The app on the in-memory bus, without a database."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import cv2
import httpx
import numpy as np
import pytest

from posewire.api.app import create_app
from posewire.api.security import host_allowed
from posewire.shared.bus import keys
from posewire.shared.messages import CameraState, Control, FrameHeader, SessionEnd, TrackUpdate
from posewire.shared.settings import Settings
from tests.memory_bus import MemoryBus

CAMERA = "/api/v1/cameras/main"
SETTINGS = Settings.model_validate(
    {
        "sources": {
            "demo": {"url": "clip:people", "loop": True},
            "door": {"url": "rtsp://user:secret@10.0.0.8/stream?token=hidden"},
        },
        "cameras": {
            "main": {"source": "demo"},
            "off": {"source": "door", "enabled": False},
        },
        "api": {"allowed_hosts": ["cam.example.org"]},
    }
)


@pytest.fixture
async def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
async def client(bus: MemoryBus) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(SETTINGS, bus)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
        yield client


def picture(shade: int) -> bytes:
    return cv2.imencode(".jpg", np.full((240, 320, 3), shade, np.uint8))[1].tobytes()


async def publish(bus: MemoryBus, seq: int, *, examined: bool = True) -> bytes:
    jpeg = picture(10 * seq)
    header = FrameHeader(
        camera="main", session="s", seq=seq, t=0, captured_at=0, width=320, height=240,
        source="demo",
    )  # fmt: skip
    frame_id = await bus.publish(keys.frames("main"), header, maxlen=8, payload=jpeg)
    if examined:
        update = TrackUpdate(frame=header, frame_id=frame_id, people=1)
        await bus.publish(keys.tracks("main"), update, maxlen=8)
    return jpeg


def state(updated_at: float, error: str | None = None) -> CameraState:
    return CameraState(
        camera="main", status="running", source="demo", session="s", updated_at=updated_at,
        width=320, height=240, fps=9.99, frames=5, error=error,
    )  # fmt: skip


def problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    return str(body["detail"])


async def test_cameras_tell_state_and_sources_without_credentials(
    client: httpx.AsyncClient, bus: MemoryBus
) -> None:
    await bus.put(
        keys.state("main"),
        state(time.time(), "cannot open rtsp://user:secret@10.0.0.8/x"),
        ttl_s=6,
    )
    response = await client.get("/api/v1/cameras")
    main, off = response.json()["cameras"]
    assert (main["status"], main["state"]["fps"], main["state"]["session"]) == (
        "running",
        9.99,
        "s",
    )
    assert [source["name"] for source in main["sources"]] == ["demo", "door"]
    assert main["sources"][1]["url"] == "rtsp://***@10.0.0.8/stream?token=***"
    assert main["state"]["error"] == "cannot open rtsp://***@10.0.0.8/x"
    assert (off["status"], off["enabled"], off["state"]) == ("silent", False, None)
    assert "secret" not in response.text
    assert "hidden" not in response.text
    assert (await client.get(CAMERA)).json() == main


async def test_a_state_that_is_not_renewed_counts_as_silence(
    client: httpx.AsyncClient, bus: MemoryBus
) -> None:
    await bus.put(keys.state("main"), state(time.time()))
    assert (await client.get(CAMERA)).json()["status"] == "silent"
    await bus.put(keys.state("main"), state(time.time()), ttl_s=6)
    assert (await client.get(CAMERA)).json()["status"] == "running"
    bus.advance(7)
    assert (await client.get(CAMERA)).json()["status"] == "silent"


@pytest.mark.parametrize("ahead_s", [-3600, -7, 7, 3600])
async def test_capture_may_have_another_clock(
    client: httpx.AsyncClient, bus: MemoryBus, ahead_s: float
) -> None:
    await bus.put(keys.state("main"), state(time.time() + ahead_s), ttl_s=6)
    assert (await client.get(CAMERA)).json()["status"] == "running"


async def test_cameras_are_listed_while_the_bus_is_away(
    client: httpx.AsyncClient, bus: MemoryBus
) -> None:
    bus.away = True
    cameras = (await client.get("/api/v1/cameras")).json()["cameras"]
    assert [camera["status"] for camera in cameras] == ["unknown", "unknown"]


async def test_an_unknown_camera_is_a_404_that_names_the_known(client: httpx.AsyncClient) -> None:
    for path in ("", "/snapshot.jpg", "/live.mjpg"):
        detail = problem(await client.get(f"/api/v1/cameras/nope{path}"), 404)
        assert "main" in detail


async def test_switching_passes_the_wish_to_capture(
    client: httpx.AsyncClient, bus: MemoryBus
) -> None:
    response = await client.post(f"{CAMERA}/source", json={"source": "door"})
    assert response.status_code == 202
    assert response.json()["source"] == "door"
    entry = await bus.last(keys.control("main"))
    assert entry is not None
    assert isinstance(entry.message, Control)
    assert (entry.message.action, entry.message.source) == ("switch_source", "door")


@pytest.mark.parametrize(
    ("camera", "body", "status"),
    [
        ("nope", {"source": "demo"}, 404),
        ("main", {"source": "nope"}, 422),
        ("main", {"source": "rtsp://10.0.0.9/x"}, 422),
        ("main", {"source": 3}, 422),
        ("main", {"source": "demo", "more": 1}, 422),
        ("main", {}, 422),
        ("off", {"source": "demo"}, 409),
    ],
)
async def test_switching_refuses(
    client: httpx.AsyncClient, bus: MemoryBus, camera: str, body: object, status: int
) -> None:
    problem(await client.post(f"/api/v1/cameras/{camera}/source", json=body), status)
    assert await bus.last(keys.control(camera)) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"origin": "http://localhost:8000"}, 202),
        ({"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}, 202),
        ({"origin": "http://localhost:9000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
async def test_other_web_pages_cannot_switch(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    response = await client.post(f"{CAMERA}/source", json={"source": "demo"}, headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_form_cannot_switch(client: httpx.AsyncClient, bus: MemoryBus, media: str) -> None:
    response = await client.post(
        f"{CAMERA}/source", content=b'{"source": "demo"}', headers={"content-type": media}
    )
    assert response.status_code in (415, 422)
    assert await bus.last(keys.control("main")) is None


async def test_switching_while_the_bus_is_away_is_a_503(
    client: httpx.AsyncClient, bus: MemoryBus
) -> None:
    bus.away = True
    response = await client.post(f"{CAMERA}/source", json={"source": "demo"})
    problem(response, 503)
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:8000", True),
        ("127.0.0.1", True),
        ("[::1]:8000", True),
        ("192.168.1.7:8000", True),
        ("raspberrypi", True),
        ("raspberrypi.local:8000", True),
        ("cam.example.org", True),
        ("CAM.example.org:443", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("evil-local.example", False),
        ("localhost.evil.example:8000", False),
        ("", False),
        ("[::1", False),
    ],
)
async def test_only_names_that_nobody_can_register_are_served(
    client: httpx.AsyncClient, host: str, allowed: bool
) -> None:
    assert host_allowed(host, {"cam.example.org"}) is allowed
    response = await client.get("/api/v1/cameras", headers={"host": host})
    assert response.status_code == (200 if allowed else 421)
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200


async def test_snapshot_with_and_without_overlay(client: httpx.AsyncClient, bus: MemoryBus) -> None:
    problem(await client.get(f"{CAMERA}/snapshot.jpg"), 503)
    await publish(bus, 1)
    newest = await publish(bus, 2, examined=False)
    plain = await client.get(f"{CAMERA}/snapshot.jpg?overlay=false")
    assert (plain.content, plain.headers["x-posewire-seq"]) == (newest, "2")
    drawn = await client.get(f"{CAMERA}/snapshot.jpg")
    assert (drawn.headers["content-type"], drawn.headers["x-posewire-seq"]) == ("image/jpeg", "1")
    image = cv2.imdecode(np.frombuffer(drawn.content, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (240, 320, 3)
    assert image[:12].std() > 10, "the header line is drawn"


async def test_snapshot_after_the_session_ended(client: httpx.AsyncClient, bus: MemoryBus) -> None:
    jpeg = await publish(bus, 1)
    end = SessionEnd(camera="main", session="s", frames=2, t=0, captured_at=0)
    for key in (keys.frames("main"), keys.tracks("main")):
        await bus.publish(key, end, maxlen=8)
    assert (await client.get(f"{CAMERA}/snapshot.jpg?overlay=0")).content == jpeg
    assert (await client.get(f"{CAMERA}/snapshot.jpg")).status_code == 200


async def test_snapshot_of_broken_bytes_is_a_503(client: httpx.AsyncClient, bus: MemoryBus) -> None:
    header = FrameHeader(
        camera="main", session="s", seq=0, t=0, captured_at=0, width=1, height=1, source="demo"
    )
    frame_id = await bus.publish(keys.frames("main"), header, maxlen=8, payload=b"junk")
    update = TrackUpdate(frame=header, frame_id=frame_id)
    await bus.publish(keys.tracks("main"), update, maxlen=8)
    assert "broken" in problem(await client.get(f"{CAMERA}/snapshot.jpg"), 503)


async def test_health_readiness_and_metrics(client: httpx.AsyncClient, bus: MemoryBus) -> None:
    assert (await client.get("/healthz")).json()["status"] == "ok"
    response = await client.get("/readyz")
    assert response.status_code == 503
    checks = response.json()["checks"]
    assert (checks["bus"]["ok"], checks["database"]["ok"], checks["schema"]["ok"]) == (
        True, False, False,
    )  # fmt: skip
    bus.away = True
    assert (await client.get("/readyz")).json()["checks"]["bus"]["ok"] is False
    await client.get(f"{CAMERA}")
    text = (await client.get("/metrics")).text
    assert 'route="/api/v1/cameras/{camera}",status="200"' in text


@pytest.mark.parametrize(
    "path",
    ["/api/v1/events", "/api/v1/visits", "/api/v1/occupancy", "/detections"],
)
async def test_history_without_a_database_is_a_503(client: httpx.AsyncClient, path: str) -> None:
    assert "database" in problem(await client.get(path), 503)


@pytest.mark.parametrize(
    "query",
    [
        "events?limit=0",
        "events?limit=1001",
        "events?kind=arrived",
        "events?camera=a%00b",
        "events?from=yesterday",
        "events?to=0001-01-01T00:00:00%2B10:00",
        "events?visit=3",
        "events?format=xml",
        "events?order=up",
        "events?cursor=nonsense",
        "visits?cursor=WyJkZXNjIiwieCIsInkiXQ",
        "occupancy?bucket=0",
        "occupancy?bucket=week",
        "occupancy?bucket=9999999",
        "occupancy?bucket=1&from=2020-01-01T00:00:00Z",
        "occupancy?from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z",
        "occupancy?to=9999-12-31T23:59:59Z",
        "occupancy?to=0001-01-01T00:00:00Z&bucket=day",
    ],
)
async def test_what_is_not_valid_is_a_422(client: httpx.AsyncClient, query: str) -> None:
    assert problem(await client.get(f"/api/v1/{query}"), 422)


@pytest.mark.parametrize("query", ["page=0", "page=x", "per-page=0", "per-page=1001"])
async def test_invalid_pages_are_a_422(client: httpx.AsyncClient, query: str) -> None:
    assert problem(await client.get(f"/detections?{query}"), 422)


async def test_the_page_has_no_inline_scripts_and_asks_nobody_else(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert " style=" not in page.text
    assert " onclick=" not in page.text
    for path in ("/static/js/main.js", "/static/css/base.css", "/static/icon.svg"):
        response = await client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-content-type-options"] == "nosniff"
    problem(await client.get("/static/../app.py"), 404)


async def test_an_error_inside_is_told_without_its_inside(
    client: httpx.AsyncClient, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def burst(_key: str) -> None:
        raise ZeroDivisionError("rtsp://user:secret@host/")

    monkeypatch.setattr(bus, "get", burst)
    detail = problem(await client.get(CAMERA), 500)
    assert "secret" not in detail


async def test_openapi_describes_everything(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/api/v1/openapi.json")).json()
    missing: list[str] = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            if not operation.get("description"):
                missing.append(where)
            for parameter in operation.get("parameters", []):
                has_example = parameter.get("examples") or parameter["schema"].get("examples")
                if not parameter.get("description") or not has_example:
                    missing.append(f"{where} {parameter['name']}")
            for status, response in operation["responses"].items():
                if response["description"] == "" or "content" not in response:
                    missing.append(f"{where} {status}")
    components = schema["components"]["schemas"]
    for name, component in components.items():
        if name.startswith(("Overlay", "HTTPValidation", "Validation")):
            continue
        for prop, described in component.get("properties", {}).items():
            is_ref = "$ref" in described
            if not is_ref and not described.get("description"):
                missing.append(f"{name}.{prop}")
    assert missing == []
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(components)
    assert {"Overlay", "OverlayEnd", "Problem"} <= set(components)


async def test_page_files_are_compressed_and_asked_for_again_only_if_changed(
    client: httpx.AsyncClient,
) -> None:
    first = await client.get("/static/css/views.css", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert int(first.headers["content-length"]) < len(first.text) / 2
    again = await client.get(
        "/static/css/views.css", headers={"If-None-Match": first.headers["etag"]}
    )
    assert again.status_code == 304


async def test_pictures_and_streams_are_not_compressed(
    client: httpx.AsyncClient, bus: MemoryBus
) -> None:
    await publish(bus, 1)
    for width, expected in ((None, 320), (100, 100), (640, 320)):
        query = {} if width is None else {"width": width}
        answer = await client.get(
            f"{CAMERA}/snapshot.jpg", params=query, headers={"Accept-Encoding": "gzip"}
        )
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
        assert answer.headers["x-posewire-seq"] == "1"
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[1] == expected
