"""Health over HTTP, as containers and Kubernetes ask for it."""

from __future__ import annotations

import asyncio
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from wsgiref.simple_server import WSGIServer

import pytest

from posewire.shared.errors import ConfigError
from posewire.shared.health import Health
from posewire.shared.probes import serve_metrics
from posewire.shared.settings import TelemetrySettings
from tests.e2e.test_page_system import free_port


async def ping() -> None:
    return None


class Probed:
    """A service's health and the address that tells of it."""

    def __init__(self, health: Health, base: str) -> None:
        self.health, self._base = health, base

    async def ask(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(self.ask_now, path)

    def ask_now(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self._base + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(params=["127.0.0.1", "::1"])
async def probed(request: pytest.FixtureRequest) -> AsyncIterator[Probed]:
    health = Health()
    settings = TelemetrySettings(metrics_host=request.param, metrics_port=0)
    try:
        server, port = serve_metrics(settings, "tracker", health)
    except ConfigError as error:
        pytest.skip(f"no {request.param} on this machine: {error}")
    host = f"[{request.param}]" if ":" in request.param else request.param
    async with health.reporting(ping):
        yield Probed(health, f"http://{host}:{port}")
    close(server)


def close(server: WSGIServer) -> None:
    server.shutdown()
    server.server_close()


async def test_alive_at_once_ready_when_it_serves(probed: Probed) -> None:
    assert await probed.ask("/healthz") == (200, "ok\n")
    assert await probed.ask("/readyz") == (503, "starting\n")
    probed.health.ready("plays door")
    assert await probed.ask("/readyz") == (200, "ok\n")
    status, text = await probed.ask("/metrics")
    assert status == 200
    assert "process_resident_memory_bytes" in text


async def test_a_device_that_does_not_answer(probed: Probed) -> None:
    probed.health.ready("examines door")
    probed.health.add_check(lambda: "no answer from the device for 70 s")
    await asyncio.sleep(1.2)
    for path in ("/healthz", "/readyz"):
        assert await probed.ask(path) == (503, "no answer from the device for 70 s\n")


async def test_an_event_loop_that_hangs(probed: Probed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posewire.shared.health._SILENT_S", 0.7)
    time.sleep(1.0)  # in the event loop: nothing else turns
    status, text = probed.ask_now("/healthz")
    assert status == 503
    assert "the event loop has not turned for 1 s" in text
    await asyncio.sleep(0.6)
    assert (await probed.ask("/healthz"))[0] == 200


async def test_a_port_that_is_taken_is_named(probed: Probed) -> None:
    taken, port = serve_metrics(TelemetrySettings(metrics_port=free_port()), "tracker", Health())
    with pytest.raises(ConfigError, match=rf"metrics_port {port} .*or 0 for a free one"):
        serve_metrics(TelemetrySettings(metrics_port=port), "tracker", Health())
    close(taken)
