"""What the doctor says about the bus's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posewire.launcher.commands.doctor import bus_check
from posewire.shared.settings import Settings
from tests.valkey_servers import TcpValkey


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TcpValkey]:
    server = TcpValkey(tmp_path, "--user", "pose", "on", ">hidden", "~*", "+@all", "-@dangerous")
    await server.start()
    yield server
    await server.stop()


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_would_evict_leases(server: TcpValkey, policy: str) -> None:
    settings = Settings.model_validate({"bus": {"url": server.url}})
    assert (await bus_check(settings)).ok
    client = server.client()
    await client.config_set("maxmemory-policy", policy)
    assert (await bus_check(settings)).ok, "it is never full"
    await client.config_set("maxmemory", "100mb")
    found = await bus_check(settings)
    assert found.ok is False
    assert f"evicts by {policy}" in found.text
    await client.config_set("maxmemory-policy", "noeviction")
    assert (await bus_check(settings)).ok
    await client.aclose()


async def test_a_user_who_may_not_ask(server: TcpValkey) -> None:
    url = server.url.replace("redis://", "redis://pose:hidden@")
    found = await bus_check(Settings.model_validate({"bus": {"url": url}}))
    assert found.ok
    assert "has to be noeviction" in found.text
    assert "hidden" not in found.text
