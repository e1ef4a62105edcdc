"""Names of things on the bus. The braces keep one camera in one slot of a Redis Cluster."""

from __future__ import annotations


def frames(camera: str) -> str:
    """Stream of FrameHeader (with JPEG) and SessionEnd, from capture."""
    return f"posewire:{{{camera}}}:frames"


def poses(camera: str) -> str:
    """Stream of PoseResult and SessionEnd, from inference."""
    return f"posewire:{{{camera}}}:poses"


def tracks(camera: str) -> str:
    """Stream of TrackUpdate and SessionEnd, from the tracker."""
    return f"posewire:{{{camera}}}:tracks"


def control(camera: str) -> str:
    """Stream of Control, to capture."""
    return f"posewire:{{{camera}}}:control"


def progress(camera: str) -> str:
    """Value: Progress, from the tracker."""
    return f"posewire:{{{camera}}}:progress"


def state(camera: str) -> str:
    """Value: CameraState, from capture."""
    return f"posewire:{{{camera}}}:state"


def workers(role: str, cameras: str) -> str:
    """Set of the workers of ``role`` that live and share the same cameras (their digest)."""
    return f"posewire:workers:{role}:{cameras}"


def lease(camera: str, role: str) -> str:
    """Lock of the one worker of ``role`` that holds the camera."""
    return f"posewire:{{{camera}}}:lease:{role}"
