"""Which server process answers: what tells a restart or a failover from a broken connection.

::

    one server, Sentinels   one place; whoever answers there is the bus
    a cluster               one place per node; a key's place is the node that serves its slot

A place whose process is another than before, and a slot that another place serves, may lack what
was published last. ``epoch`` then grows for the keys concerned, and for no others.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from hashlib import sha1
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

_log = structlog.get_logger(__name__)


class AnotherServerError(RedisConnectionError):
    """A connection that was made again has found another server process."""


guard: ContextVar[Callable[[], bool] | None] = ContextVar("guard", default=None)
"""Whether what is about to be sent is still meant for whoever answers; None: it always is."""


class Identity:
    """Knows the processes that one bus is connected to; made for redis-py's connect hook."""

    def __init__(self, url: str, *, per_node: bool) -> None:
        """``url``: for the log, without password. ``per_node``: each node is a place of its own."""
        self._url, self._per_node = url, per_node
        self._processes: dict[str, str] = {}
        self._generations: dict[str, int] = {}
        self._slots: dict[int, tuple[str, int]] = {}
        self._epochs: dict[int, int] = {}
        self._lock = asyncio.Lock()
        # Left with a server that does not say who it is, in the memory of its process.
        self._mark = f"return 'posewire {uuid.uuid4().hex}'"
        self._marks: dict[str, int] = {}
        self._refused = False
        self._told: set[tuple[tuple[str, int], tuple[str, int]]] = set()

    def epoch(self, slot: int, place: str) -> int:
        """Return a number that grows when ``place``, which serves ``slot`` now, is another server.

        For one server ``slot`` and ``place`` are constants.
        """
        serving = (place, self._generations.get(place, 0))
        before = self._slots.get(slot)
        if before is not None and before != serving:
            self._epochs[slot] = self._epochs.get(slot, 0) + 1
            if (before, serving) not in self._told:  # once, not for each camera of a shard
                self._told.add((before, serving))
                _log.warning("bus.server_changed", url=self._url, server=place or None)
        self._slots[slot] = serving
        return self._epochs.get(slot, 0)

    def known(self, slot: int) -> int:
        """Return the epoch of ``slot`` while nobody knows who serves it."""
        return self._epochs.get(slot, 0)

    async def on_connect(self, connection: Any) -> None:
        """Shake hands, and learn which process has answered.

        Raises AnotherServerError where the call that needs the connection is ``guard``ed, and is
        not for this process.
        """
        await connection.on_connect()
        process = await self._process(connection)
        place = f"{connection.host}:{connection.port}" if self._per_node else ""
        before, self._processes[place] = self._processes.get(place), process
        if before not in (None, process):
            self._generations[place] = self._generations.get(place, 0) + 1
        stands = guard.get()
        if stands is not None and not stands():
            raise AnotherServerError

    async def _process(self, connection: Any) -> str:
        """Return what is different for every process of a server."""
        try:
            info = await _ask(connection, "INFO", "server")
        except ResponseError as error:
            if not self._refused:
                self._refused = True
                _log.warning(
                    "bus.info_refused", url=self._url, reason=str(error),
                    consequence="restarts are told by a script that is left with the server",
                )  # fmt: skip
            return await self._marked_process(connection)
        text = info.decode() if isinstance(info, bytes) else str(info)
        return next((line for line in text.splitlines() if line.startswith("run_id:")), "")

    async def _marked_process(self, connection: Any) -> str:
        """The same for a user who may not ask: a script lives as long as the server's process.

        (Redis 6 hands scripts on to replicas, hence the address.)
        """
        address = f"{getattr(connection, 'host', '')}:{getattr(connection, 'port', '')}"
        async with self._lock:  # or two new connections would each take the other for a restart
            digest = sha1(self._mark.encode(), usedforsecurity=False).hexdigest()
            (there,) = await _ask(connection, "SCRIPT", "EXISTS", digest)
            if not there:
                await _ask(connection, "SCRIPT", "LOAD", self._mark)
                self._marks[address] = self._marks.get(address, 0) + 1
            return f"{address} {self._marks.get(address, 0)}"


async def _ask(connection: Any, *command: str) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()
