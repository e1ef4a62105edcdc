"""posewire events: what is in the database."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TextIO

from posewire.launcher import runtime
from posewire.launcher.options import settings_for
from posewire.launcher.writers import event_columns
from posewire.shared.database import connect
from posewire.shared.errors import ConfigError
from posewire.shared.settings import DatabaseSettings

_FORMATS = ("csv", "ndjson", "json")
_COLUMNS = (
    "seq AS frame, t, kind, coalesce(reason, '') AS reason, visit_number AS visit, track, people, "
    "id, camera, session, occurred_at, confirmed_at, ord, zone, direction, seconds"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; None: all. Times in ISO 8601, UTC where no zone is given."""

    camera: str | None = None
    session: str | None = None
    since: str | None = None
    until: str | None = None


def export(
    config: Path | None,
    data_dir: Path | None,
    wanted: Filter,
    format_: str,
    output: Path | None,
) -> None:
    """Write events to ``output`` or standard output.

    Raises ConfigError, StoreError, StoreUnavailable.
    """
    if format_ not in _FORMATS:
        raise ConfigError(f"unknown format {format_!r}; there are {', '.join(_FORMATS)}")
    database = runtime.database(settings_for(config, {}, data_dir=data_dir))
    rows = asyncio.run(_select(database, wanted))
    if output is None:
        _write(rows, format_, sys.stdout)
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write(rows, format_, file)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error}") from None


def tail(
    config: Path | None, data_dir: Path | None, camera: str | None, lines: int, *, follow: bool
) -> None:
    """Print the last events, then new ones as they come. Raises StoreError, StoreUnavailable."""
    database = runtime.database(settings_for(config, {}, data_dir=data_dir))
    asyncio.run(_tail(database, camera, lines, follow=follow))


async def _tail(
    database: DatabaseSettings, camera: str | None, lines: int, *, follow: bool
) -> None:
    rows = await _fetch(database, *_newest(camera, lines)) if lines else []
    for row in rows:
        sys.stdout.write(_line(row))
    if rows:
        newest = rows[-1]["ord"]
    elif follow:
        (last,) = await _fetch(database, "SELECT coalesce(max(ord), 0) AS ord FROM event")
        newest = last["ord"]
    while follow:
        sys.stdout.flush()
        await asyncio.sleep(1.0)
        rows = await _select(database, Filter(camera=camera), after=newest)
        for row in rows:
            sys.stdout.write(_line(row))
        newest = rows[-1]["ord"] if rows else newest


def _newest(camera: str | None, lines: int) -> tuple[Any, ...]:
    """Return the question for the last ``lines`` events, which an index answers."""
    where = "" if camera is None else "WHERE camera = $2"
    last = f"SELECT {_COLUMNS} FROM event {where} ORDER BY ord DESC LIMIT $1"  # noqa: S608 -- our own words
    values = (lines,) if camera is None else (lines, camera)
    return f"SELECT * FROM ({last}) AS newest ORDER BY ord", *values  # noqa: S608


async def _select(
    database: DatabaseSettings, wanted: Filter, *, after: int = 0
) -> list[dict[str, Any]]:
    conditions, values = ["ord > $1"], [after]
    arguments: list[Any] = list(values)
    for column, operator, value in (
        ("camera", "=", wanted.camera),
        ("session", "=", wanted.session),
        ("occurred_at", ">=", _time(wanted.since)),
        ("occurred_at", "<", _time(wanted.until)),
    ):
        if value is not None:
            arguments.append(value)
            conditions.append(f"{column} {operator} ${len(arguments)}")
    query = f"SELECT {_COLUMNS} FROM event WHERE {' AND '.join(conditions)} ORDER BY ord"  # noqa: S608 -- only our own words
    return await _fetch(database, query, *arguments)


async def _fetch(database: DatabaseSettings, query: str, *values: Any) -> list[dict[str, Any]]:
    async with (
        connect(database, "events", statement_s=None) as connection,
        connection.transaction(readonly=True),
    ):
        return [dict(row) for row in await connection.fetch(query, *values)]


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time; expected e.g. 2026-01-31T08:00:00+00:00") from None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _write(rows: Iterable[dict[str, Any]], format_: str, output: TextIO) -> None:
    if format_ == "csv":
        writer = csv.writer(output, lineterminator="\n")
        rows = list(rows)
        columns = event_columns(zones=any(row["zone"] for row in rows))
        writer.writerow(columns)
        for row in rows:
            writer.writerow(f"{row[c]:.3f}" if c == "t" else row[c] for c in columns)
        return
    plain = [
        {k: v if v is None or isinstance(v, (int, float)) else str(v) for k, v in r.items()}
        for r in rows
    ]
    if format_ == "json":
        json.dump(plain, output, indent=1)
        output.write("\n")
        return
    for entry in plain:
        output.write(json.dumps(entry) + "\n")


def _line(row: dict[str, Any]) -> str:
    when = row["occurred_at"].astimezone().strftime("%Y-%m-%d %H:%M:%S")
    detail = row["reason"] or " ".join(filter(None, (row["zone"], row["direction"])))
    reason = f" ({detail})" if detail else ""
    return (
        f"{when}  {row['camera']:<10} {row['kind']:<8}{reason:<20} "
        f"visit {row['visit']}, {row['people']} people now\n"
    )
