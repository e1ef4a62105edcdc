"""posewire db and posewire events on a real Postgres."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import asyncpg
import pytest

from posewire.launcher.embedded import EmbeddedPostgres
from posewire.shared.database import inspect, migrate
from posewire.shared.settings import DatabaseSettings
from tests.integration.launcher.test_cli import posewire

FILL = """
INSERT INTO session VALUES ('s', 'door', 'demo', now(), NULL);
INSERT INTO visit SELECT md5(n || 'v')::uuid, 'door', 's', n, n, now(), n, 'walked_in'
  FROM generate_series(1, 5000) AS n;
INSERT INTO event (id, camera, session, visit, visit_number, track, kind, reason, ordinal, seq, t,
  occurred_at, confirmed_at, people)
SELECT md5(n || 'e')::uuid, CASE WHEN n % 2 = 0 THEN 'door' ELSE 'yard' END, 's',
  md5(n || 'v')::uuid, n, n, 'entered', 'walked_in', 0, n, n, now(), now(), 1
  FROM generate_series(1, 5000) AS n;
INSERT INTO snapshot (event, jpeg) SELECT id, '\\xffd8' FROM event LIMIT 3;
ANALYZE
"""


@pytest.fixture
async def filled(postgres_url: str) -> str:
    await migrate(DatabaseSettings(url=postgres_url))
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(FILL)
    await connection.close()
    return postgres_url


async def run(*arguments: str, cwd: Path, url: str) -> tuple[int, str, str]:
    done = await asyncio.to_thread(posewire, *arguments, cwd=cwd, POSEWIRE_DATABASE__URL=url)
    return done.returncode, done.stdout, done.stderr


async def read_of(url: str) -> int:
    """Rows of events that were read so far."""
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval(
                "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_user_tables"
                " WHERE relname = 'event'"
            )
        )
    finally:
        await connection.close()


async def test_the_last_events_are_not_found_by_reading_all(filled: str, tmp_path: Path) -> None:
    await asyncio.sleep(1)  # statistics are told once a second
    before = await read_of(filled)
    code, said, _ = await run("events", "tail", "-n", "4", "--no-follow", cwd=tmp_path, url=filled)
    assert code == 0
    assert re.findall(r"visit (\d+),", said) == ["4997", "4998", "4999", "5000"]
    arguments = ("events", "tail", "-n", "2", "--no-follow", "--camera", "door")
    code, said, _ = await run(*arguments, cwd=tmp_path, url=filled)
    assert re.findall(r"visit (\d+),", said) == ["4998", "5000"]
    await asyncio.sleep(1)
    assert await read_of(filled) - before < 100


async def test_status_and_upgrade(postgres_url: str, tmp_path: Path) -> None:
    code, said, _ = await run("db", "status", cwd=tmp_path, url=postgres_url)
    assert code == 1
    assert "schema 0; this program's is 7" in said
    assert "missing: 0001_visits.sql" in said
    assert (await inspect(DatabaseSettings(url=postgres_url))).version == 0
    code, said, _ = await run("db", "upgrade", cwd=tmp_path, url=postgres_url)
    assert (code, said.splitlines()[-1]) == (0, "schema: from 0 to 7")
    code, said, _ = await run("db", "status", cwd=tmp_path, url=postgres_url)
    assert code == 0
    assert "missing" not in said


@pytest.mark.slow
async def test_a_copy_comes_back(filled: str, postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    copy = tmp_path / "posewire.dump"
    started = time.monotonic()
    code, said, why = await run("db", "backup", str(copy), cwd=tmp_path, url=filled)
    assert code == 0, why
    assert "5,000 rows of event" in said
    assert time.monotonic() - started < 60
    code, _, why = await run("db", "backup", str(copy), cwd=tmp_path, url=filled)
    assert code == 2
    assert "is there already" in why
    code, _, why = await run("db", "restore", str(copy), cwd=tmp_path, url=filled)
    assert code == 2
    assert "is not empty" in why

    server = EmbeddedPostgres(tmp_path / "other")
    await server.start()
    try:
        code, said, why = await run("db", "restore", str(copy), cwd=tmp_path, url=server.url)
        assert code == 0, why
        assert "5,000 rows of visit, 5,000 rows of event, 3 rows of snapshot" in said
        # It is whole: events may come, and whoever may log in reads the reports.
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT max(ord) FROM event") == 5000
        await connection.execute("CREATE ROLE reader; SET ROLE reader")
        assert await connection.fetchval("SELECT count(*) FROM report.event") == 5000
        await connection.close()
        assert (await inspect(DatabaseSettings(url=server.url))).pending == ()
    finally:
        await server.stop()


@pytest.mark.slow
async def test_a_copy_that_is_cut_off_is_not_taken(filled: str, tmp_path: Path) -> None:
    copy = tmp_path / "posewire.dump"
    code, _, why = await run("db", "backup", str(copy), cwd=tmp_path, url=filled)
    assert code == 0, why
    copy.write_bytes(copy.read_bytes()[: copy.stat().st_size // 2])
    server = EmbeddedPostgres(tmp_path / "other")
    await server.start()
    try:
        code, _, why = await run("db", "restore", str(copy), cwd=tmp_path, url=server.url)
        assert code == 2
        assert "pg_restore failed" in why
        assert (await inspect(DatabaseSettings(url=server.url))).version == 0
    finally:
        await server.stop()
