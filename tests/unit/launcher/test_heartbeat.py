"""How long nothing was heard of a child, and whom its heartbeat listens to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from posewire.launcher.heartbeat import Heartbeat, Silence
from posewire.shared.systemd import Notifier, watchdog_s

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")


def test_the_first_sign_may_take_longer() -> None:
    silence = Silence(limit_s=2, first_s=5)
    assert [silence.passes(1) for _ in range(6)] == [False] * 5 + [True]
    silence.broken(begun=False)
    assert [silence.passes(1) for _ in range(6)] == [False] * 5 + [True]
    silence.broken(begun=True)
    silence.broken(begun=False)
    assert [silence.passes(1) for _ in range(3)] == [False, False, True]


def test_a_watcher_that_was_held_up_blames_nobody() -> None:
    silence = Silence(limit_s=2, first_s=2)
    assert not silence.passes(3600)
    assert not silence.passes(3600)
    assert silence.passes(0.1)


def test_what_a_child_tells_is_heard() -> None:
    heartbeat = Heartbeat(silent_s=7)
    assert watchdog_s(heartbeat.environment) == 7
    notifier = Notifier.from_environment(heartbeat.environment)
    assert notifier is not None
    assert heartbeat.read(os.getpid()) == set()
    notifier.send(READY="1", STATUS="Ready: plays door")
    notifier.send(WATCHDOG="1")
    assert heartbeat.read(os.getpid()) == {"READY=1", "STATUS=Ready: plays door", "WATCHDOG=1"}
    assert heartbeat.read(os.getpid()) == set()
    notifier.close()
    heartbeat.close()


def test_other_processes_are_not_listened_to() -> None:
    heartbeat = Heartbeat()
    code = (
        "from posewire.shared.systemd import Notifier\n"
        "Notifier.from_environment().send(WATCHDOG='1')"
    )
    environment = os.environ | heartbeat.environment
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert heartbeat.read(os.getpid()) == set()
    heartbeat.close()
