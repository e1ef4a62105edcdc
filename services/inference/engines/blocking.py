"""An engine around a call that blocks, with a limit to how long it may.

A Neural Compute Stick that is pulled out either fails the call or never answers it: both become a
DeviceError, which ends the worker, and its supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable

from posewire.inference.engines.base import Engine, Maps, Tensor, require_tensor
from posewire.inference.engines.choice import MYRIAD
from posewire.inference.registry import ModelFiles
from posewire.shared.errors import DeviceError

Outputs = dict[str, Maps]
Run = Callable[[Tensor], Outputs]
_Work = tuple[Tensor, asyncio.AbstractEventLoop, "asyncio.Future[Outputs]"]

STICK_ANSWERS_S = 15.0
"""A stick takes a quarter of a second at most. One that is silent for so long is gone."""


class BlockingEngine(Engine):
    """A network behind a thread of its own, one call at a time.

    Args:
        run: runs the network; blocks, and raises anything where the device fails.
        files, device, shape: as for ``open_engine``.
    """

    def __init__(self, run: Run, files: ModelFiles, device: str, shape: tuple[int, int]) -> None:
        self.model = files.spec.name
        self.precision = files.spec.precision
        self.device = device
        self.input_shape = shape
        self._most_s = STICK_ANSWERS_S if device == MYRIAD else None
        self._turn = asyncio.Lock()
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        # A daemon: a call that never returns must not keep the process from ending.
        threading.Thread(
            target=_work_off, args=(run, self._work), name=f"{device} {self.model}", daemon=True
        ).start()

    async def infer(self, tensor: Tensor) -> Outputs:
        require_tensor(tensor, self.input_shape)
        loop = asyncio.get_running_loop()
        async with self._turn:
            answer: asyncio.Future[Outputs] = loop.create_future()
            self._work.put((tensor, loop, answer))
            try:
                return await asyncio.wait_for(answer, self._most_s)
            except asyncio.TimeoutError:
                reason = f"no answer within {self._most_s:g} s"
            except Exception as error:  # noqa: BLE001 - engines raise types of their own
                reason = last_line(error)
        raise DeviceError(
            f"{self.device} failed while running {self.model}: {reason}. "
            "Has it been pulled out, or does the port give it too little power?"
        )

    def close(self) -> None:
        self._work.put(None)


def _work_off(run: Run, work: queue.SimpleQueue[_Work | None]) -> None:
    while (task := work.get()) is not None:
        tensor, loop, answer = task
        outputs: Outputs | Exception
        try:
            outputs = run(tensor)
        except Exception as error:  # noqa: BLE001 - it is handed to who waits
            outputs = error
        try:
            loop.call_soon_threadsafe(_deliver, answer, outputs)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more


def _deliver(answer: asyncio.Future[Outputs], outputs: Outputs | Exception) -> None:
    if answer.done():
        return
    if isinstance(outputs, Exception):
        answer.set_exception(outputs)
    else:
        answer.set_result(outputs)


def last_line(error: Exception) -> str:
    """Return the last telling line of an error of many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
