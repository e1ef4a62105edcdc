"""When a device counts as stuck."""

from __future__ import annotations

from posewire.inference.stall import Stall


def test_a_device_is_stuck_when_the_oldest_frame_waits_too_long() -> None:
    now = 0.0
    stall = Stall(limit_s=10, clock=lambda: now)
    stall.waits("door")
    now = 8.0
    stall.waits("door")  # the next frame, behind the first one
    assert stall.reason() is None
    stall.answered("door", more=True)
    now = 17.0
    assert stall.reason() is None
    now = 19.0
    assert stall.reason() == "no answer from the device for 11 s, camera door"
    stall.answered("door", more=False)
    now = 100.0
    assert stall.reason() is None


def test_one_camera_is_enough() -> None:
    now = 0.0
    stall = Stall(limit_s=10, clock=lambda: now)
    stall.waits("door")
    stall.waits("yard")
    now = 11.0
    stall.answered("door", more=True)
    assert stall.reason() == "no answer from the device for 11 s, camera yard"
