"""Choosing devices, and engines whose calls block."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from posewire.inference.engines import blocking
from posewire.inference.engines.blocking import BlockingEngine, Outputs, Run
from posewire.inference.engines.choice import choose, require_precision
from posewire.inference.registry import POSE, find_spec
from posewire.inference.registry.store import ModelFiles
from posewire.shared.errors import DeviceError, ModelError
from posewire.shared.settings import InferenceSettings

FILES = ModelFiles(find_spec(POSE, "FP16"), Path("pose.xml"))
TENSOR = np.zeros((1, 4, 6, 3), np.uint8)
UNPLUGGED = "Failed to queue inference: NC_ERROR"


def engine(run: Run, device: str = "MYRIAD") -> BlockingEngine:
    return BlockingEngine(run, FILES, device, (4, 6))


@pytest.mark.parametrize(
    ("wanted", "available", "device"),
    [
        ("AUTO", ["CPU"], "CPU"),
        ("AUTO", ["CPU", "GPU.0"], "GPU.0"),
        ("AUTO", ["CPU", "MYRIAD"], "CPU"),  # its files are others: it is taken where asked for
        ("MYRIAD", ["CPU", "MYRIAD"], "MYRIAD"),
        ("MYRIAD", ["CPU", "MYRIAD.1.2-ma2480", "MYRIAD.1.4-ma2480"], "MYRIAD"),
    ],
)
def test_the_device_of_those_that_are_there(wanted: str, available: list[str], device: str) -> None:
    assert choose(InferenceSettings(device=wanted), available, "")[0] == device


def test_advice_comes_with_a_missing_stick_alone() -> None:
    with pytest.raises(DeviceError, match=r"MYRIAD is not on this machine \(there is CPU\); plug"):
        choose(InferenceSettings(device="MYRIAD"), ["CPU"], "plug it in")
    with pytest.raises(DeviceError, match=r"GPU is not on this machine \(there is CPU\)\. Use"):
        choose(InferenceSettings(device="GPU"), ["CPU"], "plug it in")


def test_the_stick_takes_fp16_alone() -> None:
    require_precision("pose", "FP16", "MYRIAD")
    require_precision("pose", "FP16-INT8", "CPU")
    for precision in ("FP16-INT8", "FP32"):
        with pytest.raises(ModelError, match=f"pose is {precision}, and MYRIAD takes FP16 alone"):
            require_precision("pose", precision, "MYRIAD")


async def test_calls_wait_for_each_other_and_not_the_loop() -> None:
    inside, most = 0, 0
    gate = threading.Semaphore(0)

    def run(tensor: np.ndarray) -> Outputs:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gate.acquire(timeout=10)
        inside -= 1
        return {"out": tensor.astype(np.float32)}

    ours = engine(run)
    calls = [asyncio.create_task(ours.infer(TENSOR + n)) for n in range(4)]
    for _ in range(4):
        await asyncio.sleep(0.01)  # the loop runs while the calls block
        gate.release()
    found = await asyncio.gather(*calls)
    ours.close()
    assert [outputs["out"].max() for outputs in found] == [0, 1, 2, 3]
    assert most == 1


async def test_a_call_that_fails_is_the_devices_error() -> None:
    def run(_tensor: np.ndarray) -> Outputs:
        raise RuntimeError(f"long story\n{UNPLUGGED}\n")

    ours = engine(run)
    with pytest.raises(DeviceError, match=f"MYRIAD failed while running {POSE}: {UNPLUGGED}"):
        await ours.infer(TENSOR)
    ours.close()


async def test_a_call_that_never_returns_is_the_devices_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocking, "STICK_ANSWERS_S", 0.05)
    pulled = threading.Event()

    def run(_tensor: np.ndarray) -> Outputs:
        pulled.wait(10)
        return {}

    ours = engine(run)
    with pytest.raises(DeviceError, match=r"MYRIAD failed .* no answer within 0\.05 s"):
        await ours.infer(TENSOR)
    pulled.set()  # the answer that comes too late disturbs nobody
    ours.close()
    await asyncio.sleep(0.05)


async def test_a_slow_cpu_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "STICK_ANSWERS_S", 0.01)
    ours = engine(lambda tensor: (threading.Event().wait(0.1), {"n": tensor})[1], "CPU")  # type: ignore[dict-item]
    assert (await ours.infer(TENSOR))["n"] is TENSOR
    ours.close()


async def test_a_caller_who_gives_up_leaves_the_engine_in_order() -> None:
    gate = threading.Event()

    def run(tensor: np.ndarray) -> Outputs:
        gate.wait(10)
        return {"out": tensor.astype(np.float32)}

    ours = engine(run)
    first = asyncio.create_task(ours.infer(TENSOR))
    await asyncio.sleep(0.01)
    first.cancel()
    second = asyncio.create_task(ours.infer(TENSOR + 7))
    await asyncio.sleep(0.01)
    gate.set()
    assert (await second)["out"].max() == 7
    assert first.cancelled()
    ours.close()


async def test_a_tensor_of_another_shape_is_refused() -> None:
    ours = engine(lambda _tensor: {})
    with pytest.raises(
        ValueError, match=r"expected uint8 \(1, 4, 6, 3\), got uint8 \(1, 6, 4, 3\)"
    ):
        await ours.infer(TENSOR.transpose(0, 2, 1, 3))
    ours.close()
