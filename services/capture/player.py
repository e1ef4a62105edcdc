"""Plays one camera's source onto the bus, by its policy, until cancelled."""

from __future__ import annotations

import asyncio

import structlog

from posewire.capture import metrics
from posewire.capture.ledger import Ledger
from posewire.capture.live import LiveSender, Pacer
from posewire.capture.session import EndReason, Session
from posewire.capture.sources import Picture, Source, is_stream, open_source
from posewire.capture.state import StateBoard
from posewire.shared.backoff import Backoff
from posewire.shared.bus import Bus, Lease, keys
from posewire.shared.errors import BusUnavailable, SourceError
from posewire.shared.messages import FrameHeader
from posewire.shared.settings import Settings, SourceSettings

_log = structlog.get_logger(__name__)
_STEADY_S = 10.0
"""A source that ran for this long was well: the next failure is a first one."""
_STALL_S = 2.0


class Player:
    """What is common to both policies: opening, failing, trying again.

    ``play`` returns when the source has ended and does not loop; it is cancelled for a switch,
    after which ``play`` of the next source ends the session that was cut off.
    """

    def __init__(
        self, settings: Settings, bus: Bus, lease: Lease, camera: str, board: StateBoard
    ) -> None:
        """Publish through ``lease``; every method that does raises LeaseLost once it is lost."""
        self.settings, self.bus, self.camera, self.board = settings, bus, camera, board
        self.policy = settings.cameras[camera].policy
        self.session: Session | None = None
        self._backoff = Backoff(first_s=0.5, most_s=30.0)
        metrics.begin(camera)

    async def play(self, source: str, control_id: str | None) -> None:
        """Play ``source`` until it ends; ``control_id`` is the entry that asked for it."""
        raise NotImplementedError

    async def run(self) -> None:
        """Do what has to be done beside ``play``, until cancelled."""

    async def stop(self) -> None:
        """Tidy up after the last ``play``, within about a second."""

    def cut(self) -> None:
        """Note that ``play`` was cancelled for a switch."""

    async def open(self, name: str, start_frame: int = 0) -> Source:
        """Open a source. Raises SourceError."""
        source = await open_source(
            self.settings.sources[name], self.settings.capture, start_frame=start_frame
        )
        _log.info("capture.opened", camera=self.camera, source=name, live=source.live)
        return source

    def started(self, session: Session, source: Source) -> None:
        """Tell that ``session`` runs from ``source``."""
        timeout = self.settings.sources[session.source].read_timeout_s
        stalls_after_s = min(_STALL_S, timeout / 2) if source.live else None
        self.board.set("running", session.source)
        self.board.playing(session.id, stalls_after_s=stalls_after_s)

    def count(self, session: Session, picture: Picture, source: Source) -> None:
        """Count ``picture``, and those that are missing before it."""
        missing = picture.index - session.next_seq
        if missing > 0:
            reason = "behind" if source.live else "unreadable"
            metrics.dropped.labels(camera=self.camera, reason=reason).inc(missing)
        session.passed(picture)
        self.board.frame(picture.index, picture.width, picture.height)

    async def failed(self, name: str, error: SourceError, ran_s: float, *, live: bool) -> None:
        """Tell of a failure, and wait until it is time to try again."""
        if ran_s > _STEADY_S:
            self._backoff.reset()
        again = live or is_stream(self.settings.sources[name].url)
        self.board.set("reconnecting" if again else "failed", name, str(error))
        metrics.reconnects.labels(camera=self.camera).inc()
        pause = self._backoff.next_s()
        _log.warning(
            "capture.source_failed",
            camera=self.camera,
            source=name,
            reason=str(error),
            again_in_s=round(pause, 2),
        )
        await asyncio.sleep(pause)


class LivePlayer(Player):
    """Frames when they come, files at their own rate; waits for nobody."""

    def __init__(
        self, settings: Settings, bus: Bus, lease: Lease, camera: str, board: StateBoard
    ) -> None:
        super().__init__(settings, bus, lease, camera, board)
        self._sender = LiveSender(lease, camera, maxlen=settings.bus.frames_maxlen)
        self._looked_back = False

    async def run(self) -> None:
        await self._sender.run()

    async def stop(self) -> None:
        self._end("ended")
        await self._sender.flush(1.0)

    def cut(self) -> None:
        self._end("switched")

    async def play(self, source: str, control_id: str | None) -> None:
        self._backoff.reset()
        await self._end_left_over(source)
        loop = asyncio.get_running_loop()
        while True:
            self.board.playing(None, stalls_after_s=None)
            began, live = loop.time(), False
            try:
                opened = await self.open(source)
                began, live = loop.time(), opened.live
                try:
                    await self._send(source, opened)
                finally:
                    await opened.close()
            except SourceError as error:
                self._end("failed")
                await self.failed(source, error, loop.time() - began, live=live)
                continue
            self._end("ended")
            if not self.settings.sources[source].loop:
                return

    async def _send(self, name: str, source: Source) -> None:
        pacer = Pacer()
        loop = asyncio.get_running_loop()
        async for picture in source:
            if not source.live:
                await asyncio.sleep(pacer.delay(picture.t, loop.time()))
            session = self.session
            if session is None:
                self.session = session = Session(self.camera, name)
                self.started(session, source)
            self.count(session, picture, source)
            session.follow_clock()
            self._sender.frame(session.header(picture, "live", source.fps), picture.jpeg)
        if self.session is not None:
            # The last picture, too, is shown for its time: a loop keeps its rhythm.
            await asyncio.sleep(
                pacer.delay(self.session.t + 1.0 / (source.fps or 1.0), loop.time())
            )

    async def _end_left_over(self, source: str) -> None:
        """End the session that a process before this one left open: visits hang on it."""
        if self._looked_back:
            return
        try:
            last = await self.bus.last(keys.frames(self.camera))
        except BusUnavailable:
            return  # nothing waits for the bus here
        self._looked_back = True
        if last is not None and isinstance(last.message, FrameHeader):
            self.session = Session.of(last.message)
            self._end("failed" if last.message.source == source else "switched")

    def _end(self, reason: EndReason) -> None:
        if self.session is not None:
            self._sender.end(self.session.end(reason))
            self.session = None


class LosslessPlayer(Player):
    """Every frame once and in order, as far as the tracker's commits allow; survives crashes."""

    def __init__(
        self, settings: Settings, bus: Bus, lease: Lease, camera: str, board: StateBoard
    ) -> None:
        super().__init__(settings, bus, lease, camera, board)
        self._ledger = Ledger(
            bus,
            lease,
            camera,
            window=settings.bus.lossless_window,
            maxlen=settings.bus.frames_maxlen,
        )
        self._cut: Session | None = None
        self._bus_backoff = Backoff(first_s=0.05, most_s=2.0)

    def cut(self) -> None:
        if self.session is not None and not self.session.committed:
            self._cut = self.session
        self.session = None

    async def play(self, source: str, control_id: str | None) -> None:
        self._backoff.reset()
        self._bus_backoff.reset()
        loop = asyncio.get_running_loop()
        settings = self.settings.sources[source]
        fresh = control_id is not None and self._cut is not None
        while True:
            began = loop.time()
            try:
                await self._finish_cut(source, control_id)
                session = await self._session(source, control_id, fresh=fresh)
                fresh = True
                await self._play_session(session, settings)
                if not settings.loop:
                    self.board.set("ended", source)
                await self._ledger.settle(session)
            except BusUnavailable as error:
                await self._bus_away(error)
            except SourceError as error:
                live = self._cut is not None
                await self.failed(source, error, loop.time() - began, live=live)
            else:
                self._bus_backoff.reset()
                self.session = None
                if not settings.loop:
                    return

    async def _bus_away(self, error: BusUnavailable) -> None:
        pause = self._bus_backoff.next_s()
        _log.warning(
            "capture.bus_away", camera=self.camera, reason=str(error), again_in_s=round(pause, 2)
        )
        await asyncio.sleep(pause)

    async def _finish_cut(self, source: str, control_id: str | None) -> None:
        """End the session that a switch, or the loss of a camera, has cut off."""
        if self._cut is None:
            return
        cut = await self._ledger.recover(source, self._cut, control_id) or self._cut
        self.board.set("starting", source, "waits for the tracker to commit the session before")
        if not cut.ended:
            await self._ledger.end(cut, "switched" if cut.source != source else "failed")
        await self._ledger.settle(cut)
        self._cut = None
        self.board.set("starting", source)

    async def _session(self, source: str, control_id: str | None, *, fresh: bool) -> Session:
        """Return the session to go on with, or a new one."""
        found = None
        if self.session is not None or not fresh:
            found = await self._ledger.recover(source, self.session, control_id)
        if found is None:
            found = Session(self.camera, source)
            self._ledger.begin(found)
        self.session = found
        return found

    async def _play_session(self, session: Session, settings: SourceSettings) -> None:
        """Send what is missing of ``session``, up to its end."""
        if session.ended:
            return
        start = session.next_seq
        # One before, for its time: the end may be all that is left to say.
        source = await self.open(session.source, max(0, start - 1))
        try:
            if source.live and start > 0:
                self._cut, self.session = session, None
                raise SourceError("a camera's missed frames are gone; a new session begins")
            self.started(session, source)
            async for picture in source:
                if picture.index < start:
                    session.t = picture.t
                    continue
                if source.live:
                    session.follow_clock()
                header = session.header(picture, "lossless", source.fps)
                await self._ledger.publish(header, picture.jpeg)
                metrics.frames.labels(camera=self.camera).inc()
                self.count(session, picture, source)
        except SourceError:
            if source.live:
                self._cut, self.session = session, None
            raise
        finally:
            await source.close()
        await self._ledger.end(session, "ended")
