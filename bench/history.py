"""How long questions to the history take, and how much room it needs, after so many visits.

    python -m bench.history [--visits 1000000] [--cameras 8] [--repeats 5] [--json]

The visits are made up (a year of them, ten minutes at most each); the schema, the server and the
questions are the real ones: those of the API and the dashboards' SQL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg

from posewire.api import queries
from posewire.api.database import Database
from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.database import migrate
from posewire.shared.settings import DatabaseSettings

_FILL = """
WITH made AS (
  SELECT n, 'c' || n % $2 AS camera, now() - interval '1 year' * (1 - n::float8 / $1) AS entered,
    interval '1 second' * (3 + 597 * power(random(), 4)) AS stay
  FROM generate_series(1, $1::int) AS n
), visits AS (
  INSERT INTO visit SELECT md5(n || 'v')::uuid, camera, 's-' || camera, n, n, entered, n,
    'walked_in', entered + stay, n, 'left_view', extract(epoch FROM stay) FROM made
)
INSERT INTO event (id, camera, session, visit, visit_number, track, kind, reason, ordinal, seq, t,
  occurred_at, confirmed_at, people, seconds)
SELECT md5(n || kind)::uuid, camera, 's-' || camera, md5(n || 'v')::uuid, n, n, kind, reason, 0, n,
  n, entered + past, entered + past, 0, NULL
FROM made CROSS JOIN LATERAL (VALUES ('entered', 'walked_in', interval '0'),
  ('exited', 'left_view', stay)) AS e (kind, reason, past) ORDER BY entered + past
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visits", type=int, default=1_000_000)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = asyncio.run(measure(options.visits, options.cameras, options.repeats))
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{result['visits']:,} visits, {result['events']:,} events: {result['megabytes']:.0f} MB, "
        f"{result['bytes_per_visit']:.0f} bytes a visit with its events and indexes"
    )
    for name, milliseconds in result["milliseconds"].items():
        print(f"{milliseconds:8.1f} ms   {name}")


async def measure(visits: int, cameras: int, repeats: int) -> dict[str, Any]:
    """Fill a database of its own and ask; returns medians."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        database = Database(DatabaseSettings(url=server.url, timeout_s=60))
        try:
            connection = await asyncpg.connect(server.url)
            await migrate(DatabaseSettings(url=server.url))
            await _fill(connection, visits, cameras)
            size = await connection.fetchval(
                "SELECT sum(pg_total_relation_size(c)) FROM (VALUES ('visit'::regclass),"
                " ('event')) AS tables (c)"
            )
            times = await _ask(database, connection, cameras, repeats)
            await connection.close()
        finally:
            await database.close()
            await server.stop()
    return {
        "visits": visits,
        "events": 2 * visits,
        "megabytes": round(float(size) / 1e6, 1),
        "bytes_per_visit": round(float(size) / visits),
        "milliseconds": times,
    }


async def _fill(connection: asyncpg.Connection, visits: int, cameras: int) -> None:
    await connection.execute(
        "INSERT INTO session SELECT 's-c' || n, 'c' || n, 'film', now() - interval '1 year', NULL"
        " FROM generate_series(0, $1::int - 1) AS n",
        cameras,
    )
    await connection.execute(_FILL, visits, cameras, timeout=600)
    await connection.execute("VACUUM ANALYZE", timeout=600)


async def _ask(
    database: Database, connection: asyncpg.Connection, cameras: int, repeats: int
) -> dict[str, float]:
    now = datetime.now(timezone.utc)
    day, year = now - timedelta(days=1), now - timedelta(days=364)
    names = [f"c{number}" for number in range(cameras)]
    sql = "SELECT * FROM report.occupancy($1, $2, $3, $4)"
    questions: dict[str, Callable[[], Awaitable[Any]]] = {
        "API: newest 100 events": lambda: queries.events(
            database, queries.Filter(), queries.Page()
        ),
        "API: 100 visits of a camera half a year ago": lambda: queries.visits(
            database,
            queries.Filter(camera="c0", since=now - timedelta(days=183)),
            queries.Page(order="asc"),
        ),
        "API: occupancy of the last day by minute": lambda: queries.occupancy(
            database, "c0", day, 60, 1440
        ),
        "API: usual hours over 8 weeks": lambda: queries.hours(database, None, "UTC", 8),
        "dashboard: people in view, last day": lambda: connection.fetch(
            sql, names, day, now, timedelta(minutes=2)
        ),
        "dashboard: people in view, last year": lambda: connection.fetch(
            sql, names, year, now, timedelta(hours=12), timeout=60
        ),
    }
    times = {}
    for name, question in questions.items():
        await question()
        taken = []
        for _ in range(repeats):
            started = time.perf_counter()
            await question()
            taken.append((time.perf_counter() - started) * 1000)
        times[name] = round(statistics.median(taken), 1)
    return times


if __name__ == "__main__":
    main()
