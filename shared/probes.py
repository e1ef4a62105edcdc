"""A service's metrics and health over HTTP: for Prometheus, containers and Kubernetes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from posewire.shared.errors import ConfigError
from posewire.shared.health import Health
from posewire.shared.settings import TelemetrySettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PORTS = {"capture": 9101, "inference": 9102, "tracker": 9103}


def serve_metrics(
    settings: TelemetrySettings, service: str, health: Health
) -> tuple[WSGIServer, int]:
    """Serve this process's metrics and health over HTTP from a thread; return server and port.

    /healthz fails where the service hangs, /readyz until it serves; both say what is wrong.

    Raises ConfigError where the configured port is taken; instead of a default one that is taken,
    a free one serves.
    """
    port = settings.metrics_port
    if port is None:
        with contextlib.suppress(OSError):
            return _serve(settings.metrics_host, _PORTS.get(service, 0), health)
        port = 0
    try:
        return _serve(settings.metrics_host, port, health)
    except OSError as error:
        raise ConfigError(
            f"telemetry.metrics_port {port} on {settings.metrics_host} cannot be used: {error}; "
            "set another, or 0 for a free one"
        ) from None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """As WSGIServer, without asking the network for this machine's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _SixServer(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name there
        """Scrapers come every few seconds."""


def _serve(host: str, port: int, health: Health) -> tuple[WSGIServer, int]:
    kind = _SixServer if ":" in host else _Server
    server = make_server(host, port, _application(health), kind, _Silent)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server, int(server.server_port)


def _application(health: Health) -> WSGIApplication:
    metrics = make_wsgi_app()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path not in ("/healthz", "/readyz"):
            return list(metrics(environ, start_response))
        wrong = health.problem
        if wrong is None and path == "/readyz" and not health.serving:
            wrong = "starting"
        status = "200 OK" if wrong is None else "503 Service Unavailable"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{wrong or 'ok'}\n".encode()]

    return application
