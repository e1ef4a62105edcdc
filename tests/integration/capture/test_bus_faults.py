"""What servers of the bus do to a lossless camera: it says why it waits, and loses no frame."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from posewire.shared.bus import RedisBus, keys
from posewire.shared.errors import BusUnavailable
from tests.conftest import ROOT
from tests.integration.capture.test_service import (
    CAMERA,
    Tracker,
    serving,
    settings_for,
    tracking,
    wait_for,
)
from tests.valkey_servers import TcpValkey, ValkeyCluster, free_port

FRAMES = 200
BUS_PAGE = ROOT / "docs" / "bus.md"
_USER = ("--user", "pose", "on", ">hidden", "~*", "&*", "+@all", "-@dangerous")
_ADMIN = ("--user", "default", "off", "--user", "admin", "on", ">admin", "~*", "&*", "+@all")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TcpValkey]:
    server = TcpValkey(tmp_path / "valkey")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[TcpValkey]:
    """A server on which ``pose`` may do nothing dangerous, such as INFO and CONFIG."""
    server = TcpValkey(tmp_path / "valkey", *_ADMIN, *_USER)
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def playing(url: str, video: Path) -> AsyncIterator[tuple[Tracker, list[Any]]]:
    """Play a video, lossless, from the bus at ``url`` to a tracker; all of it in the end.

    The body is run when the first frames have come.
    """
    capture_bus, tracker_bus = RedisBus(url), RedisBus(url)
    settings = settings_for({"shop": video}, policy="lossless")
    try:
        with capture_logs() as logs:
            async with tracking(tracker_bus) as tracker, serving(settings, capture_bus) as task:
                await wait_for(lambda: len(tracker.committed) > 20)
                yield tracker, logs
                await wait_for(lambda: tracker.done)
                assert not task.done()
        assert [seq for _, seq in tracker.committed] == list(range(FRAMES))
    finally:
        await capture_bus.close()
        await tracker_bus.close()


def reasons(logs: list[Any]) -> list[str]:
    return [entry["reason"] for entry in logs if entry["event"] == "capture.bus_away"]


async def says(logs: list[Any], text: str) -> None:
    """Wait until the log names the reason, and a little longer: nobody gives up."""
    await wait_for(lambda: any(text in reason for reason in reasons(logs)))
    await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    ("harm", "mend", "said"),
    [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "is full: "),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "is a replica now and takes no writes"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "refuses: "),
    ],
    ids=["full", "a replica", "without replicas"],
)
async def test_a_server_that_takes_no_writes(
    server: TcpValkey, new_video: Callable[..., Path], harm: str, mend: str, said: str
) -> None:
    client = server.client()
    async with playing(server.url, new_video(FRAMES)) as (_tracker, logs):
        await client.execute_command(*harm.split())
        await says(logs, said)
        await client.execute_command(*mend.split())
    await client.aclose()


async def test_a_live_camera_says_once_that_the_server_is_full(
    server: TcpValkey, new_video: Callable[..., Path]
) -> None:
    bus, client = RedisBus(server.url), server.client()
    with capture_logs() as logs:
        async with serving(settings_for({"shop": new_video(300)}), bus):
            reader = bus.reader(keys.frames(CAMERA))
            assert await reader.read(block_s=2)
            await client.config_set("maxmemory", 1)
            await says(logs, "is full: ")
            await client.config_set("maxmemory", 0)
            await wait_for(lambda: any(e["event"] == "capture.bus_back" for e in logs))
    assert len(reasons(logs)) == 1
    await bus.close()
    await client.aclose()


async def test_a_password_that_is_changed(
    guarded: TcpValkey, new_video: Callable[..., Path]
) -> None:
    admin = guarded.client(username="admin", password="admin")
    url = f"redis://pose:hidden@127.0.0.1:{guarded.port}"
    async with playing(url, new_video(FRAMES)) as (_tracker, logs):
        await admin.execute_command("ACL", "SETUSER", "pose", "resetpass", ">other")
        await admin.execute_command("CLIENT", "KILL", "USER", "pose")
        await says(logs, "does not let us in: ")
        await admin.execute_command("ACL", "SETUSER", "pose", ">hidden")
    assert "hidden" not in repr(logs)
    await admin.aclose()


async def test_a_user_who_may_not_ask_who_the_server_is(
    guarded: TcpValkey, new_video: Callable[..., Path]
) -> None:
    """INFO is forbidden; that the server has restarted is seen all the same."""
    url = f"redis://pose:hidden@127.0.0.1:{guarded.port}"
    async with playing(url, new_video(FRAMES)) as (tracker, logs):
        await guarded.kill()
        await guarded.start()
        reached = len(tracker.committed)
        await wait_for(lambda: len(tracker.committed) > reached)
        changed = [entry for entry in logs if entry["event"] == "bus.server_changed"]
        assert len(changed) == 2, "once for each of the two who are connected"
    assert [entry["event"] for entry in logs].count("bus.info_refused") == 2
    bus = RedisBus(url)
    assert await bus.memory_bytes() is None
    await bus.close()


@pytest.mark.parametrize("clustered", [False, True], ids=["one server", "cluster"])
async def test_the_least_rights_are_enough(
    tmp_path: Path, new_video: Callable[..., Path], *, clustered: bool
) -> None:
    """docs/bus.md tells operators to give these."""
    (rights,) = re.findall(r"^ACL SETUSER pose (.*)$", BUS_PAGE.read_text(), re.M)
    servers = ValkeyCluster(tmp_path) if clustered else TcpValkey(tmp_path)
    await servers.start()
    for server in servers.nodes if isinstance(servers, ValkeyCluster) else [servers]:
        client = server.client()
        await client.execute_command("ACL", "SETUSER", "pose", *rights.split())
        await client.aclose()
    async with playing(servers.url.replace("://", "://pose:secret@"), new_video(FRAMES)) as (
        _tracker,
        logs,
    ):
        pass
    assert reasons(logs) == []
    assert not [entry for entry in logs if entry["event"] == "bus.info_refused"]
    await servers.stop()


async def test_a_slot_that_moves_to_another_shard(
    tmp_path: Path, new_video: Callable[..., Path]
) -> None:
    """Key by key: for a while a camera's keys lie on two servers."""
    cluster = ValkeyCluster(tmp_path)
    await cluster.start()
    key = keys.frames(CAMERA)
    before = await cluster.primary(key)
    after = next(node for node in cluster.nodes[:3] if node is not before)
    async with playing(cluster.url, new_video(FRAMES)) as (tracker, logs):
        await cluster.move(key, after)
        reached = len(tracker.committed)
        assert reached < FRAMES, "the video was over too early"
        await wait_for(lambda: len(tracker.committed) > reached)
    assert any("has moved this key to another" in reason for reason in reasons(logs))
    assert await cluster.primary(key) is after
    await cluster.stop()


async def test_a_user_who_may_not_write_is_told(guarded: TcpValkey) -> None:
    admin = guarded.client(username="admin", password="admin")
    await admin.execute_command("ACL", "SETUSER", "pose", "-@scripting")
    bus = RedisBus(f"redis://pose:hidden@127.0.0.1:{guarded.port}")
    with pytest.raises(BusUnavailable, match=r"forbids it: .*script") as error:
        await bus.lease(keys.lease(CAMERA, "capture"), ttl_s=3).acquire()
    assert "hidden" not in str(error.value)
    await bus.close()
    await admin.aclose()


class TlsFront:
    """TLS in front of a server, as stunnel or a cloud's load balancer puts it."""

    def __init__(self, folder: Path, server: TcpValkey) -> None:
        self.port, self._server = free_port(), server
        self.certificate, key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
             "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
             "-keyout", str(key), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(self.certificate, key)
        self._connections: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None

    async def start(self) -> None:
        self._listener = await asyncio.start_server(
            self._serve, "localhost", self.port, ssl=self._context
        )

    async def stop(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        behind = await asyncio.open_connection("127.0.0.1", self._server.port)
        both = [
            asyncio.ensure_future(_pipe(reader, behind[1])),
            asyncio.ensure_future(_pipe(behind[0], writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for side in (writer, behind[1]):
                side.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


async def test_tls(server: TcpValkey, new_video: Callable[..., Path], tmp_path: Path) -> None:
    front = TlsFront(tmp_path, server)
    await front.start()
    url = f"rediss://localhost:{front.port}"
    unknown = RedisBus(url)
    with pytest.raises(BusUnavailable, match=r"TLS with .* fails: .*certificate verify failed"):
        await unknown.ping()
    await unknown.close()
    async with playing(f"{url}?ssl_ca_certs={front.certificate}", new_video(FRAMES)) as (_, logs):
        await front.stop()
        await says(logs, "does not answer")
        await front.start()
    await front.stop()


async def test_tls_with_a_server_that_has_none(server: TcpValkey) -> None:
    bus = RedisBus(server.url.replace("redis://", "rediss://"))
    with pytest.raises(BusUnavailable, match="is Redis or Valkey with TLS running there"):
        await bus.ping()
    await bus.close()
