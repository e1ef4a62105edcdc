"""Log files of child processes: private, and turned over while the children run."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import threading
from io import TextIOWrapper
from pathlib import Path
from typing import IO

MOST_BYTES = 10_000_000
"""A file of this size becomes ``NAME.log.1``, in place of an older one."""
_DRAIN_S = 0.5
_TAIL_BYTES = 1 << 16


class ChildLog:
    """Where a child's output goes, start after start."""

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES) -> None:
        self.path = path
        self._file = _PrivateFile(
            path, maxBytes=most_bytes, backupCount=1, encoding="utf-8", errors="replace", delay=True
        )
        self._thread: threading.Thread | None = None

    def follow(self, output: IO[str]) -> None:
        """Write what comes out of a pipe, from a thread, until all its writers have ended."""
        self._thread = threading.Thread(
            target=self._copy, args=(output,), name=f"log {self.path.name}", daemon=True
        )
        self._thread.start()

    def tail(self, lines: int) -> str:
        """Return the last lines. Right after a child's death, waits for what it has written."""
        if self._thread is not None:
            self._thread.join(_DRAIN_S)
        try:
            with self.path.open("rb") as file:
                file.seek(max(self.path.stat().st_size - _TAIL_BYTES, 0))
                text = file.read(_TAIL_BYTES)
        except OSError:
            return ""
        return "\n".join(text.decode(errors="replace").splitlines()[-lines:])

    def _copy(self, output: IO[str]) -> None:
        with output:
            for line in output:
                self._file.handle(logging.makeLogRecord({"msg": line.rstrip("\n")}))
        with contextlib.suppress(OSError):  # what is left may not fit on the disk
            self._file.close()  # the next child's first line opens it again


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A file that only this user can read."""

    def _open(self) -> TextIOWrapper:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return open(
            self.baseFilename,
            "a",
            encoding=self.encoding,
            errors=self.errors,
            opener=private,
        )

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- its name there
        """Leave the line out: the disk is full, and the child must not be held up by that."""
