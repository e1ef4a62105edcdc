"""Cameras, the sources they may play, and how capture treats them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from posewire.shared.messages import Policy
from posewire.shared.settings._base import Section
from posewire.shared.settings.areas import Areas
from posewire.shared.settings.retention import CameraRetention

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Small letters, digits, - and _: it becomes part of keys, URLs and metrics."""


class SourceSettings(Section):
    """Something that yields pictures."""

    url: str = Field(
        description="A video file, a folder or glob of images, a device (0 or /dev/video0), "
        "rtsp://, http:// or https:// (MJPEG or any stream), picamera:0, or clip:people, the "
        "clip that comes with Posewire.",
        min_length=1,
        examples=["rtsp://user:secret@10.0.0.8/stream1", "0", "shop.mp4", "photos/*.jpg"],
    )
    loop: bool = Field(False, description="Files: start again at the end, as a new session.")
    width: int | None = Field(None, ge=16, le=7680, description="Devices: width to ask for.")
    height: int | None = Field(None, ge=16, le=4320, description="Devices: height to ask for.")
    fps: float | None = Field(
        None,
        gt=0,
        le=240,
        description="Devices: rate to ask for. Images: their rate; without one they are stills, "
        "a second apart.",
    )
    open_timeout_s: float = Field(5.0, ge=0.5, le=120, description="Longest wait to open it.")
    read_timeout_s: float = Field(
        10.0,
        ge=0.5,
        le=300,
        description="Longest wait for the next frame before the source counts as stalled and is "
        "opened again.",
    )


class CameraSettings(Areas):
    """A named place that frames come from."""

    source: Name = Field(description="Name of the source to play; see [sources].")
    policy: Policy = Field(
        "live",
        description="live: always the newest frame, what is skipped is counted. lossless: every "
        "frame exactly once, in order; capture waits (files).",
    )
    enabled: bool = Field(True, description="Whether capture plays this camera.")
    retention: CameraRetention = Field(
        default_factory=CameraRetention,
        description="How long what this camera saw is kept, where that differs from [retention].",
    )

    def areas(self) -> Areas:
        """Return the zones, lines and masks alone."""
        return Areas(zones=self.zones, lines=self.lines, masks=self.masks)


class CaptureSettings(Section):
    """How frames are put on the bus."""

    jpeg_quality: int = Field(
        90,
        ge=30,
        le=100,
        description="Quality of frames that are not JPEG already. Lower saves memory and costs "
        "keypoint accuracy below about 75.",
    )
    max_width: int = Field(
        1920, ge=160, le=7680, description="Wider pictures are scaled down to this width."
    )
    max_height: int = Field(
        1920, ge=160, le=7680, description="Taller pictures are scaled down to this height."
    )
    max_pixels: int = Field(
        150_000_000,
        ge=1_000_000,
        le=1_000_000_000,
        description="Image files with more pixels are refused instead of filling the memory.",
    )
