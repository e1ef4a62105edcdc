"""What ends a service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from posewire.shared.worker import until_stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    ended = []

    async def main() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            ended.append("in order")

    await asyncio.wait_for(until_stopped(main()), 10)
    assert ended == ["in order"]


async def test_who_swallows_the_cancellation_is_asked_again() -> None:
    """As wait_for does before Python 3.12 when it comes together with what it waits for."""

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    await asyncio.wait_for(until_stopped(main(), ask_again_s=0.1), 10)


async def test_what_ends_it_is_raised() -> None:
    async def main() -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        await until_stopped(main())


async def test_an_end_of_its_own_is_the_end() -> None:
    await asyncio.wait_for(until_stopped(asyncio.sleep(0.01)), 10)
