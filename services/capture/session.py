"""One uninterrupted run of one source, and its place in it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Literal

import structlog

from posewire.capture.sources import Picture
from posewire.shared.messages import FrameHeader, Policy, SessionEnd, as_text

_log = structlog.get_logger(__name__)
EndReason = Literal["ended", "switched", "failed"]
_STEP_S = 0.5
"""A wall clock that is off by less is being slewed, or was read a moment later."""


def _wall_offset() -> float:
    # Against the clock that the time of live pictures is counted by: it stands still in suspend.
    return time.time() - time.monotonic()


@dataclass(slots=True)
class Session:
    """A session, up to which frame it has come, and whether its end has been said."""

    camera: str
    source: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    # Whole milliseconds, so that the start can be computed back from any frame.
    started_at: float = field(default_factory=lambda: round(time.time(), 3))
    next_seq: int = 0
    t: float = 0.0
    """Time of the last frame, in seconds since the session began."""
    ended: bool = False
    """SessionEnd stands in the stream."""
    committed: bool = False
    """The tracker has committed the end: nothing of this session can be lost any more."""
    _offset: float = field(default_factory=_wall_offset)

    @classmethod
    def of(cls, message: FrameHeader | SessionEnd) -> Session:
        """Return the session of the last message that was published of it."""
        ended = isinstance(message, SessionEnd)
        return cls(
            camera=message.camera,
            source=message.source,
            id=message.session,
            started_at=round(message.captured_at - message.t, 3),
            next_seq=message.frames if isinstance(message, SessionEnd) else message.seq + 1,
            t=message.t,
            ended=ended,
        )

    def header(self, picture: Picture, policy: Policy, fps: float) -> FrameHeader:
        """Return the header of ``picture``."""
        return FrameHeader(
            camera=self.camera,
            session=self.id,
            seq=picture.index,
            t=picture.t,
            captured_at=self.started_at + picture.t,
            width=picture.width,
            height=picture.height,
            source=self.source,
            policy=policy,
            fps=fps,
            file=None if picture.file is None else as_text(picture.file),
        )

    def follow_clock(self) -> None:
        """Move the session's start where the wall clock was set since, or the machine slept.

        A machine without a battery for its clock learns the time long after it has begun to
        watch. ``t`` goes on as before; the wall clock's times are right from here on.
        """
        offset = _wall_offset()
        step = offset - self._offset
        if abs(step) > _STEP_S:
            self.started_at = round(self.started_at + step, 3)
            self._offset = offset
            _log.warning("capture.clock_set", camera=self.camera, seconds=round(step, 3))

    def passed(self, picture: Picture) -> None:
        """Note that ``picture`` is the last one so far."""
        self.next_seq, self.t = picture.index + 1, picture.t

    def end(self, reason: EndReason) -> SessionEnd:
        """Return the message that ends the session after its last frame so far."""
        return SessionEnd(
            camera=self.camera,
            session=self.id,
            frames=self.next_seq,
            t=self.t,
            captured_at=self.started_at + self.t,
            reason=reason,
            source=self.source,
        )
