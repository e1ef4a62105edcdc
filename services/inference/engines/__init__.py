"""Engines: run a network on a device.

    openvino.py     OpenVINO, the current one and 2022.3: CPU, GPU, NPU; MYRIAD with 2022.3 on arm64
    opencv_dnn.py   OpenCV-DNN with the Inference Engine: CPU, MYRIAD on x86-64

An environment has one of the two: their packages shut each other out, so what is installed decides.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Protocol, cast

from posewire.inference.engines.base import Engine, model_run
from posewire.inference.registry import ModelFiles
from posewire.shared.errors import DeviceError
from posewire.shared.settings import InferenceSettings

__all__ = ["Engine", "choose_device", "devices", "model_run", "open_engine"]


class _Engines(Protocol):
    """What the modules of engines offer."""

    def devices(self) -> dict[str, str]: ...

    def choose_device(self, settings: InferenceSettings) -> tuple[str, str]: ...

    def open_engine(
        self, files: ModelFiles, settings: InferenceSettings, *, shape: tuple[int, int] | None
    ) -> Engine: ...


@cache
def _installed() -> _Engines:
    for package, module in (("openvino", "openvino"), ("cv2", "opencv_dnn")):
        if importlib.util.find_spec(package) is not None:
            return cast(_Engines, importlib.import_module(f"{__name__}.{module}"))
    raise DeviceError(
        "nothing is installed that runs networks: pip install 'posewire[inference]', or, for a "
        "Neural Compute Stick 2, make ncs2-env (docs/deploy-ncs2.md)"
    )


def devices() -> dict[str, str]:
    """Return this machine's devices with their full names. Raises DeviceError without an engine."""
    return _installed().devices()


def choose_device(settings: InferenceSettings) -> tuple[str, str]:
    """Return the device to run on and why.

    Raises DeviceError where the device is not there and ``fallback`` is off.
    """
    return _installed().choose_device(settings)


def open_engine(
    files: ModelFiles, settings: InferenceSettings, *, shape: tuple[int, int] | None = None
) -> Engine:
    """Read and compile a model for inputs of ``shape`` (height, width); None keeps the model's own.

    Raises ModelError where the file is broken or not for this device, DeviceError where it cannot
    run on the device.
    """
    return _installed().open_engine(files, settings, shape=shape)
