"""Ending tasks, and finishing what must not be cut off by their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")
_AGAIN_S = 5.0
"""A task has this long to tidy up before it is taken for one that has missed its cancellation."""


async def cancel(tasks: Iterable[asyncio.Future[Any]], *, again_s: float = _AGAIN_S) -> None:
    """Cancel tasks and wait until all have ended; never raises what they end with.

    Before Python 3.12, wait_for (also within libraries) swallows a cancellation that comes
    together with what it waits for, so whoever has not ended after ``again_s`` is asked again.
    Raise it for tasks that take longer to tidy up: asking again interrupts that.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _done, pending = await asyncio.wait(pending, timeout=again_s)


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
