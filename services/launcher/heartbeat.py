"""Signs of life of a child, told as to systemd (sd_notify), and how long there was none."""

from __future__ import annotations

import socket
import struct
import sys

SILENT_S = 25.0
"""A child that was silent for so long is killed; its own watchdog should have ended it before."""
_CREDENTIALS = struct.Struct("3i")
_MESSAGE_MAX = 4096


class Heartbeat:
    """The receiving end of one child's NOTIFY_SOCKET; only that process is listened to."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        # Without Linux's abstract sockets a child is taken to live while its process does.
        self._socket: socket.socket | None = _listening() if sys.platform == "linux" else None

    @property
    def environment(self) -> dict[str, str]:
        """What the child is given."""
        if self._socket is None:
            return {}
        name: bytes = self._socket.getsockname()
        return {
            "NOTIFY_SOCKET": "@" + name[1:].decode(),
            "WATCHDOG_USEC": str(round(self._silent_s * 1e6)),
        }

    def read(self, pid: int) -> set[str]:
        """Return the lines that process ``pid`` has sent since the last call; never waits."""
        if self._socket is None:
            return {"WATCHDOG=1"}
        lines: set[str] = set()
        while True:
            try:
                data, ancillary, _flags, _from = self._socket.recvmsg(
                    _MESSAGE_MAX, socket.CMSG_SPACE(_CREDENTIALS.size)
                )
            except BlockingIOError:
                return lines
            for level, kind, value in ancillary:
                if (level, kind) != (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    continue
                if _CREDENTIALS.unpack(value)[0] == pid:
                    lines |= set(data.decode(errors="replace").splitlines())

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()


def _listening() -> socket.socket:
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    listener.bind("")  # the kernel chooses an abstract name: no file, no path too long
    return listener


class Silence:
    """Adds up how long nothing was heard.

    ``limit_s`` holds from the first sign on, ``first_s`` before it.
    """

    _MOST_STEP_S = 1.0
    """A watcher that was held up itself must not blame the watched for it."""

    def __init__(self, limit_s: float, first_s: float) -> None:
        self._limit_s, self._first_s = limit_s, first_s
        self._begun = False
        self.seconds = 0.0

    def passes(self, seconds: float) -> bool:
        """Note that ``seconds`` have passed; return whether it has been silent for too long."""
        self.seconds += min(seconds, self._MOST_STEP_S)
        return self.seconds > (self._limit_s if self._begun else self._first_s)

    def broken(self, *, begun: bool) -> None:
        """Note a sign of life. ``begun``: from now on ``limit_s`` holds."""
        self.seconds = 0.0
        self._begun = self._begun or begun
