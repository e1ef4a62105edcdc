"""When somebody counts as having come or left; all in seconds, never in frames."""

from __future__ import annotations

from pydantic import Field

from posewire.shared.settings._base import Section


class TrackerSettings(Section):
    """Association, smoothing and the rules of visits."""

    high_score: float = Field(
        0.5,
        ge=0.05,
        le=0.99,
        description="Detections at or above are sure: matched first (two-stage association, as in "
        "ByteTrack), and only they make somebody count as having come.",
    )
    seed_score: float = Field(
        0.25,
        ge=0.05,
        le=0.99,
        description="Detections at or above may begin a track; without a skeleton, away from the "
        "picture's border, from 0.5 on. Lower it to see people earlier who are hardly in view.",
    )
    enter_after_s: float = Field(
        0.6,
        ge=0,
        le=30,
        description="A person must be seen for this long before 'entered' is confirmed. Raise it "
        "against ghosts, lower it to catch people who only flit by.",
    )
    exit_after_s: float = Field(
        1.5,
        ge=0.1,
        le=120,
        description="A person last seen at the picture's border must be out of sight for this "
        "long before 'exited' is confirmed. Raise it against people counted twice behind pillars.",
    )
    hidden_after_s: float = Field(
        4.0,
        ge=0.1,
        le=600,
        description="The same for a person who was last seen away from the picture's border, "
        "behind something perhaps. Raise it where people stand hidden for long; lower it where "
        "doors are in the middle of the picture.",
    )
    start_grace_s: float = Field(
        1.0,
        ge=0,
        le=30,
        description="People first seen this soon after the session began were in view at start.",
    )
    smoothing: bool = Field(True, description="Smooth keypoints and boxes with a One-Euro filter.")
    smoothing_min_cutoff_hz: float = Field(
        1.5,
        gt=0,
        le=30,
        description="One-Euro: lower is smoother at rest and lags more.",
    )
    smoothing_beta: float = Field(
        5.0, ge=0, le=100, description="One-Euro: higher lags less in fast motion."
    )
    commit_every_s: float = Field(
        1.0,
        ge=0.01,
        le=10,
        description="Longest time between two commits of tracker state to the database. Events are "
        "committed at once. Raise it to spare the disk; after a crash so much is followed again.",
    )
