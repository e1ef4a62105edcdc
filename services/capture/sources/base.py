"""What every source is: pictures, one after the other, with their place in time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from posewire.shared.redact import redact


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a source, upright, as JPEG."""

    jpeg: bytes
    width: int
    height: int
    t: float
    """Seconds since the source began: media time in files; 0.0 for the first picture."""
    index: int
    """Place in the source, from 0. A gap is what could not be read or was not waited for."""
    file: str | None = None
    """Name of the image file, in image folders."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of a source once it is open."""

    live: bool
    fps: float = 0.0
    frames: int | None = None


Step: TypeAlias = "Opened | Picture | None"
"""What a blocking reader yields: ``Opened`` once, then pictures; None: nothing yet, still at it."""


class Source(Protocol):
    """An open source."""

    live: bool
    """True: pictures come when they come. False: a file, which waits for its reader."""
    fps: float
    """Nominal rate; 0 where there is none (image folders)."""
    frames: int | None
    """How many pictures there are, where that is known."""

    def __aiter__(self) -> AsyncIterator[Picture]:
        """Yield the pictures; ends at the end of a file. Raises SourceError on loss or stall."""

    async def close(self) -> None:
        """Let go of the device, file or connection; never raises."""


def without_credentials(text: str, url: str) -> str:
    """Return ``text`` with every trace of the credentials in ``url`` blacked out.

    ``redact`` finds them in URLs; libraries also print a user's name or password bare.
    """
    text = redact(text.replace(url, redact(url)))
    parts = urlsplit(url) if "://" in url else None
    if parts is not None and parts.password:
        for secret in {parts.password, unquote(parts.password)}:
            text = text.replace(secret, "***")
    return text
