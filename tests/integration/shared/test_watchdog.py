"""A service that hangs ends by itself, and leaves the stacks of its threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest

SERVICE = """
import asyncio, ctypes, threading, time
from posewire.shared.health import Health
from posewire.shared.watchdog import Watchdog

async def answers():
    pass

def a_call_that_does_not_return():
    time.sleep(60)

async def main():
    health = Health(watchdog=Watchdog(hang_s=1.3, start_s=1.3))
    async with health.reporting(answers):
        health.ready("plays door")
        await asyncio.sleep(2)  # longer than the limit: a service that lives is left alone
        print("lived", flush=True)
{body}

asyncio.run(main())
{after}
"""
LOOP = "a_call_that_does_not_return()"
LOCK = "ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock"
DEVICE = """
health.add_check(lambda: "no answer from the device")
threading.Thread(target=a_call_that_does_not_return, daemon=True).start()
await asyncio.sleep(60)
"""


def run(body: str = "", after: str = "") -> subprocess.CompletedProcess[str]:
    code = SERVICE.format(body=textwrap.indent(body, " " * 8), after=after)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("body", "after", "seen"),
    [
        pytest.param(LOOP, "", "a_call_that_does_not_return", id="the event loop stands still"),
        pytest.param(LOCK, "", "in main", id="native code holds the interpreter's lock"),
        pytest.param(DEVICE, "", "a_call_that_does_not_return", id="a device does not answer"),
        pytest.param("", LOOP, "a_call_that_does_not_return", id="the end does not come"),
    ],
)
def test_what_hangs_ends_with_its_stacks(body: str, after: str, seen: str) -> None:
    started = time.monotonic()
    done = run(body, after)
    assert time.monotonic() - started < 15
    assert (done.returncode, done.stdout[:6]) == (1, "lived\n")
    assert "Timeout (0:00:01.3" in done.stderr
    assert seen in done.stderr


def test_a_service_that_ends_in_time_is_left_alone() -> None:
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "lived\n", "")


def test_a_device_that_answers_again_saves_the_process() -> None:
    done = run(
        "begun = time.monotonic()\n"
        "health.add_check(lambda: 'slow' if time.monotonic() - begun < 0.4 else None)\n"
        "await asyncio.sleep(2)\n"
    )
    assert done.returncode == 0
    assert "Timeout" not in done.stderr
