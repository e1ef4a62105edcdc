"""What systemd is told: sd_notify's datagrams, without libsystemd.

Written after sd_notify(3), sd_watchdog_enabled(3) and systemd.exec(5) ($JOURNAL_STREAM).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TextIO

import structlog

_log = structlog.get_logger(__name__)


class Notifier:
    """Sends lines such as READY=1 to the service manager that started this process."""

    def __init__(self, address: str) -> None:
        """``address``: $NOTIFY_SOCKET, a path, or an abstract name with @ before it."""
        self.address = address
        self._socket = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        self._failed = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notifier | None:
        """Return the notifier for the manager that is listening, None where nobody is."""
        address = environment.get("NOTIFY_SOCKET", "")
        return cls(address) if address[:1] in ("/", "@") else None

    def send(self, **fields: str) -> None:
        """Send ``fields`` as one message. Never raises: a service goes on without its manager."""
        # A line break would begin another field.
        lines = (f"{name}={' '.join(value.split())}" for name, value in fields.items())
        message = "\n".join(lines).encode()
        address = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        try:
            self._socket.sendto(message, address)
        except OSError as error:
            if not self._failed:
                _log.warning("systemd.unreachable", address=self.address, error=str(error))
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def watchdog_s(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return after how many silent seconds the manager restarts this process; None for never.

    None, too, where the watchdog is meant for another process than this one.
    """
    try:
        limit_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
        owner = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return limit_s if limit_s > 0 and owner == os.getpid() else None


def writes_to_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``stream`` ends in the journal, which understands "<4>" before a line."""
    device, _colon, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
        return (status.st_dev, status.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False
