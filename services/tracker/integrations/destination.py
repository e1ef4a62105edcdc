"""What a destination has to do, and what it may answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from posewire.shared.errors import PosewireError
from posewire.tracker.store.outbox import Delivery, Outbox


class Undelivered(PosewireError):
    """It did not work this time; try again after a pause.

    ``pause_s``: what the other side asks for. ``refused``: it does not want this very event.
    """

    def __init__(self, text: str, *, pause_s: float | None = None, refused: bool = False) -> None:
        super().__init__(text)
        self.pause_s, self.refused = pause_s, refused


class Gone(PosewireError):
    """The other side wants no events any more."""


class Destination(Protocol):
    """Somebody who is told of events, one after the other."""

    name: str
    """Of its queue: mqtt, webhook:door."""

    def wants(self, camera: str, kind: str) -> bool:
        """Return whether events of this kind are queued for it."""

    def connected(self, outbox: Outbox) -> AbstractAsyncContextManager[None]:
        """Connect for the length of the body. Raises Undelivered."""

    async def tell(self, delivery: Delivery) -> None:
        """Tell of one event; returns once it is acknowledged. Raises Undelivered, Gone."""

    async def settle(self, deliveries: Sequence[Delivery], outbox: Outbox) -> None:
        """Do what is due after some events were told, or nothing. Raises Undelivered."""
