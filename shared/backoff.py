"""Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""

from __future__ import annotations

import asyncio
import random


class Backoff:
    """Pauses that grow from ``first_s`` to at most ``most_s`` while something keeps failing.

    Raise ``most_s`` to spare a host that is down for long; lower it to be back sooner.
    """

    def __init__(self, first_s: float = 0.1, most_s: float = 5.0) -> None:
        if not 0 < first_s <= most_s:
            raise ValueError(f"expected 0 < first_s <= most_s, got {first_s} and {most_s}")
        self.first_s = first_s
        self.most_s = most_s
        self._failures = 0

    def reset(self) -> None:
        """Start over with the shortest pause; call it when something worked."""
        self._failures = 0

    def next_s(self) -> float:
        """Return the next pause in seconds: random between half of and the whole current bound."""
        bound = min(self.most_s, self.first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return bound * random.uniform(0.5, 1.0)

    async def sleep(self) -> None:
        """Sleep for the next pause."""
        await asyncio.sleep(self.next_s())
