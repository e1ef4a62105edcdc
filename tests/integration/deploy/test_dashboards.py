"""Grafana's dashboards: their JSON is Grafana's, and every query says what the events imply.

Grafana itself is not here. Its macros and variables are replaced as its documentation says.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from posewire.shared.messages import Event
from posewire.shared.settings import DatabaseSettings
from posewire.tracker.store import Checkpoint, Rows, Store
from tests.conftest import ROOT
from tests.integration.tracker.test_report import NOON, book, fill, frame

FOLDER = ROOT / "deploy" / "grafana"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
SINCE, UNTIL = NOON - timedelta(minutes=1), NOON + timedelta(minutes=2)


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def sql_panels() -> dict[str, tuple[str, str]]:
    """Return all SQL by panel title: (format, text)."""
    return {
        panel["title"]: (target["format"], target["rawSql"])
        for path in DASHBOARDS
        for panel in panels(load(path))
        for target in panel.get("targets", [])
        if "rawSql" in target
    }


def expanded(sql: str, cameras: list[str], *, since: datetime, until: datetime, step_s: int) -> str:
    """Replace macros and variables as Grafana does (docs: PostgreSQL query editor)."""
    start, end = (f"'{moment.isoformat().replace('+00:00', 'Z')}'" for moment in (since, until))
    sql = re.sub(
        r"\$__timeGroupAlias\(([\w.]+), *\$__interval\)",
        rf'floor(extract(epoch from \1)/{step_s})*{step_s} AS "time"',
        sql,
    )
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", rf"\1 BETWEEN {start} AND {end}", sql)
    sql = sql.replace("$__timeFrom()", start).replace("$__timeTo()", end)
    sql = sql.replace("$__interval_ms", str(step_s * 1000))
    names = ",".join("'" + name.replace("'", "''") + "'" for name in cameras)
    sql = sql.replace("${camera:sqlstring}", names)
    sql = sql.replace("${timezone:sqlstring}", "'Europe/Berlin'")
    assert "$" not in sql, f"not replaced: {sql}"
    return sql


@pytest.fixture
async def reader(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """What Grafana sees: a user without any right but to log in."""
    await fill(postgres_url)
    owner = await asyncpg.connect(postgres_url)
    await owner.execute(
        "DO $$ BEGIN CREATE ROLE a_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    await owner.execute("SET ROLE a_reader")
    yield owner
    await owner.close()


class Board:
    """Asks a dashboard's questions."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def ask(self, title: str, *cameras: str, step_s: int = 10) -> list[tuple[Any, ...]]:
        _format, sql = sql_panels()[title]
        chosen = list(cameras) or ["door", "hall"]
        rows = await self._connection.fetch(
            expanded(sql, chosen, since=SINCE, until=UNTIL, step_s=step_s)
        )
        return [tuple(row.values()) for row in rows]


@pytest.fixture
async def board(reader: asyncpg.Connection) -> Board:
    return Board(reader)


def seconds(value: Any) -> float:
    """Return a row's time in seconds after noon: Grafana takes timestamps and epochs."""
    if isinstance(value, datetime):
        return (value - NOON).total_seconds()
    return float(value) - NOON.timestamp()


async def test_figures(board: Board) -> None:
    assert await board.ask("Here now") == [(1,)]
    assert await board.ask("Here now", "door") == [(0,)]
    assert await board.ask("Entered") == [(3,)]
    assert await board.ask("Exited", "door") == [(2,)]
    assert await board.ask("Exited", "hall") == [(0,)]
    assert await board.ask("Most at once") == [(2,)]
    assert await board.ask("Median visit", "door") == [(30.0,)]
    ((age_s,),) = await board.ask("Followed")
    assert 0 <= float(age_s) < 300


async def test_people_in_view_over_time(board: Board) -> None:
    rows = await board.ask("People in view")
    door = {seconds(at): people for at, camera, people in rows if camera == "door"}
    assert {at: n for at, n in door.items() if 0 <= at <= 50} == {
        0: 0, 10: 1, 20: 2, 30: 2, 40: 1, 50: 0
    }  # fmt: skip
    assert max(door) < (UNTIL - NOON).total_seconds()
    assert [people for at, camera, people in rows if camera == "hall"][-1] == 1


async def test_entries_and_exits_over_time(board: Board) -> None:
    rows = await board.ask("Entries and exits", step_s=60)
    assert [(seconds(at), kind, n) for at, kind, n in rows] == [(0, "entered", 3), (0, "exited", 2)]


async def test_dwell(board: Board) -> None:
    classes = dict(await board.ask("How long people stay"))
    assert classes == {
        "under 5 s": 0, "5 to 15 s": 0, "15 to 30 s": 1, "30 to 60 s": 1, "1 to 3 min": 0,
        "3 to 10 min": 0, "over 10 min": 0,
    }  # fmt: skip
    assert sum(dict(await board.ask("How long people stay", "hall")).values()) == 0
    ((at, median, most),) = await board.ask("Length of visits", step_s=900)
    assert (seconds(at), median, most) == (0, 30.0, 38.0)


async def test_hours_are_those_of_the_chosen_time_zone(board: Board) -> None:
    rows = await board.ask("People who entered, by hour")
    assert [row[0] for row in rows] == [f"{hour:02}:00" for hour in range(24)]
    # Monday noon in UTC is 13:00 in Berlin.
    assert rows[13] == ("13:00", 3, 0, 0, 0, 0, 0, 0)
    assert sum(sum(row[1:]) for row in rows) == 3


async def test_latest_events(board: Board) -> None:
    rows = await board.ask("Latest events", "door")
    assert [row[2] for row in rows] == [
        event.kind for event in reversed(book().events) if event.camera == "door"
    ]


async def test_zones_and_lines(board: Board) -> None:
    assert [row[1:] for row in await board.ask("People who stepped into zones")] == [
        ("door: till", 1)
    ]
    assert await board.ask("Stays in zones") == [("door", "till", 1, 22.0, 22.0)]
    assert [row[1:] for row in await board.ask("Lines crossed")] == [("door: gate in", 1)]
    assert await board.ask("Ways over lines") == [("door", "gate", "in", 1)]
    assert await board.ask("Ways over lines", "hall") == []


async def test_every_query_runs_and_is_asked_above(board: Board) -> None:
    """Also with no rows at all, and with a quote in a camera's name."""
    source = Path(__file__).read_text(encoding="utf-8")
    for title, (kind, _sql) in sql_panels().items():
        rows = await board.ask(title, "nobody's")
        assert kind in ("table", "time_series")
        assert f'board.ask("{title}"' in source, f"no test knows what {title!r} should say"
        if kind == "time_series":
            assert all(isinstance(seconds(row[0]), float) for row in rows)


async def test_the_list_of_cameras(reader: asyncpg.Connection) -> None:
    (variable,) = [
        v for v in load(FOLDER / "dashboards" / "people.json")["templating"]["list"]
        if v["name"] == "camera"
    ]  # fmt: skip
    assert [row[0] for row in await reader.fetch(variable["query"])] == ["door", "hall"]


async def test_a_year_of_visits_is_drawn_with_bounds(
    postgres_url: str, reader: asyncpg.Connection
) -> None:
    """A row for each step and not for each visit, however much there is."""
    store = Store(DatabaseSettings(url=postgres_url))
    events = []
    for number in range(1, 401):
        at = number * 3600 * 20.0
        for kind, when in (("entered", at), ("exited", at + 60)):
            events.append(
                Event(
                    id=f"00000000-0000-4000-9000-{len(events):012d}", camera="year",
                    session="s-year", visit=number, track=number, kind=kind,  # type: ignore[arg-type]
                    reason="walked_in" if kind == "entered" else "left_view", ordinal=0,
                    seq=number, t=when, occurred_at=NOON.timestamp() + when,
                    confirmed_at=NOON.timestamp() + when, people=int(kind == "entered"),
                )
            )  # fmt: skip
    rows = Rows(sessions=[frame("s-year", "year")], events=events)
    await store.commit(rows, Checkpoint("year", "s-year", 1, "1-0", b"", 1, ended=False))
    await store.close()
    _kind, sql = sql_panels()["People in view"]
    sql = expanded(sql, ["year"], since=NOON, until=NOON + timedelta(days=360), step_s=86400)
    found = await reader.fetch(sql)
    assert len(found) <= 361
    assert sum(row["people"] for row in found) >= 290


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_json_is_of_grafanas_model(path: Path) -> None:
    """What the model does not know is lost on the way through it, and is a difference then."""
    model = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="needs Python 3.11"
    )
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder").JSONEncoder
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    plugins.register_default_plugins()
    text = path.read_text(encoding="utf-8")
    again = json.dumps(model.Dashboard.from_json(json.loads(text)), cls=encoder)
    assert json.loads(again) == json.loads(text)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_sources_that_are_provisioned(path: Path) -> None:
    provisioned = yaml.safe_load(
        (FOLDER / "provisioning" / "datasources" / "posewire.yml").read_text()
    )
    known = {(source["type"], source["uid"]) for source in provisioned["datasources"]}
    drawn = [panel for panel in panels(load(path)) if panel["type"] != "row"]
    assert drawn
    ids = [panel["id"] for panel in drawn]
    for panel in drawn:
        assert panel["title"]
        assert panel["targets"]
        for target in panel["targets"]:
            assert (target["datasource"]["type"], target["datasource"]["uid"]) in known
    positions = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in drawn]
    assert len(set(positions)) == len(positions), "panels lie on each other"
    assert len(set(ids)) == len(ids)
    assert None not in ids


def test_dashboards_are_up_to_date() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="needs Python 3.11")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "dashboards"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
