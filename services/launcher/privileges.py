"""What a child does between fork and exec: its death signal, and another user than root."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
NOBODY = 65534


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return what a child runs before exec so that it gets ``number`` when its parent dies."""
    parent = os.getpid()
    try:
        prctl = ctypes.CDLL(None).prctl
    except AttributeError:  # not Linux
        return lambda: None

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return prepare


def become_nobody() -> None:
    """Give up root for good. Raises OSError."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def become_nobody_by_namespace() -> None:
    """Enter a user namespace in which root is nobody; files stay root's. Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")


def can_map_user() -> bool:
    """Whether root may open a user namespace here (containers often forbid it)."""
    probe = subprocess.run(
        ["/bin/true"], preexec_fn=_probe_namespace, check=False, stderr=subprocess.DEVNULL
    )
    return probe.returncode == 0


def _probe_namespace() -> None:
    try:
        become_nobody_by_namespace()
    except (OSError, AttributeError):
        os._exit(1)
