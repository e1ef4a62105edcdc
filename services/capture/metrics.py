"""What capture tells Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

frames = Counter("posewire_capture_frames_total", "Frames put on the bus", ["camera"])
dropped = Counter(
    "posewire_capture_dropped_total",
    "Frames not put on the bus. unreadable: broken file or packet; behind: the machine is too "
    "slow; bus: the bus was away",
    ["camera", "reason"],
)
reconnects = Counter(
    "posewire_capture_reconnects_total", "Times a source failed and was opened again", ["camera"]
)
frame_age = Gauge(
    "posewire_capture_frame_age_seconds", "Time since the last frame came", ["camera"]
)


def begin(camera: str) -> None:
    """Let a camera's counters be seen as 0 from the start: rates need a first value."""
    frames.labels(camera=camera)
    reconnects.labels(camera=camera)
    for reason in ("unreadable", "behind", "bus"):
        dropped.labels(camera=camera, reason=reason)
