"""The frames of one camera, examined in order: each begins with the people of the one before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from posewire.inference.finder import Frame, Prior
from posewire.shared.errors import PosewireError
from posewire.shared.jpeg import refusal
from posewire.shared.messages import FrameHeader, ModelRun, Person, as_text
from posewire.shared.worker import note_failure

MOST_GAP_S = 1.0
"""People may be anywhere after so long: the frame stands alone."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one picture, what ran for it, and for how long (ms)."""

    persons: tuple[Person, ...]
    detector: ModelRun | None
    pose: ModelRun | None
    total_ms: float
    decode_ms: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame's picture with what ran on it so far, and how long that took (ms)."""

    frame: Frame
    ms: float


class Examiner(Protocol):
    """What a watch needs of a PersonPipeline."""

    async def prepare(self, jpeg: bytes, t: float, before_t: float | None) -> Prepared | None:
        """Do what needs no predecessor; None where ``jpeg`` is no picture."""

    async def examine(self, prepared: Prepared, prior: Prior | None) -> Findings:
        """Find the people of a frame."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A frame and what was found in it."""

    frame: FrameHeader
    findings: Findings


class Watch:
    """Examines frames one after the other; meanwhile the next ones are prepared."""

    def __init__(self, examiner: Examiner, last: Examined | None = None) -> None:
        """``last``: the frame that went before, from which this watch goes on."""
        self._examiner = examiner
        self._last: asyncio.Task[Examined] | Examined | None = last
        self._frame = None if last is None else last.frame

    def take(self, frame: FrameHeader, jpeg: bytes) -> asyncio.Task[Examined]:
        """Begin to examine a frame, after those that were taken before it."""
        before = self._frame if _goes_on(frame, self._frame) else None
        before_t = None if before is None else before.t
        task = asyncio.ensure_future(self._examine(frame, jpeg, before_t, self._last))
        self._last, self._frame = task, frame
        return task

    async def _examine(
        self,
        frame: FrameHeader,
        jpeg: bytes,
        before_t: float | None,
        before: asyncio.Task[Examined] | Examined | None,
    ) -> Examined:
        error = refusal(jpeg, (frame.width, frame.height))
        prepared = None
        try:
            if error is None:
                prepared = await self._examiner.prepare(jpeg, frame.t, before_t)
            if isinstance(before, asyncio.Task):
                # Shielded: who gives up this frame does not give up the one before.
                before = await asyncio.shield(before)
            if prepared is not None:
                findings = await self._examiner.examine(prepared, prior_of(frame, before))
                return Examined(frame, findings)
        except PosewireError:
            raise  # the device, not this frame
        except Exception as caught:  # noqa: BLE001 -- one frame must not stop those after it
            note_failure(frame.camera, "inference.frame_failed", caught, seq=frame.seq)
            error = as_text(f"cannot be examined: {type(caught).__name__}: {caught}")
        error = error or f"not a picture: {len(jpeg)} bytes that no JPEG decoder takes"
        return Examined(frame, Findings((), None, None, 0.0, error=error))


def prior_of(frame: FrameHeader, before: Examined | None) -> Prior | None:
    """Return what ``frame`` goes on from; None where it stands alone.

    That it does if it is a still, the first of its session, follows a frame that was no picture, or
    one too long ago. A lossless frame goes on from its very predecessor only, so that its people
    are the same whatever failed and was repeated.
    """
    if before is None or before.findings.error is not None or not _goes_on(frame, before.frame):
        return None
    return Prior(before.findings.persons)


def _goes_on(frame: FrameHeader, last: FrameHeader | None) -> bool:
    if last is None or last.session != frame.session or frame.file is not None:
        return False
    if frame.policy == "lossless" and last.seq != frame.seq - 1:
        return False
    return 0 <= frame.t - last.t <= MOST_GAP_S
