"""Zones, lines and masks over HTTP, in a real Postgres."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from tests.integration.api.test_history import Rows, client, rows

__all__ = ["client", "rows"]  # fixtures

URL = "/api/v1/cameras/main/areas"
ZONE = {"points": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.9]], "dwell_s": [10.0]}
GATE = {"points": [[0.5, 0.1], [0.5, 0.9]], "directions": ["in", "out"]}
BODY: dict[str, Any] = {"zones": {"shop": ZONE}, "lines": {"gate": GATE}, "masks": {}}


async def test_areas_are_those_of_the_configuration_until_drawn(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    answer = await client.get(URL)
    assert answer.json() == {"zones": {}, "lines": {}, "masks": {}, "version": 0, "drawn": False}
    assert answer.headers["etag"] == '"0"'
    put = await client.put(URL, json=BODY)
    assert put.status_code == 200, put.text
    assert put.json() == {**BODY, "version": 1, "drawn": True}
    assert (await client.get(URL)).json() == put.json()
    gone = await client.delete(URL)
    assert gone.json() == {"zones": {}, "lines": {}, "masks": {}, "version": 2, "drawn": False}


async def test_who_comes_too_late_is_told(client: httpx.AsyncClient, rows: Rows) -> None:
    first = await client.put(URL, json=BODY, headers={"If-Match": '"0"'})
    assert first.headers["etag"] == '"1"'
    late = await client.put(URL, json={}, headers={"If-Match": '"0"'})
    assert late.status_code == 412
    assert "somebody else" in late.json()["detail"]
    assert (await client.put(URL, json={}, headers={"If-Match": "nonsense"})).status_code == 412
    assert (await client.put(URL, json={}, headers={"If-Match": "*"})).status_code == 200
    assert (await client.delete(URL, headers={"If-Match": '"2"'})).status_code == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"zones": {"a": {"points": [[0, 0], [1, 1]]}}}, "at least 3"),
        ({"zones": {"a": {"points": [[0, 0], [1, 1], [1, 0], [0, 0.9]]}}}, "do not cross"),
        ({"zoned": {}}, "Extra inputs"),
        ([], "valid dictionary"),
    ],
)
async def test_nonsense_is_refused(
    client: httpx.AsyncClient, rows: Rows, body: Any, says: str
) -> None:
    answer = await client.put(URL, json=body)
    assert answer.status_code == 422
    assert says in answer.text
    assert (await client.get(URL)).json()["version"] == 0


async def test_strange_pages_and_cameras_are_refused(client: httpx.AsyncClient, rows: Rows) -> None:
    strange = {"Origin": "https://evil.example"}
    assert (await client.put(URL, json=BODY, headers=strange)).status_code == 403
    assert (await client.delete(URL, headers=strange)).status_code == 403
    assert (await client.put(URL, content="{}")).status_code == 415
    assert (await client.get("/api/v1/cameras/nope/areas")).status_code == 404


async def test_without_a_schema_it_says_so(client: httpx.AsyncClient) -> None:
    answer = await client.get(URL)
    assert answer.status_code == 503
    assert "no schema yet" in answer.json()["detail"]


async def test_areas_are_rows(client: httpx.AsyncClient, rows: Rows, postgres_url: str) -> None:
    await client.put(URL, json=BODY)
    connection = await asyncpg.connect(postgres_url)
    try:
        row = await connection.fetchrow("SELECT camera, version, areas->'zones' AS z FROM areas")
    finally:
        await connection.close()
    assert (row["camera"], row["version"]) == ("main", 1)
    assert "shop" in row["z"]
