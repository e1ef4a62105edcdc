"""Cursors and formats, without a database."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from posewire.api.formats import chosen
from posewire.api.queries import CursorError, decode_cursor, encode_cursor


def test_a_cursor_comes_back() -> None:
    assert decode_cursor(encode_cursor("desc", 42), "desc", (int,)) == [42]
    assert decode_cursor(encode_cursor("asc", "a", "b"), "asc", (str, str)) == ["a", "b"]


@pytest.mark.parametrize(
    ("cursor", "says"),
    [
        ("", "none of ours"),
        ("%%%", "none of ours"),
        ("AAAA", "none of ours"),
        ("bnVsbA", "none of ours"),  # null
        ("W10", "none of ours"),  # []
        (encode_cursor("desc"), "another list"),
        (encode_cursor("desc", "42"), "another list"),
        (encode_cursor("desc", True), "another list"),
        (encode_cursor("asc", 42), "order=asc"),
    ],
)
def test_a_strange_cursor_is_refused_with_a_reason(cursor: str, says: str) -> None:
    with pytest.raises(CursorError, match=says):
        decode_cursor(cursor, "desc", (int,))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml", "json"),
        ("text/csv", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("text/csv;q=0.5, application/x-ndjson;q=0.9", "ndjson"),
        ("application/json;q=0.1, text/csv", "csv"),
        ("text/csv;q=nonsense, application/x-ndjson;q=0.1", "ndjson"),
    ],
)
def test_accept_chooses_the_format(accept: str, expected: str) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert chosen(request, None) == expected
    assert chosen(request, "csv") == "csv"
