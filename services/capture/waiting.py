"""Waiting with a limit, without losing a cancellation.

Before Python 3.12 ``asyncio.wait_for`` swallows a cancellation that comes in the same turn of the
loop as what it waited for (python/cpython#86296). In a loop that waits again and again, the task
then cannot be stopped any more.
"""

from __future__ import annotations

import asyncio


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until ``event`` is set, at most ``seconds`` (None: for ever); return whether it is."""
    if not event.is_set():
        waiter = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({waiter}, timeout=seconds)
        finally:
            waiter.cancel()
    return event.is_set()
