"""The gateway as a process: serves until cancelled, then says good-bye to its viewers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import structlog
import uvicorn

from posewire.api import snapshots
from posewire.api.app import create_app
from posewire.api.gateway import Gateway
from posewire.shared.bus import Bus
from posewire.shared.errors import ConfigError
from posewire.shared.health import Health
from posewire.shared.settings import Settings

_log = structlog.get_logger(__name__)
_VIEWERS_S = 0.4
_CONNECTIONS_S = 0.5
_SEND_BUFFER = 128 * 1024
_MESSAGE_MAX = 4096
"""Bytes of a message from a WebSocket client; none has anything to say."""


class _Server(uvicorn.Server):
    """Leaves signals to ``posewire.shared.worker.until_stopped``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(settings: Settings, bus: Bus, health: Health | None = None) -> None:
    """Serve the gateway until cancelled; then close viewers (1001) and connections.

    ``health`` is told once requests are answered.
    Raises ConfigError where the address cannot be used.
    """
    listener = listen(settings.api.host, settings.api.port)
    app = create_app(settings, bus)
    gateway: Gateway = app.state.gateway
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_MAX,
        ws_per_message_deflate=False,  # JPEGs do not get smaller
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
    keeping = _keeping(settings, gateway)
    _log.info("api.listening", url=url(listener))
    try:
        while not (server.started or serving.done()):
            await asyncio.sleep(0.01)
        (health or Health()).ready(f"serves {url(listener)}")
        await asyncio.shield(serving)
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await gateway.hub.close(within_s=_VIEWERS_S)
        server.should_exit = True
        _done, late = await asyncio.wait({serving}, timeout=_CONNECTIONS_S)
        if late:
            # Clients that do not read: nothing more can be said to them.
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            _done, late = await asyncio.wait({serving}, timeout=_CONNECTIONS_S)
        if late:
            server.force_exit = True
            serving.cancel()
        await gateway.database.close()
        listener.close()


def _keeping(settings: Settings, gateway: Gateway) -> asyncio.Task[None] | None:
    if not settings.api.snapshots:
        return None
    return asyncio.create_task(
        snapshots.keep(settings, gateway.bus, gateway.database), name="snapshots"
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises ConfigError."""
    try:
        family, _type, _proto, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise ConfigError(
            f"api.host {host} with api.port {port} cannot be used: {error}; set another port, or 0 "
            "for a free one"
        ) from None
    # Connections inherit it. What the kernel buffers, a slow viewer sees late: the megabytes it
    # would take by itself are half a minute on a slow line.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    return listener


def url(listener: socket.socket) -> str:
    """Return the address at which a browser on this machine reaches ``listener``."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
