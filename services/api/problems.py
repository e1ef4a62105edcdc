"""Errors as application/problem+json (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from posewire.api.live import TooManyViewers
from posewire.shared.errors import BusUnavailable, PosewireError, StoreRefused, StoreUnavailable
from posewire.shared.redact import redact

_log = structlog.get_logger(__name__)
_RETRY_AFTER = {"Retry-After": "2"}
_PASSING = (BusUnavailable, StoreUnavailable, TooManyViewers)
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field("about:blank", description="Kind of problem.", examples=["about:blank"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(
        description="What happened and what to do.",
        examples=["no camera is called 'entrnce'; there are: entrance, main"],
    )
    errors: list[dict[str, Any]] | None = Field(
        None, description="What is wrong with the request, part by part."
    )


class ProblemResponse(JSONResponse):
    """A problem as a response."""

    media_type = MEDIA_TYPE


def problem(
    status: int,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    errors: list[dict[str, Any]] | None = None,
) -> ProblemResponse:
    """Return the response for a problem."""
    title = HTTPStatus(status).phrase
    body = Problem(type="about:blank", title=title, status=status, detail=detail, errors=errors)
    return ProblemResponse(body.model_dump(exclude_none=True), status, headers=headers)


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these statuses."""
    texts = {
        403: "Not from this page's own origin.",
        404: "No such camera.",
        409: "The camera is disabled.",
        412: "Somebody else has changed it in the meantime.",
        415: "The body is no JSON.",
        422: "A parameter or the body is not valid; `errors` names it.",
        503: "Bus or database do not answer, or nothing is there yet; try again.",
    }
    return {
        status: {
            "description": texts[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error with a problem."""

    async def http_error(_request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers) if error.headers else None
        return problem(error.status_code, str(error.detail), headers=headers)

    async def invalid(_request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, RequestValidationError)
        errors = [
            {
                "where": ".".join(str(part) for part in found["loc"]),
                "message": found["msg"],
                "got": redact(repr(found.get("input")))[:200],
            }
            for found in error.errors()
        ]
        detail = "; ".join(f"{found['where']}: {found['message']}" for found in errors)
        return problem(422, detail, errors=jsonable_encoder(errors))

    async def passing(_request: Request, error: Exception) -> ProblemResponse:
        return problem(503, redact(str(error)), headers=_RETRY_AFTER)

    async def refused(_request: Request, error: Exception) -> ProblemResponse:
        return problem(422, redact(str(error)))

    async def ours(_request: Request, error: Exception) -> ProblemResponse:
        return problem(500, redact(str(error)))

    async def unexpected(request: Request, error: Exception) -> ProblemResponse:
        _log.error("api.unexpected", path=request.url.path, error=repr(error), exc_info=error)
        headers = {"X-Content-Type-Options": "nosniff"}
        return problem(500, "an error inside Posewire; its log says which", headers=headers)

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, invalid)
    for kind in _PASSING:
        app.add_exception_handler(kind, passing)
    app.add_exception_handler(StoreRefused, refused)
    app.add_exception_handler(PosewireError, ours)
    app.add_exception_handler(Exception, unexpected)
