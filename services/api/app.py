"""The FastAPI app: routes, errors, security, the page, OpenAPI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from posewire.api import overlay, problems
from posewire.api.database import Database
from posewire.api.gateway import Gateway
from posewire.api.live import Hub
from posewire.api.routes import areas, cameras, health, history, live
from posewire.api.security import Guard
from posewire.shared.bus import Bus
from posewire.shared.settings import Settings

_STATIC = Path(__file__).parent / "static"
_REF = "#/components/schemas/{name}"
_DESCRIPTION = """
Posewire watches cameras, finds the people in them, follows each, and writes down who came and left.

Times are ISO 8601 in UTC. Errors are `application/problem+json` (RFC 9457).

## Live overlay (WebSocket)

`/api/v1/cameras/{camera}/live` sends one JSON text message per frame, of the schema `Overlay`, and
an `OverlayEnd` where a session is over (told apart by `type`). Coordinates are relative: 0..1 of
width and height. With `?frames=1` the frame's JPEG comes as a binary message, nothing but the
JPEG, directly before its overlay; the overlay's `session` and `seq` name it. An overlay without a
binary message before it is one whose picture is gone already. A slow client misses updates,
oldest first; `/api/v1/events` has all events.

What clients send is ignored. The server closes with 1001 when it stops. A client is refused
before the connection is made with 403 (another web page), 404 (no such camera) or 503 (too many
viewers).
"""
_TAGS = [
    {"name": "cameras", "description": "Cameras, their state, and what they play."},
    {"name": "live", "description": "Pictures; the WebSocket is described above."},
    {"name": "history", "description": "Events, visits and occupancy, from the database."},
    {"name": "compatibility", "description": "The interface of the app before Posewire."},
    {"name": "health", "description": "For orchestrators and scrapers."},
]


def create_app(settings: Settings, bus: Bus) -> FastAPI:
    """Return the gateway's app. It connects to nothing before the first request.

    ``app.state.gateway`` holds what the routes use; its owner closes hub and database.
    """
    app = FastAPI(
        title="Posewire",
        version=health.version(),
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the usual pages load scripts from the internet
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    hub = Hub(bus, max_viewers=settings.api.max_viewers, mjpeg_fps=settings.api.mjpeg_fps)
    app.state.gateway = Gateway(settings, bus, Database(settings.database), hub)
    problems.install(app)
    for routes in (cameras, areas, live, history, health):
        app.include_router(routes.router)
    app.add_middleware(_Compressed)
    app.add_middleware(Guard, allowed_hosts=settings.api.allowed_hosts)
    _add_page(app)
    _complete_openapi(app)
    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", _Revalidated(StaticFiles(directory=_STATIC)), name="static")


class _Compressed:
    """Compresses what is text; pictures are compressed already, and streams must not wait."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, minimum_size=1024, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        picture = scope["type"] != "http" or scope["path"].endswith((".jpg", ".mjpg"))
        await (self._app if picture else self._compressing)(scope, receive, send)


class _Revalidated:
    """Lets browsers keep files but ask each time whether they have changed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def revalidated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"no-cache")]
            await send(message)

        await self._app(scope, receive, revalidated)


def _complete_openapi(app: FastAPI) -> None:
    """Add the schemas of problems and WebSocket messages, which no route returns as such."""

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                license_info=app.license_info,
            )
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components.update(overlay.schemas(_REF))
            problem = problems.Problem.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            components["Problem"] = problem
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way
