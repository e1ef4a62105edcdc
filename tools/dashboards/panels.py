"""Panels in the few forms that the dashboards use, on Grafana's own model."""

from __future__ import annotations

from textwrap import dedent
from typing import Any, Literal

from grafana_foundation_sdk.builders import barchart, common, dashboard, prometheus, stat, table
from grafana_foundation_sdk.builders import timeseries as lines
from grafana_foundation_sdk.cog.runtime import UnknownDataquery
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
)

POSTGRES = DataSourceRef("grafana-postgresql-datasource", "posewire-postgres")
PROMETHEUS = DataSourceRef("prometheus", "posewire-prometheus")
Color = Literal["text", "green", "orange", "red", "blue"]


class Sql:
    """A query in SQL; ``series`` draws its rows over time, one line for each ``metric``."""

    def __init__(self, text: str, *, series: bool = False) -> None:
        self.text = dedent(text).strip()
        self._format = "time_series" if series else "table"

    def build(self) -> UnknownDataquery:
        """Return the target; the SDK has no model of Postgres' queries."""
        return UnknownDataquery(
            {
                "refId": "A",
                "datasource": POSTGRES.to_json(),
                "editorMode": "code",
                "format": self._format,
                "rawQuery": True,
                "rawSql": self.text,
            }
        )


def promql(expr: str, legend: str, ref: str = "A") -> prometheus.Dataquery:
    """Return a query to Prometheus."""
    query = prometheus.Dataquery().expr(dedent(expr).strip()).legend_format(legend).ref_id(ref)
    return query.datasource(PROMETHEUS)


def _source(query: Any) -> DataSourceRef:
    return POSTGRES if isinstance(query, Sql) else PROMETHEUS


def number(  # one big figure
    title: str,
    query: Any,
    *,
    unit: str = "short",
    decimals: int = 0,
    limits: tuple[tuple[float | None, Color], ...] = ((None, "text"),),
    span: int = 4,
    description: str = "",
    no_value: str = "–",
) -> stat.Panel:
    """Return a panel with one figure; ``limits``: (from this value on, colour)."""
    steps = [Threshold(value, color) for value, color in limits]
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_source(query))
        .with_target(query)
        .unit(unit)
        .decimals(decimals)
        .no_value(no_value)
        .thresholds(thresholds)
        .color_mode(models.BigValueColorMode.VALUE)
        .graph_mode(models.BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(4)
        .span(span)
    )


def graph(
    title: str,
    *queries: Any,
    unit: str = "short",
    style: Literal["line", "steps", "bars"] = "line",
    stacked: bool = False,
    span: int = 12,
    description: str = "",
    least_interval: str | None = None,
) -> lines.Panel:
    """Return a panel of lines or bars over time."""
    panel = (
        lines.Panel()
        .title(title)
        .description(description)
        .datasource(_source(queries[0]))
        .targets(list(queries))
        .unit(unit)
        .min(0)
        .line_width(2)
        .fill_opacity(60 if style == "bars" else 10)
        .draw_style(models.GraphDrawStyle.BARS if style == "bars" else models.GraphDrawStyle.LINE)
        .legend(
            common.VizLegendOptions()
            .display_mode(models.LegendDisplayMode.LIST)
            .placement(models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI))
        .height(8)
        .span(span)
    )
    if style == "steps":
        panel.line_interpolation(models.LineInterpolation.STEP_AFTER)
    if stacked:
        panel.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL))
    if least_interval is not None:
        panel.interval(least_interval)
    return panel


def bars(title: str, query: Sql, *, x: str, span: int = 12, description: str = "") -> Any:
    """Return a panel with one bar for each row, named by the column ``x``."""
    return (
        barchart.Panel()
        .title(title)
        .description(description)
        .datasource(POSTGRES)
        .with_target(query)
        .x_field(x)
        .show_value(models.VisibilityMode.AUTO)
        .height(8)
        .span(span)
    )


def rows(
    title: str,
    query: Sql,
    *,
    span: int = 12,
    height: int = 8,
    description: str = "",
    units: dict[str, str] | None = None,
) -> table.Panel:
    """Return a table; ``units``: those of columns."""
    panel = (
        table.Panel()
        .align(models.FieldTextAlignment.AUTO)
        .title(title)
        .description(description)
        .datasource(POSTGRES)
        .with_target(query)
        .height(height)
        .span(span)
    )
    for column, unit in (units or {}).items():
        panel.override_by_name(column, [DynamicConfigValue("unit", unit)])
    return panel


def heat_table(title: str, query: Sql, *, label: str, span: int, description: str) -> table.Panel:
    """Return a table whose cells are coloured by their values, except the column ``label``."""
    panel = rows(title, query, span=span, height=20, description=description)
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.CONTINUOUS_BL_PU))
    panel.cell_options(
        models.TableColoredBackgroundCellOptions(mode=models.TableCellBackgroundDisplayMode.BASIC)
    )
    panel.align(models.FieldTextAlignment.CENTER)
    panel.cell_height(models.TableCellHeight.SM)
    panel.override_by_name(
        label,
        [
            DynamicConfigValue("custom.cellOptions", {"type": "auto"}),
            DynamicConfigValue("custom.width", 70),
        ],
    )
    return panel
