"""The engine on OpenVINO: CPU, GPU, NPU."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import numpy as np
import openvino as ov
import structlog

from services.inference.engines.base import Engine, Maps, Tensor
from services.inference.registry import ModelFiles
from shared.errors import DeviceError, ModelError
from shared.settings import InferenceSettings

_log = structlog.get_logger(__name__)


@cache
def _core() -> Any:
    return ov.Core()


def choose_device(settings: InferenceSettings) -> tuple[str, str]:
    """Return the device to run on and why.

    Raises DeviceError where the device is not there and ``fallback`` is off.
    """
    available = list(_core().available_devices)
    wanted = settings.device
    if wanted == "AUTO":
        # OpenVINO's own AUTO starts on the CPU and moves on, which changes results in mid-run.
        device = next((name for name in available if name.startswith("GPU")), "CPU")
        return device, f"device = AUTO: {device} of {', '.join(available)}"
    if any(name == wanted or name.startswith(wanted + ".") for name in available):
        return wanted, f"device = {wanted}"
    missing = f"device {wanted} is not on this machine (there is {', '.join(available)})"
    if wanted == "MYRIAD":
        missing += "; OpenVINO dropped the Neural Compute Stick after 2022.3"
    if settings.fallback:
        _log.warning("inference.fallback", reason=missing, device="CPU")
        return "CPU", f"{missing}; continuing on the CPU"
    raise DeviceError(f"{missing}. Use --device CPU, or set inference.fallback = true")


def open_engine(
    files: ModelFiles, settings: InferenceSettings, *, shape: tuple[int, int] | None = None
) -> Engine:
    """Read and compile a model for inputs of ``shape`` (height, width); None keeps the model's own.

    Resizing is the caller's; type and layout conversions are compiled into the graph.
    Raises ModelError where the file is broken, DeviceError where it cannot run on the device.
    """
    device, _reason = choose_device(settings)
    try:
        model = _core().read_model(str(files.path))
    except RuntimeError as error:
        raise ModelError(f"{files.path} is not a model OpenVINO can read: {_line(error)}") from None
    channels_last = files.spec.family == "movenet-multipose"
    height, width = shape or _own_shape(model, channels_last)
    try:
        model.reshape([1, height, width, 3] if channels_last else [1, 3, height, width])
        model = _with_preprocessing(model, channels_last)
        config: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT"}
        if device == "CPU":
            # Several networks share the cores; pinned, two of them may wait for the same one.
            config["ENABLE_CPU_PINNING"] = False
            if settings.threads:
                config["INFERENCE_NUM_THREADS"] = settings.threads
        compiled = _core().compile_model(model, device, config)
    except RuntimeError as error:
        raise DeviceError(
            f"{files.spec.name} {files.spec.precision} cannot run on {device} with input "
            f"{height}x{width}: {_line(error)}"
        ) from None
    return OpenVinoEngine(compiled, files, device, (height, width))


def _own_shape(model: Any, channels_last: bool) -> tuple[int, int]:
    shape = model.inputs[0].partial_shape
    height, width = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
    return int(height.get_length()), int(width.get_length())


def _with_preprocessing(model: Any, channels_last: bool) -> Any:
    steps = ov.preprocess.PrePostProcessor(model)
    source = steps.input().tensor()
    source.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.set_color_format(ov.preprocess.ColorFormat.BGR)
    if channels_last:
        steps.input().preprocess().convert_color(ov.preprocess.ColorFormat.RGB)
    steps.input().model().set_layout(ov.Layout("NHWC" if channels_last else "NCHW"))
    return steps.build()


class OpenVinoEngine(Engine):
    """A compiled network behind an AsyncInferQueue."""

    def __init__(
        self, compiled: Any, files: ModelFiles, device: str, shape: tuple[int, int]
    ) -> None:
        self.model = files.spec.name
        self.precision = files.spec.precision
        self.device = device
        self.input_shape = shape
        self._names = [_name(output, index) for index, output in enumerate(compiled.outputs)]
        requests = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = ov.AsyncInferQueue(compiled, requests)
        self._queue.set_callback(self._done)
        # start_async blocks while no request is free; waiting here keeps the event loop running.
        self._free = asyncio.Semaphore(requests)

    async def infer(self, tensor: Tensor) -> dict[str, Maps]:
        height, width = self.input_shape
        if tensor.shape != (1, height, width, 3) or tensor.dtype != np.uint8:
            raise ValueError(
                f"expected uint8 (1, {height}, {width}, 3), got {tensor.dtype} {tensor.shape}"
            )
        loop = asyncio.get_running_loop()
        async with self._free:
            answer: asyncio.Future[dict[str, Maps]] = loop.create_future()
            self._queue.start_async({0: tensor}, (loop, answer, tensor))
            # The request runs to its end even when its caller is cancelled, and holds its place.
            return await asyncio.shield(answer)

    def _done(self, request: Any, work: Any) -> None:
        """Runs in OpenVINO's thread."""
        loop, answer, _tensor = work
        outputs = {
            name: np.array(request.get_output_tensor(index).data)
            for index, name in enumerate(self._names)
        }
        loop.call_soon_threadsafe(_deliver, answer, outputs)

    def close(self) -> None:
        self._queue.wait_all()


def _deliver(answer: asyncio.Future[dict[str, Maps]], outputs: dict[str, Maps]) -> None:
    if not answer.done():
        answer.set_result(outputs)


def _name(output: Any, index: int) -> str:
    names = output.get_names()
    return str(output.get_any_name()) if names else str(index)


def _line(error: RuntimeError) -> str:
    """Return the last telling line of one of OpenVINO's many-lined errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
