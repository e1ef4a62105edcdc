"""Who was there: occupancy, entries and exits, dwell, hours, zones; from Postgres."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from panels import POSTGRES, Sql, bars, graph, heat_table, number, rows

_CAMERAS = "camera IN (${camera:sqlstring})"


def people() -> dashboard.Dashboard:
    """Return the dashboard People."""
    board = (
        dashboard.Dashboard("Posewire: people")
        .uid("posewire-people")
        .description("Who came, who left, how long they stayed, and where.")
        .tags(["posewire"])
        .time("now-24h", "now")
        .refresh("30s")
        .with_variable(
            dashboard.QueryVariable("camera")
            .label("Camera")
            .datasource(POSTGRES)
            .query("SELECT camera FROM report.camera ORDER BY camera")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .current(VariableOption(text="All", value="$__all"))
        )
        .with_variable(
            dashboard.TextBoxVariable("timezone")
            .label("Time zone of the hours")
            .default_value("UTC")
            .current(VariableOption(text="UTC", value="UTC"))
        )
    )
    for panel in (*_figures(), *_over_time(), *_dwell()):
        board.with_panel(panel)
    board.with_row(dashboard.Row("Hours of the week"))
    board.with_panel(_hours())
    board.with_panel(_latest())
    board.with_row(dashboard.Row("Zones and lines"))
    for panel in _zones():
        board.with_panel(panel)
    return board


def _figures() -> list[Any]:
    def count(kind: str) -> Sql:
        return Sql(
            f"""
            SELECT count(*) AS {kind} FROM report.event
            WHERE kind = '{kind}' AND $__timeFilter(time) AND {_CAMERAS}
            """
        )

    return [
        number(
            "Here now",
            Sql(f"SELECT sum(people) AS people FROM report.camera WHERE {_CAMERAS}"),
            description="People in view at the last moment that was followed.",
        ),
        number("Entered", count("entered")),
        number("Exited", count("exited")),
        number(
            "Most at once",
            Sql(
                """
                SELECT max(people) AS people FROM report.occupancy(
                  ARRAY[${camera:sqlstring}], $__timeFrom(), $__timeTo(),
                  make_interval(secs => $__interval_ms / 1000.0))
                """
            ),
            description="In view of one camera at the same time.",
        ),
        number(
            "Median visit",
            Sql(
                f"""
                SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY dwell_s) AS seconds
                FROM report.visit WHERE $__timeFilter(exited_at) AND {_CAMERAS}
                """
            ),
            unit="s",
            decimals=1,
        ),
        number(
            "Followed",
            Sql(
                f"""
                SELECT extract(epoch FROM now() - min(followed_at)) AS seconds
                FROM report.camera WHERE {_CAMERAS}
                """
            ),
            unit="s",
            limits=((None, "green"), (60, "orange"), (600, "red")),
            description="Time since the tracker last wrote of the camera that is furthest behind.",
        ),
    ]


def _over_time() -> list[Any]:
    return [
        graph(
            "People in view",
            Sql(
                """
                SELECT "time", camera AS metric, people FROM report.occupancy(
                  ARRAY[${camera:sqlstring}], $__timeFrom(), $__timeTo(),
                  make_interval(secs => $__interval_ms / 1000.0))
                ORDER BY 1, 2
                """,
                series=True,
            ),
            style="steps",
            description="The most at once in each step of time.",
        ),
        graph(
            "Entries and exits",
            Sql(
                f"""
                SELECT $__timeGroupAlias(time, $__interval), kind AS metric, count(*) AS people
                FROM report.event
                WHERE $__timeFilter(time) AND kind IN ('entered', 'exited') AND {_CAMERAS}
                GROUP BY 1, 2 ORDER BY 1, 2
                """,
                series=True,
            ),
            style="bars",
            least_interval="1m",
        ),
    ]


def _dwell() -> list[Any]:
    return [
        bars(
            "How long people stay",
            Sql(
                f"""
                SELECT length, count(id) AS visits
                FROM (VALUES (0, 5, 'under 5 s'), (5, 15, '5 to 15 s'), (15, 30, '15 to 30 s'),
                  (30, 60, '30 to 60 s'), (60, 180, '1 to 3 min'), (180, 600, '3 to 10 min'),
                  (600, 1e9, 'over 10 min')) AS class (least, below, length)
                LEFT JOIN report.visit ON dwell_s >= least AND dwell_s < below
                  AND $__timeFilter(exited_at) AND {_CAMERAS}
                GROUP BY least, length ORDER BY least
                """
            ),
            x="length",
        ),
        graph(
            "Length of visits",
            Sql(
                f"""
                SELECT $__timeGroupAlias(exited_at, $__interval),
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY dwell_s) AS median,
                  percentile_cont(0.9) WITHIN GROUP (ORDER BY dwell_s) AS "90 % are shorter"
                FROM report.visit WHERE $__timeFilter(exited_at) AND {_CAMERAS}
                GROUP BY 1 ORDER BY 1
                """,
                series=True,
            ),
            unit="s",
            least_interval="15m",
        ),
    ]


def _hours() -> Any:
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    columns = ",\n".join(
        f'                  count(id) FILTER (WHERE day = {number}) AS "{name}"'
        for number, name in enumerate(days, start=1)
    )
    return heat_table(
        "People who entered, by hour",
        Sql(
            f"""
                SELECT to_char(hour, 'FM00') || ':00' AS hour,
{columns}
                FROM generate_series(0, 23) AS hour
                LEFT JOIN (
                  SELECT id, extract(isodow FROM time AT TIME ZONE ${{timezone:sqlstring}}) AS day,
                    extract(hour FROM time AT TIME ZONE ${{timezone:sqlstring}}) AS at
                  FROM report.event
                  WHERE kind = 'entered' AND $__timeFilter(time) AND {_CAMERAS}
                ) AS entry ON entry.at = hour
                GROUP BY hour ORDER BY hour
            """
        ),
        label="hour",
        span=12,
        description="Take a range of whole weeks to compare days.",
    )


def _latest() -> Any:
    return rows(
        "Latest events",
        Sql(
            f"""
            SELECT time, camera, kind, reason, zone, direction, people, seconds
            FROM report.event WHERE $__timeFilter(time) AND {_CAMERAS}
            ORDER BY time DESC LIMIT 200
            """
        ),
        height=20,
        units={"seconds": "s"},
    )


def _zones() -> list[Any]:
    return [
        graph(
            "People who stepped into zones",
            Sql(
                f"""
                SELECT $__timeGroupAlias(time, $__interval), camera || ': ' || zone AS metric,
                  count(*) AS people
                FROM report.event
                WHERE kind = 'zone_entered' AND $__timeFilter(time) AND {_CAMERAS}
                GROUP BY 1, 2 ORDER BY 1, 2
                """,
                series=True,
            ),
            style="bars",
            least_interval="1m",
        ),
        rows(
            "Stays in zones",
            Sql(
                f"""
                SELECT camera, zone, count(*) AS stays,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median,
                  max(seconds) AS longest
                FROM report.zone_stay WHERE $__timeFilter(exited_at) AND {_CAMERAS}
                GROUP BY camera, zone ORDER BY camera, zone
                """
            ),
            units={"median": "s", "longest": "s"},
        ),
        graph(
            "Lines crossed",
            Sql(
                f"""
                SELECT $__timeGroupAlias(time, $__interval),
                  camera || ': ' || line || ' ' || direction AS metric, count(*) AS people
                FROM report.crossing WHERE $__timeFilter(time) AND {_CAMERAS}
                GROUP BY 1, 2 ORDER BY 1, 2
                """,
                series=True,
            ),
            style="bars",
            least_interval="1m",
        ),
        rows(
            "Ways over lines",
            Sql(
                f"""
                SELECT camera, line, direction, count(*) AS people
                FROM report.crossing WHERE $__timeFilter(time) AND {_CAMERAS}
                GROUP BY camera, line, direction ORDER BY camera, line, direction
                """
            ),
        ),
    ]
