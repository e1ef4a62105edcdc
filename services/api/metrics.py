"""What the gateway counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

requests = Counter(
    "posewire_api_requests_total", "HTTP requests answered", ["method", "route", "status"]
)
seconds = Histogram(
    "posewire_api_request_seconds",
    "Time to the end of the answer, streams left out",
    ["route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
viewers = Gauge("posewire_api_viewers", "Live viewers at this moment", ["camera", "kind"])
dropped = Counter(
    "posewire_api_dropped_total", "Live updates dropped because a viewer was slow", ["camera"]
)
drawn = Counter("posewire_api_drawn_total", "Pictures drawn for live.mjpg")

bus_up = Gauge("posewire_bus_up", "Whether the bus answers")
bus_memory = Gauge("posewire_bus_memory_bytes", "Memory that the bus's server uses")
database_up = Gauge("posewire_database_up", "Whether the database answers and has its schema")
camera_state = Gauge(
    "posewire_camera_state",
    "1 for the state a camera is in; unknown: capture says nothing of it",
    ["camera", "state"],
)
stream_entries = Gauge(
    "posewire_stream_entries", "Entries a stream of the bus holds", ["camera", "stream"]
)
stream_lag = Gauge(
    "posewire_stream_lag_seconds",
    "How much later the newest entry a service could have taken came than the newest it has "
    "answered",
    ["camera", "service"],
)
