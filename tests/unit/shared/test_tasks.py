"""Ending tasks: all of them, in order, however impatient the one who asks."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from posewire.shared.tasks import cancel, finish


async def test_who_swallows_a_cancellation_is_asked_again() -> None:
    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel([task], again_s=0.05), 5)
    assert task.done()


async def test_what_is_finished_is_not_cut_off() -> None:
    """A lease was not given back where cancelling again interrupted its release."""
    done = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await finish(tidy_up())

    async def tidy_up() -> str:
        await asyncio.sleep(0.2)
        done.append("tidy")
        return "tidy"

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await cancel([task], again_s=0.02)
    assert done == ["tidy"]
    assert task.cancelled()
    assert await finish(tidy_up()) == "tidy"


async def test_who_is_cancelled_while_cancelling_still_waits() -> None:
    order = []

    async def tidy_up() -> None:
        await asyncio.sleep(0.2)
        order.append("inner")

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await finish(tidy_up())

    async def outer() -> None:
        inner = asyncio.create_task(slow())
        await asyncio.sleep(0)
        try:
            await asyncio.sleep(60)
        finally:
            await cancel([inner])
            order.append("never: the cancellation is raised")

    task = asyncio.create_task(outer())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["inner"]
