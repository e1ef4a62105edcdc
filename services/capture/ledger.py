"""The lossless policy's bookkeeping: how far a session has come, and how far it may go.

::

         committed by the tracker        on their way          not yet decoded
    ───────────────────────────────┼──────────────────────┼──────────────────────▶ frames
                            Progress.seq   <= window   last in stream

Three parties know where a session stands: this process (``Session``), the frames stream (its last
entry) and the tracker (``Progress``). After a crash of any of them the position is taken from those
that are left; a frame that is sent twice is dropped by the tracker, one that is not sent is lost,
so the position never lies behind a frame that might be missing.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque

import structlog
from msgspec.structs import replace

from posewire.capture.session import EndReason, Session
from posewire.shared.bus import Bus, Entry, Lease, keys
from posewire.shared.errors import BusUnavailable
from posewire.shared.messages import FrameHeader, Progress, SessionEnd

_log = structlog.get_logger(__name__)
_TRACKER_S = 3.0
"""How long a tracker gets to say where it is after the bus came back empty."""
_SETTLE_FOREIGN_S = 30.0
_POLL_S = 0.01


class Ledger:
    """Publishes one camera's frames exactly as far as the tracker's commits allow."""

    def __init__(self, bus: Bus, lease: Lease, camera: str, *, window: int, maxlen: int) -> None:
        self._bus, self._lease, self._camera = bus, lease, camera
        self._window, self._maxlen = window, maxlen
        self._outstanding: deque[int] = deque()
        self._session: Session | None = None
        self._key = keys.frames(camera)
        self._epoch = bus.epoch_of(self._key)

    async def recover(
        self, source: str, known: Session | None, control_id: str | None
    ) -> Session | None:
        """Return the session to go on with, set to where it stands; None to begin a new one.

        Args:
            source: the source to be played.
            known: this process's session, if it had begun one.
            control_id: entry of the last control message, which ends every session before it.

        Raises BusUnavailable.
        """
        last, progress = await self._answers()
        message = last.message if last else None
        if known is None:
            if last is None or not isinstance(message, (FrameHeader, SessionEnd)):
                return None
            if not _goes_on(last, source, control_id):
                await self._close_foreign(message, source)
                return None
            session = Session.of(message)
            _log.info("capture.resumes", camera=self._camera, session=session.id)
        else:
            session = known
            if isinstance(message, (FrameHeader, SessionEnd)) and message.session == session.id:
                there = Session.of(message)
                session.next_seq, session.ended = there.next_seq, there.ended
            else:
                progress = await self._ask_tracker(session, progress)
                session.next_seq, session.ended = 0, False
        committed = -1
        if progress is not None and progress.session == session.id:
            committed = progress.seq
            session.next_seq = max(session.next_seq, committed + 1)
            session.committed = progress.ended
            session.ended = session.ended or progress.ended
        self._session = session
        self._outstanding = deque(range(committed + 1, session.next_seq))
        return session

    def begin(self, session: Session) -> None:
        """Start ``session`` from its first frame; everything before it is committed."""
        self._session = session
        self._outstanding.clear()

    async def publish(self, header: FrameHeader, jpeg: bytes) -> None:
        """Publish a frame as soon as there is credit for it.

        Raises BusUnavailable, also where the server turned out to be another one than before:
        call ``recover`` then. Raises LeaseLost where another capture has taken the camera.
        """
        while len(self._outstanding) >= self._window:
            await asyncio.sleep(_POLL_S)
            await self._look()
        await self._append(header, jpeg)
        self._outstanding.append(header.seq)

    async def end(self, session: Session, reason: EndReason) -> None:
        """Publish the session's end. Raises BusUnavailable as ``publish`` does."""
        await self._append(session.end(reason), None)
        session.ended = True

    async def settle(self, session: Session, *, most_s: float = math.inf) -> None:
        """Return when the tracker has committed the session's end, or after ``most_s``.

        Until then the stream may lose it, so this raises BusUnavailable as ``publish`` does.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + most_s, _POLL_S
        await self._look()
        while not session.committed and loop.time() < deadline:
            await asyncio.sleep(pause)
            pause = min(0.5, pause * 1.5)
            await self._look()

    async def _answers(self) -> tuple[Entry | None, Progress | None]:
        """Return the stream's last entry and the tracker's progress, both of one server."""
        while True:
            epoch = self._bus.epoch_of(self._key)
            last = await self._bus.last(self._key)
            progress = await self._progress()
            if self._bus.epoch_of(self._key) == epoch:
                self._epoch = epoch
                return last, progress

    async def _progress(self) -> Progress | None:
        message = await self._bus.get(keys.progress(self._camera))
        return message if isinstance(message, Progress) else None

    async def _ask_tracker(self, session: Session, progress: Progress | None) -> Progress | None:
        """Wait for the tracker's word on ``session``, of which the stream knows nothing."""
        if session.next_seq == 0:
            return progress
        _log.warning("capture.stream_lost", camera=self._camera, session=session.id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _TRACKER_S
        while progress is None or progress.session != session.id:
            if loop.time() > deadline:
                return None
            await asyncio.sleep(0.1)
            progress = await self._progress()
            self._check_epoch()
        return progress

    async def _close_foreign(self, message: FrameHeader | SessionEnd, source: str) -> None:
        """End a session that was left unfinished and is not gone on with."""
        self._session = session = Session.of(message)
        if not session.ended:
            await self.end(session, "failed" if session.source == source else "switched")
        # Its frames and the next session's together may be more than the stream keeps.
        await self.settle(session, most_s=_SETTLE_FOREIGN_S)

    async def _look(self) -> None:
        progress = await self._progress()
        self._check_epoch()
        session = self._session
        if progress is None or session is None or progress.session != session.id:
            return
        if progress.seq >= session.next_seq:
            raise BusUnavailable(
                f"the tracker has frame {progress.seq} of {self._camera}, the stream ends before "
                f"{session.next_seq}"
            )
        while self._outstanding and self._outstanding[0] <= progress.seq:
            self._outstanding.popleft()
        session.committed = progress.ended

    async def _append(self, message: FrameHeader | SessionEnd, jpeg: bytes | None) -> None:
        # Refused where another server has come: it may lack frames that were published before.
        await self._lease.publish(
            self._key,
            replace(message, term=self._lease.term),
            maxlen=self._maxlen,
            payload=jpeg,
            epoch=self._epoch,
        )

    def _check_epoch(self) -> None:
        if self._bus.epoch_of(self._key) != self._epoch:
            raise BusUnavailable("the bus has been restarted; it may have lost frames")


def _goes_on(last: Entry, source: str, control_id: str | None) -> bool:
    """Return whether the session that ``last`` belongs to is ours to go on with."""
    message = last.message
    if control_id is not None and _order(control_id) > _order(last.id):
        return False  # a switch that nobody has carried out yet
    if isinstance(message, FrameHeader):
        return message.source == source and message.policy == "lossless"
    return isinstance(message, SessionEnd) and message.source == source and (
        message.reason == "ended"
    )  # fmt: skip


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, counter = entry_id.partition("-")
    return int(milliseconds), int(counter or 0)
