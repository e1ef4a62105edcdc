"""posewire db: the schema, copies of the data, and bringing them back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from posewire.launcher import runtime
from posewire.launcher.embedded import EmbeddedPostgres, EmbeddedServerError
from posewire.launcher.options import settings_for
from posewire.shared.database import connect, inspect, migrate
from posewire.shared.errors import ConfigError, StoreError
from posewire.shared.redact import redact
from posewire.shared.settings import DatabaseSettings

_TABLES = ("session", "visit", "event", "snapshot", "areas")
_GRANTS = (
    "GRANT USAGE ON SCHEMA report TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA report TO PUBLIC"
)
"""As the migrations give them. A copy leaves rights out: other servers have other users."""
Counts = dict[str, int]


def upgrade(config: Path | None, data_dir: Path | None) -> None:
    """Bring the schema to that of this program. Raises StoreUnavailable, StoreError."""
    database = _database(config, data_dir)
    before = asyncio.run(inspect(database))
    after = asyncio.run(migrate(database))
    done = f"from {before.version} to {after}" if before.version != after else f"{after} already"
    sys.stdout.write(f"schema: {done}\n")


def status(config: Path | None, data_dir: Path | None) -> bool:
    """Say where the schema is; return whether it is this program's. Changes nothing."""
    database = _database(config, data_dir)
    schema = asyncio.run(inspect(database))
    sys.stdout.write(f"{redact(database.url or '')}\n")
    sys.stdout.write(f"schema {schema.version}; this program's is {schema.newest}\n")
    for name in schema.pending:
        sys.stdout.write(f"  missing: {name}\n")
    schema.require()
    if schema.version:
        for table, count in asyncio.run(_counts(database)).items():
            sys.stdout.write(f"  {count:>10,} rows of {table}\n")
    return not schema.pending


def backup(config: Path | None, data_dir: Path | None, file: Path) -> None:
    """Write a copy of all data to ``file``, and show that it can be brought back.

    Raises ConfigError, StoreUnavailable, StoreError.
    """
    if file.exists():
        raise ConfigError(f"{file} is there already; give another name")
    database = _database(config, data_dir)
    counts = asyncio.run(_backup(database, file))
    sys.stdout.write(f"{file}: {_said(counts)}, {file.stat().st_size / 1e6:.1f} MB\n")


def restore(config: Path | None, data_dir: Path | None, file: Path) -> None:
    """Bring a copy back into an empty database.

    Raises ConfigError, StoreUnavailable, StoreError.
    """
    if not file.is_file():
        raise ConfigError(f"{file} does not exist; 'posewire db backup' writes such a file")
    database = _database(config, data_dir)
    counts = asyncio.run(_restore(database, file))
    sys.stdout.write(f"brought back: {_said(counts)}\n")


def _database(config: Path | None, data_dir: Path | None) -> DatabaseSettings:
    return runtime.database(settings_for(config, {}, data_dir=data_dir))


async def _backup(database: DatabaseSettings, file: Path) -> Counts:
    (await inspect(database)).require()
    part = file.with_name(file.name + ".part")
    try:
        # The rows are counted in the very moment of which the copy is.
        async with (
            connect(database, "backup", statement_s=None) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            counts = await _count(connection)
            moment = await connection.fetchval("SELECT pg_export_snapshot()")
            schema = await connection.fetchval("SELECT current_schema()")
            version = connection.get_server_version().major
            await _run(
                _program("pg_dump", version), database, "--format=custom", "--no-owner",
                "--no-privileges", f"--snapshot={moment}", f"--schema={schema}",
                "--schema=report", f"--file={part}",
            )  # fmt: skip
        await _try_out(part, counts, version)
        part.rename(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return counts


async def _try_out(file: Path, counts: Counts, version: int) -> None:
    """Bring the copy back on a server that is made for it, and count again."""
    async with _scratch(version) as database:
        if database is None:
            # At least all of it can be read.
            await _run(_program("pg_restore", version), None, "--file=/dev/null", str(file))
            sys.stderr.write(
                "the copy was read to its end, but not brought back to try it: that needs the "
                "embedded Postgres, pip install 'posewire[embedded]'\n"
            )
            return
        there = await _restore(database, file)
    if there != counts:
        raise StoreError(f"the copy is not whole: {_said(there)} of {_said(counts)} came back")


@contextlib.asynccontextmanager
async def _scratch(version: int) -> AsyncIterator[DatabaseSettings | None]:
    """Yield an empty database on a server of our own; None where that is older or not there."""
    with tempfile.TemporaryDirectory(prefix="posewire-") as folder:
        try:
            own = _major(EmbeddedPostgres.binaries() / "postgres")
        except EmbeddedServerError:
            own = 0
        if own < version:
            yield None
            return
        server = EmbeddedPostgres(Path(folder))
        await server.start()
        try:
            yield DatabaseSettings(url=server.url)
        finally:
            await server.stop()


async def _restore(database: DatabaseSettings, file: Path) -> Counts:
    if (await inspect(database)).version:
        raise StoreError(
            f"the database {redact(database.url or '')} is not empty; make a new one with createdb "
            "and set database.url to it"
        )
    async with connect(database, "restore", statement_s=None) as connection:
        version = connection.get_server_version().major
        schemas = await connection.fetch("SELECT nspname FROM pg_namespace")
    program = _program("pg_restore", version)
    # Schemas that are there already (public, or what an administrator has made) are not made again.
    there = "|".join(re.escape(row["nspname"]) for row in schemas)
    contents = await _run(program, None, "--list", str(file))
    wanted = re.sub(rf"(?m)^\d+; .* SCHEMA - (?:{there}) .*$", "", contents)
    with tempfile.NamedTemporaryFile("w", prefix="posewire-", suffix=".list") as list_:
        list_.write(wanted)
        list_.flush()
        await _run(
            program, database, "--no-owner", "--no-privileges", "--exit-on-error",
            "--single-transaction", f"--use-list={list_.name}", str(file),
        )  # fmt: skip
    async with (
        connect(database, "restore", statement_s=None) as connection,
        connection.transaction(),
    ):
        await connection.execute(_GRANTS)
    (await inspect(database)).require()
    return await _counts(database)


async def _counts(database: DatabaseSettings) -> Counts:
    async with (
        connect(database, "count", statement_s=None) as connection,
        connection.transaction(readonly=True),
    ):
        return await _count(connection)


async def _count(connection: asyncpg.Connection) -> Counts:
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 -- ours
        for table in _TABLES
    }


def _said(counts: Counts) -> str:
    return ", ".join(f"{count:,} rows of {table}" for table, count in counts.items())


async def _run(program: Path, database: DatabaseSettings | None, *arguments: str) -> str:
    """Run one of Postgres' programs and return what it writes. Raises StoreError.

    The password is not among its arguments, which all users of the machine can see.
    """
    environment = dict(os.environ)
    where: tuple[str, ...] = ()
    if database is not None:
        parts = urlsplit(database.url or "")
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
        if colon:
            environment["PGPASSWORD"] = unquote(password)
            parts = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}")
        where = (f"--dbname={urlunsplit(parts)}",)
    process = await asyncio.create_subprocess_exec(
        program, *where, *arguments, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    if process.returncode:
        said = errors.decode(errors="replace").strip()
        raise StoreError(f"{program.name} failed: {redact(said[-800:])}")
    return output.decode(errors="replace")


def _program(name: str, version: int) -> Path:
    """Return pg_dump or pg_restore, not older than the server. Raises StoreError."""
    found = [Path(there)] if (there := shutil.which(name)) else []
    with contextlib.suppress(EmbeddedServerError):
        found.append(EmbeddedPostgres.binaries() / name)
    majors = {path: _major(path) for path in found}
    for path, major in majors.items():
        if major >= version:
            return path
    seen = ", ".join(f"{path} is of {major}" for path, major in majors.items()) or "there is none"
    raise StoreError(
        f"this needs {name} of PostgreSQL {version} or newer, but {seen}: "
        f"apt-get install postgresql-client-{version}, or pip install 'posewire[embedded]'"
    )


def _major(program: Path) -> int:
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"(\d+)\.", text.stdout)
    return int(version[1]) if version else 0
