"""Runs a blocking reader in a thread of its own, a few pictures ahead of its async reader.

::

    reader (thread) ──▶ [ p p p ] ──▶ async for          files: the thread waits for room
                                                         live:  the oldest picture makes room
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator

from posewire.capture.sources.base import Opened, Picture, Step
from posewire.capture.waiting import set_within
from posewire.shared.errors import SourceError

_AHEAD_FILE, _AHEAD_LIVE = 8, 2
_CLOSE_S = 1.0


class ThreadedSource:
    """A ``Source`` over a blocking generator of ``Step``.

    The thread is a daemon: a driver that hangs in the kernel must not keep the process alive.
    """

    def __init__(
        self,
        read: Callable[[], Generator[Step, None, None]],
        *,
        name: str,
        read_timeout_s: float,
    ) -> None:
        """Call ``start`` next. ``name`` stands in errors: credentials redacted."""
        self.live = False
        self.fps = 0.0
        self.frames: int | None = None
        self._read, self._name, self._read_timeout_s = read, name, read_timeout_s
        self._loop = asyncio.get_running_loop()
        self._room = threading.Condition()
        self._waiting: deque[Picture] = deque()
        self._arrived = asyncio.Event()
        self._opened = self._loop.create_future()
        self._finished = asyncio.Event()
        self._done = self._closed = self._live_reader = False
        self._error: BaseException | None = None

    async def start(self, open_timeout_s: float) -> None:
        """Open the source. Raises SourceError; the source is closed then."""
        threading.Thread(target=self._work, name=f"source {self._name}", daemon=True).start()
        try:
            await asyncio.wait({self._opened}, timeout=open_timeout_s)
            if not self._opened.done():
                raise SourceError(f"{self._name} did not open within {open_timeout_s:g} s")
            opened: Opened = self._opened.result()
        except BaseException:
            self._opened.cancel()
            await self.close()
            raise
        self.live, self.fps, self.frames = opened.live, opened.fps, opened.frames

    def __aiter__(self) -> AsyncIterator[Picture]:
        return self

    async def __anext__(self) -> Picture:
        while True:
            with self._room:
                if self._waiting:
                    self._room.notify()
                    return self._waiting.popleft()
                if self._closed or self._done:
                    break
                self._arrived.clear()
            # A file's reader has its own timeouts and may rightly take long, seeking.
            timeout = self._read_timeout_s if self.live else None
            if not await set_within(self._arrived, timeout):
                raise SourceError(f"{self._name}: no picture for {timeout:g} s")
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def close(self) -> None:
        with self._room:
            self._closed = True
            self._waiting.clear()
            self._room.notify()
        self._arrived.set()
        # One that is blocked in a driver or a socket ends with its own timeout.
        await set_within(self._finished, _CLOSE_S)

    def _work(self) -> None:
        error: BaseException | None = None
        steps = self._read()
        try:
            for step in steps:
                if not self._hand_over(step):
                    break
        except Exception as caught:  # noqa: BLE001 -- not swallowed: raised where pictures are read
            error = caught
        finally:
            steps.close()
        self._call(self._end, error)

    def _hand_over(self, step: Step) -> bool:
        """Pass ``step`` on; return whether more is wanted."""
        if isinstance(step, Opened):
            self._live_reader = step.live
            return self._call(self._set_opened, step)
        if step is None:
            return not self._closed
        with self._room:
            if self._live_reader:
                while len(self._waiting) >= _AHEAD_LIVE:
                    self._waiting.popleft()
            else:
                while len(self._waiting) >= _AHEAD_FILE and not self._closed:
                    self._room.wait()
            if self._closed:
                return False
            self._waiting.append(step)
        return self._call(self._arrived.set)

    def _call(self, function: Callable[..., None], *args: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            return False  # the loop is closed: nobody reads any more
        return True

    def _set_opened(self, opened: Opened) -> None:
        if not self._opened.done():
            self._opened.set_result(opened)

    def _end(self, error: BaseException | None) -> None:
        self._error, self._done = error, True
        if not self._opened.done() and not self._closed:
            self._opened.set_exception(error or SourceError(f"{self._name} has no pictures"))
        self._arrived.set()
        self._finished.set()
