"""What finds the people of frames, and what every way of finding them keeps to.

::

    prepare ── due by the frame's time alone ──▶ Frame ── find, from the frame before ──▶ Found

``bottomup.py`` looks at parts of the picture and assembles whoever is there; ``topdown.py`` has a
detector find people, looks at each of them, and follows them from frame to frame. What is run
follows from the frame's time and the result before it alone, so a frame that is examined again
after a crash gives the same people. What is due by time alone runs before the frame's predecessor
is done, so one camera keeps several cores busy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from posewire.inference.imaging import Image
from posewire.shared.messages import ModelRun, Person

LOW_SCORE = 0.5
"""People with at least this share of the least score are passed on: they continue tracks."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The people of the frame before."""

    persons: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The people of a frame, and what ran to find them."""

    persons: tuple[Person, ...]
    detector: ModelRun | None
    pose: ModelRun | None
    decode_ms: float


class Frame(Protocol):
    """One frame on its way."""

    async def find(self, prior: Prior | None) -> Found:
        """Return its people; without ``prior`` it stands alone. Raises DeviceError."""


class Finder(Protocol):
    """Finds people. Frames of several cameras may be on their way at once."""

    async def prepare(self, image: Image, t: float, before_t: float | None) -> Frame:
        """Run what is due on a frame by its time alone, before its predecessor is examined.

        Args:
            image: the picture.
            t: its time, seconds since the session began.
            before_t: its predecessor's; None where it stands alone.

        Raises DeviceError.
        """

    def close(self) -> None:
        """Release the networks."""


def due(t: float, before_t: float | None, every_s: float) -> bool:
    """Return whether a multiple of ``every_s`` lies after ``before_t`` and not after ``t``.

    It follows from the frames' times alone, whichever frames were skipped.
    """
    if before_t is None or every_s <= 0:
        return True
    # Times of frames are decimal fractions: 0.6 / 0.2 must count as 3.
    return math.floor(t / every_s + 1e-6) > math.floor(before_t / every_s + 1e-6)
