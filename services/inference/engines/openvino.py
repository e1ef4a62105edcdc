"""The engine on OpenVINO: CPU, GPU, NPU, and MYRIAD where it is 2022.3 with the stick's plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from posewire.inference.engines import _ov as ov
from posewire.inference.engines.base import Engine, Maps, Tensor, require_tensor
from posewire.inference.engines.blocking import BlockingEngine, Outputs, last_line
from posewire.inference.engines.choice import MYRIAD, choose, require_precision
from posewire.inference.registry import ModelFiles, Preprocessing
from posewire.shared.errors import DeviceError, ModelError
from posewire.shared.settings import InferenceSettings

_WITH_STICK = (2022, 3)
"""The last release that knows the Neural Compute Stick."""


@cache
def _core() -> Any:
    return ov.Core()


def devices() -> dict[str, str]:
    """Return the devices that are here with their full names."""
    core = _core()
    return {
        name: str(core.get_property(name, "FULL_DEVICE_NAME")) for name in core.available_devices
    }


def choose_device(settings: InferenceSettings) -> tuple[str, str]:
    """As ``engines.choose_device``."""
    if ov.RELEASE > _WITH_STICK:
        advice = (
            "OpenVINO dropped the Neural Compute Stick after 2022.3: run the worker from the "
            "environment that 'make ncs2-env' makes (docs/deploy-ncs2.md)"
        )
    else:
        advice = (
            "plug the stick in, and let this user open it (the udev rule in docs/deploy-ncs2.md); "
            "OpenVINO's package from PyPI is without its plugin, Intel's archive has it"
        )
    return choose(settings, _core().available_devices, advice)


def open_engine(
    files: ModelFiles, settings: InferenceSettings, *, shape: tuple[int, int] | None = None
) -> Engine:
    """Read and compile a model for inputs of ``shape`` (height, width); None keeps the model's own.

    Resizing is the caller's; type and layout conversions are compiled into the graph.
    Raises ModelError where the file is broken, DeviceError where it cannot run on the device.
    """
    device, _reason = choose_device(settings)
    require_precision(files.spec.name, files.spec.precision, device)
    try:
        model = _core().read_model(str(files.path))
    except RuntimeError as error:
        raise ModelError(
            f"{files.path} is not a model OpenVINO can read: {last_line(error)}"
        ) from None
    channels_last = files.spec.family == "movenet-multipose"
    height, width = shape or _own_shape(model, channels_last)
    try:
        model.reshape([1, height, width, 3] if channels_last else [1, 3, height, width])
        model = _with_preprocessing(model, files.spec.preprocessing, channels_last)
        compiled = _core().compile_model(model, device, _config(device, settings))
    except RuntimeError as error:
        raise DeviceError(
            f"{files.spec.name} {files.spec.precision} cannot run on {device} with input "
            f"{height}x{width}: {last_line(error)}"
        ) from None
    if device == MYRIAD:
        return BlockingEngine(_caller(compiled), files, device, (height, width))
    return OpenVinoEngine(compiled, files, device, (height, width))


def _config(device: str, settings: InferenceSettings) -> dict[str, Any]:
    if device == MYRIAD:
        return {}
    config: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT"}
    if device == "CPU":
        # Several networks share the cores; pinned, two of them may wait for the same one.
        if ov.RELEASE > _WITH_STICK:
            config["ENABLE_CPU_PINNING"] = False
        else:
            config["AFFINITY"] = "NONE"
        if settings.threads:
            config["INFERENCE_NUM_THREADS"] = settings.threads
    return config


def _caller(compiled: Any) -> Callable[[Tensor], Outputs]:
    """Return what runs the network and blocks.

    An AsyncInferQueue does not tell that a request has failed, and a stick does get pulled out.
    """
    request = compiled.create_infer_request()
    names = _names(compiled)

    def run(tensor: Tensor) -> Outputs:
        request.infer({0: tensor})
        return {
            name: np.array(request.get_output_tensor(index).data, np.float32)
            for index, name in enumerate(names)
        }

    return run


def _own_shape(model: Any, channels_last: bool) -> tuple[int, int]:
    shape = model.inputs[0].partial_shape
    height, width = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
    return int(height.get_length()), int(width.get_length())


def _with_preprocessing(model: Any, wanted: Preprocessing, channels_last: bool) -> Any:
    for result in model.get_results():
        # What is no float32 (the argmax of PP-TinyPose) is not read, so it need not be computed.
        if len(model.outputs) > 1 and result.get_output_element_type(0) != ov.Type.f32:
            model.remove_result(result)
    steps = ov.PrePostProcessor(model)
    source = steps.input().tensor()
    source.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    source.set_color_format(ov.ColorFormat.BGR)
    change = steps.input().preprocess()
    if wanted.colours == "RGB":
        change.convert_color(ov.ColorFormat.RGB)
    if wanted.normalises:
        change.convert_element_type(ov.Type.f32)
        change.mean(list(wanted.mean)).scale(list(wanted.std))
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
        self._names = _names(compiled)
        requests = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._queue = ov.AsyncInferQueue(compiled, requests)
        self._queue.set_callback(self._done)
        # start_async blocks while no request is free; waiting here keeps the event loop running.
        self._free = asyncio.Semaphore(requests)

    async def infer(self, tensor: Tensor) -> dict[str, Maps]:
        require_tensor(tensor, self.input_shape)
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


def _names(compiled: Any) -> list[str]:
    return [
        str(output.get_any_name()) if output.get_names() else str(index)
        for index, output in enumerate(compiled.outputs)
    ]
