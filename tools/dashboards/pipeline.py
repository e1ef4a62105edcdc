"""How the machine copes: frames, latency, streams, errors, memory; from Prometheus."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh

from panels import PROMETHEUS, graph, number, promql

_C = 'camera=~"$camera"'
_R = "$__rate_interval"


def pipeline() -> dashboard.Dashboard:
    """Return the dashboard Pipeline."""
    board = (
        dashboard.Dashboard("Posewire: pipeline")
        .uid("posewire-pipeline")
        .description("Frames, latency, streams, errors and memory of all services.")
        .tags(["posewire"])
        .time("now-1h", "now")
        .refresh("15s")
        .with_variable(
            dashboard.QueryVariable("camera")
            .label("Camera")
            .datasource(PROMETHEUS)
            .query("label_values(posewire_camera_state, camera)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .current(VariableOption(text="All", value="$__all"))
        )
    )
    for panel in (*_figures(), *_frames(), *_latency()):
        board.with_panel(panel)
    board.with_row(dashboard.Row("Bus, errors, resources"))
    for panel in (*_bus(), *_errors(), *_resources(), _integrations()):
        board.with_panel(panel)
    return board


def _figures() -> list[Any]:
    works = ((None, "red"), (1, "green"))
    return [
        number(
            "Cameras running",
            promql(f'sum(max by (camera) (posewire_camera_state{{state="running", {_C}}}))', ""),
        ),
        number(
            "Cameras in trouble",
            promql(
                "sum(max by (camera) "
                f'(posewire_camera_state{{state=~"stalled|reconnecting|failed|unknown", {_C}}}))',
                "",
            ),
            limits=((None, "green"), (1, "red")),
        ),
        number(
            "Frames examined",
            promql(f"sum(rate(posewire_inference_frames_total{{{_C}}}[{_R}]))", ""),
            unit="fps",
            decimals=1,
        ),
        number(
            "Latency, 95 %",
            promql(
                "histogram_quantile(0.95, sum by (le) "
                f"(rate(posewire_latency_seconds_bucket{{{_C}}}[{_R}])))",
                "",
            ),
            unit="s",
            decimals=2,
            limits=((None, "green"), (0.5, "orange"), (1, "red")),
            description="From capture to the person's place, live cameras.",
        ),
        number("Bus", promql("max(posewire_bus_up)", ""), limits=works),
        number("Database", promql("max(posewire_database_up)", ""), limits=works),
    ]


def _frames() -> list[Any]:
    def rate(metric: str, by: str = "camera") -> str:
        return f"sum by ({by}) (rate({metric}{{{_C}}}[{_R}]))"

    skipped, examined = (
        rate("posewire_inference_skipped_total"),
        rate("posewire_inference_frames_total"),
    )
    return [
        graph(
            "Frames",
            promql(rate("posewire_capture_frames_total"), "{{camera}} captured"),
            promql(examined, "{{camera}} examined", "B"),
            promql(rate("posewire_tracker_frames_total"), "{{camera}} tracked", "C"),
            unit="fps",
        ),
        graph(
            "Skipped",
            promql(f"{skipped} / ({skipped} + {examined})", "{{camera}}"),
            unit="percentunit",
            description="Share of a live camera's frames that were too many for this machine.",
        ),
    ]


def _latency() -> list[Any]:
    def quantile(share: float, metric: str, by: str, where: str = "") -> str:
        return (
            f"histogram_quantile({share}, sum by ({by}, le) "
            f"(rate({metric}_bucket{{{where}}}[{_R}])))"
        )

    return [
        graph(
            "Latency from capture to the person's place",
            promql(quantile(0.5, "posewire_latency_seconds", "camera", _C), "{{camera}} median"),
            promql(
                quantile(0.95, "posewire_latency_seconds", "camera", _C), "{{camera}} 95 %", "B"
            ),
            unit="s",
        ),
        graph(
            "Time by stage, 95 %",
            promql(quantile(0.95, "posewire_inference_seconds", "stage"), "{{stage}}"),
            promql(
                "histogram_quantile(0.95, sum by (le) "
                f"(rate(posewire_tracker_commit_seconds_bucket[{_R}])))",
                "commit",
                "B",
            ),
            promql(
                "histogram_quantile(0.95, sum by (le) "
                f"(rate(posewire_api_request_seconds_bucket[{_R}])))",
                "HTTP answer",
                "C",
            ),
            unit="s",
        ),
    ]


def _bus() -> list[Any]:
    return [
        graph(
            "Entries in streams",
            promql(
                f"max by (camera, stream) (posewire_stream_entries{{{_C}}})",
                "{{camera}} {{stream}}",
            ),
            description="Bounded by bus.frames_maxlen and bus.results_maxlen.",
        ),
        graph(
            "Behind",
            promql(
                f"max by (camera, service) (posewire_stream_lag_seconds{{{_C}}})",
                "{{camera}} {{service}}",
            ),
            unit="s",
            description="How much older the newest frame is that a service has answered.",
        ),
    ]


def _errors() -> list[Any]:
    return [
        graph(
            "Errors",
            promql(
                f"sum by (camera, reason) (increase(posewire_capture_dropped_total{{{_C}}}[{_R}]))",
                "{{camera}} not captured: {{reason}}",
            ),
            promql(
                f"sum by (camera) (increase(posewire_capture_reconnects_total{{{_C}}}[{_R}]))",
                "{{camera}} reconnected",
                "B",
            ),
            promql(
                f"sum by (camera) (increase(posewire_inference_broken_total{{{_C}}}[{_R}]))",
                "{{camera}} broken pictures",
                "C",
            ),
            promql(
                f"sum by (camera) (increase(posewire_tracker_missing_total{{{_C}}}[{_R}]))",
                "{{camera}} missing frames",
                "D",
            ),
            promql(
                f"sum by (key) (increase(posewire_bus_undecodable_total[{_R}]))",
                "junk in {{key}}",
                "E",
            ),
            promql(
                f'sum(increase(posewire_api_requests_total{{status=~"5.."}}[{_R}])) or vector(0)',
                "HTTP 5xx",
                "F",
            ),
            style="bars",
        ),
        graph(
            "Age of the newest frame",
            promql(f"max by (camera) (posewire_capture_frame_age_seconds{{{_C}}})", "{{camera}}"),
            unit="s",
        ),
    ]


def _integrations() -> Any:
    return graph(
        "Events that wait to be told",
        promql("max by (integration) (posewire_integration_backlog)", "{{integration}}"),
        promql(
            f"sum by (integration) (increase(posewire_integration_dropped_total[{_R}]))",
            "{{integration}} given up",
            "B",
        ),
        description="MQTT and webhooks.",
    )


def _resources() -> list[Any]:
    return [
        graph(
            "Memory",
            promql('process_resident_memory_bytes{job=~"posewire-.*"}', "{{job}} {{instance}}"),
            promql("max(posewire_bus_memory_bytes)", "bus", "B"),
            unit="bytes",
        ),
        graph(
            "CPU",
            promql(
                f'rate(process_cpu_seconds_total{{job=~"posewire-.*"}}[{_R}])',
                "{{job}} {{instance}}",
            ),
            unit="percentunit",
            stacked=True,
            description="1 is one core.",
        ),
    ]
