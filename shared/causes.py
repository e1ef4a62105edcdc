"""Which faults are worth a line in the log, when the same ones come a thousand times over."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable

_NUMBERS = re.compile(r"\d+")
_MOST = 256
_AGAIN_S = 600.0
_LINES_A_MINUTE = 20


class Causes:
    """Lets each cause be told once, and again every ten minutes while it goes on.

    What is remembered is bounded: of too many causes, the one told longest ago is forgotten, and
    is told anew when it comes again. No more than 20 lines a minute are let through together, so
    causes that differ every time fill no disk, and the next one is still told a minute later.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()
        self._room = float(_LINES_A_MINUTE)
        self._filled_at = clock()

    def due(self, *cause: object) -> int:
        """Count a fault; return for how many of this cause a line is due now, 0 for no line.

        Numbers in the cause do not count: a frame's number makes no new cause.
        """
        now = self._clock()
        key = tuple(_NUMBERS.sub("#", str(part)) for part in cause)
        told_at, since = self._told.get(key, (-_AGAIN_S, 0))
        since += 1
        if now - told_at < _AGAIN_S:
            self._told[key] = told_at, since
            return 0
        if not self._has_room(now):
            return 0
        self._told[key] = now, 0
        self._told.move_to_end(key)
        if len(self._told) > _MOST:
            self._told.popitem(last=False)
        return since

    def _has_room(self, now: float) -> bool:
        filled = self._room + (now - self._filled_at) * _LINES_A_MINUTE / 60
        self._room, self._filled_at = min(filled, float(_LINES_A_MINUTE)), now
        if self._room < 1:
            return False
        self._room -= 1
        return True
