"""Ending tasks, and finishing what must not be cut off by their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
_AGAIN_S = 0.3


async def cancel(tasks: Iterable[asyncio.Future[Any]], *, again_s: float = _AGAIN_S) -> None:
    """Cancel tasks and wait until all have ended; raises nothing that they end with.

    Asks again until they obey: before Python 3.12, wait_for swallows a cancellation that comes
    together with what it waits for, and asyncpg's pool waits by it. What a task must not leave
    half done when it is asked again belongs into ``finish``.

    Where this task is cancelled meanwhile, that is raised once the others have ended.
    """
    pending = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while pending:
        for task in pending:
            task.cancel()
        try:
            _done, pending = await asyncio.wait(pending, timeout=again_s)
        except asyncio.CancelledError as error:
            cancelled = error
            pending = {task for task in pending if not task.done()}
    if cancelled is not None:
        raise cancelled


async def finish(work: Awaitable[_T]) -> _T:
    """Await ``work`` to its end, however often this task is cancelled meanwhile.

    A cancellation is raised afterwards. Give it only work that ends soon.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
