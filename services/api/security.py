"""What keeps strange web pages away from a gateway that listens on somebody's own machine.

Host:   a page of evil.example may point its name at 127.0.0.1 (DNS rebinding) and would then be of
        the same origin as the gateway. So only names that nobody can register are answered:
        addresses, localhost, names without a dot, .local and the like, and api.allowed_hosts.
Origin: browsers name the page that opens a WebSocket or posts; it must be one of the gateway's own.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from posewire.api import metrics
from posewire.api.problems import problem

_PRIVATE_SUFFIXES = (".local", ".localhost", ".lan", ".internal", ".home.arpa")
_FOR_EVERYBODY = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by orchestrators and scrapers under whatever name; they show nothing of the cameras."""
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def host_allowed(host: str, allowed: Collection[str]) -> bool:
    """Whether to answer under the name in a Host header (with or without a port)."""
    name, _port = _split(host)
    if not name:
        return False
    if "." not in name or name.endswith(_PRIVATE_SUFFIXES) or name in allowed:
        return True
    return _is_address(name)


def same_origin(connection: HTTPConnection) -> bool:
    """Whether a request comes from the gateway's own page or from no browser at all."""
    if connection.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = connection.headers.get("origin")
    if origin is None:
        return True
    return _split(urlsplit(origin).netloc) == _split(connection.headers.get("host", ""))


def require_json(request: Request) -> None:
    """Refuse other bodies: a form of a strange page cannot send JSON unasked."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise HTTPException(415, "expected a body of Content-Type application/json")


def _split(netloc: str) -> tuple[str, int | None]:
    """Return name (small letters, no brackets) and port (None for 80 and 443)."""
    try:
        parts = urlsplit(f"//{netloc}")
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    return name.rstrip("."), None if port in (80, 443) else port


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _method(scope: Scope) -> str:
    """Return the method, bounded: clients may send any word."""
    method: str = scope["method"]
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS") else "other"


class Guard:
    """ASGI middleware: checks the Host, adds security headers, counts requests."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, streamed = 0, False

        async def send_guarded(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                streamed = headers.get("content-type", "").startswith("multipart/")
            await send(message)

        host = Headers(scope=scope).get("host", "")
        try:
            if scope["path"] in _FOR_EVERYBODY or host_allowed(host, self._allowed):
                await self._app(scope, receive, send_guarded)
            else:
                refusal = problem(
                    421, f"not served under the name {host[:100]!r}; see api.allowed_hosts"
                )
                await refusal(scope, receive, send_guarded)
        finally:
            if scope["type"] == "http":
                route = getattr(scope.get("route"), "path", "other")
                metrics.requests.labels(_method(scope), route, status or 500).inc()
                if not streamed:
                    metrics.seconds.labels(route).observe(time.perf_counter() - started)
