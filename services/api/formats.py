"""JSON, NDJSON or CSV: by ``?format=``, else by the Accept header."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from fastapi import Request
from fastapi.responses import Response

Format = Literal["json", "ndjson", "csv"]
_MEDIA: dict[Format, str] = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
}
_BY_MEDIA: dict[str, Format] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}


def chosen(request: Request, asked: Format | None) -> Format:
    """Return the format asked for; JSON where nothing we know is."""
    if asked is not None:
        return asked
    best: tuple[float, Format] = (0.0, "json")
    for part in request.headers.get("accept", "").split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        found = _BY_MEDIA.get(media)
        if found is not None and (weight := _weight(parameters)) > best[0]:
            best = (weight, found)
    return best[1]


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


def respond(
    request: Request,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    following: str | None,
    *,
    name: str,
    form: Format,
) -> Response:
    """Return a page of rows; the next page's address stands in the Link header, and for JSON its
    cursor in ``next``.
    """
    headers = {"Cache-Control": "no-store", "Vary": "Accept"}
    if following is not None:
        link = request.url.include_query_params(cursor=following)
        headers["Link"] = f'<{link.path}?{link.query}>; rel="next"'
    plain = [{column: row[column] for column in columns} for row in rows]
    if form == "json":
        body = msgspec.json.encode({name: plain, "next": following})
    elif form == "ndjson":
        body = b"".join(msgspec.json.encode(row) + b"\n" for row in plain)
    else:
        body = _csv(plain, columns)
        headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return Response(body, media_type=_MEDIA[form], headers=headers)


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> bytes:
    return (csv_text([columns]) + csv_rows(rows, columns)).encode()


def csv_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows of a table as CSV, without the names of the columns."""
    return csv_text([[_cell(row[column]) for column in columns] for row in rows])


def csv_text(lines: Sequence[Sequence[str]]) -> str:
    """Return lines as CSV (RFC 4180)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)


def described(model: str, name: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a response in any of the three formats."""
    return {
        "description": f"A page of {name}; the Link header has the next page's address.",
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}},
            "application/x-ndjson": {
                "schema": {"type": "string"},
                "example": msgspec.json.encode(example).decode() + "\n",
            },
            "text/csv": {
                "schema": {"type": "string"},
                "example": _csv([example], list(example)).decode(),
            },
        },
    }
