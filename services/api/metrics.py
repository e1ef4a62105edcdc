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
