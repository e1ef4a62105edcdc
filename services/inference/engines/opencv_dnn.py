"""The engine on OpenCV-DNN with the Inference Engine: CPU, and the Neural Compute Stick 2.

For x86-64, where the package opencv-python-inference-engine carries the last release with the
stick's plugin as a wheel (2021.4): an environment of its own, made by ``make ncs2-env``. The CPU
is there for testing and for ``fallback``; OpenVINO is the faster engine for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posewire.inference.engines.base import Engine, Tensor
from posewire.inference.engines.blocking import BlockingEngine, Outputs, last_line
from posewire.inference.engines.choice import MYRIAD, choose, require_precision
from posewire.inference.registry import ON_OPENCV, OPENVINO_ZOO, ModelFiles
from posewire.shared.errors import DeviceError, ModelError
from posewire.shared.settings import InferenceSettings

_NEWEST_IR = 10
_TARGETS = {"CPU": cv2.dnn.DNN_TARGET_CPU, MYRIAD: cv2.dnn.DNN_TARGET_MYRIAD}
_ADVICE = (
    "plug the stick in, let this user open it (the udev rule in docs/deploy-ncs2.md), and end "
    "any other process that holds it"
)


def _targets() -> set[int]:
    """Return the targets that the Inference Engine has here; none where OpenCV is without it."""
    return set(cv2.dnn.getAvailableTargets(cv2.dnn.DNN_BACKEND_INFERENCE_ENGINE))


def devices() -> dict[str, str]:
    """Return the devices that are here with their full names. Raises DeviceError without any."""
    targets = _targets()
    if not targets:
        raise DeviceError(
            f"OpenCV {cv2.__version__} here is without the Inference Engine, and OpenVINO is not "
            "installed: pip install 'posewire[inference]', or, for a Neural Compute Stick 2, "
            "make ncs2-env (docs/deploy-ncs2.md)"
        )
    full = f"by OpenCV-DNN {cv2.__version__} with the Inference Engine"
    return {name: full for name, target in _TARGETS.items() if target in targets}


def choose_device(settings: InferenceSettings) -> tuple[str, str]:
    """As ``engines.choose_device``."""
    return choose(settings, devices(), _ADVICE)


def open_engine(
    files: ModelFiles, settings: InferenceSettings, *, shape: tuple[int, int] | None = None
) -> Engine:
    """As ``engines.open_engine``: reads the IR, loads it onto the device, and runs it once."""
    device, _reason = choose_device(settings)
    own_shape = _require_readable(files)
    require_precision(files.spec.name, files.spec.precision, device)
    height, width = shape or own_shape
    try:
        network = _Network(files.path, device)
    except cv2.error as error:
        raise ModelError(
            f"{files.path} is not a model the Inference Engine can read: {last_line(error)}"
        ) from None
    try:
        # Nothing reaches the device before the first run.
        network.run(np.zeros((1, height, width, 3), np.uint8))
    except cv2.error as error:
        raise DeviceError(
            f"{files.spec.name} {files.spec.precision} cannot run on {device} with input "
            f"{height}x{width}: {last_line(error)}" + (f". {_ADVICE}" if device == MYRIAD else "")
        ) from None
    return BlockingEngine(network.run, files, device, (height, width))


class _Network:
    """A network of OpenCV's. It may be used by one thread at a time."""

    def __init__(self, path: Path, device: str) -> None:
        self._net: Any = cv2.dnn.readNet(str(path), str(path.with_suffix(".bin")))
        self._net.setPreferableBackend(cv2.dnn.DNN_BACKEND_INFERENCE_ENGINE)
        self._net.setPreferableTarget(_TARGETS[device])
        self._names = [str(name) for name in self._net.getUnconnectedOutLayersNames()]

    def run(self, tensor: Tensor) -> Outputs:
        """Run on ``tensor``, uint8, shape (1, height, width, 3), BGR. Blocks."""
        self._net.setInput(cv2.dnn.blobFromImage(tensor[0]))
        found = self._net.forward(self._names)
        # OpenCV gives out its own memory, and writes the next answer there.
        return {
            name: np.array(maps, np.float32) for name, maps in zip(self._names, found, strict=True)
        }


def _require_readable(files: ModelFiles) -> tuple[int, int]:
    """Return the model's own input height and width. Raises ModelError for what cannot be read."""
    name, path = files.spec.name, files.path
    if files.spec.family not in ON_OPENCV or path.suffix != ".xml":
        raise ModelError(
            f"{name} is not for the Inference Engine in OpenCV: it takes OpenVINO IR files of the "
            f"families {' and '.join(sorted(ON_OPENCV, reverse=True))}, such as the Open Model Zoo "
            "pair in FP16 "
            f"('posewire models pull {OPENVINO_ZOO.name} --precision FP16')"
        )
    text = path.read_text(errors="replace")
    version = re.search(r"<net\b[^>]*\bversion=\"(\d+)\"", text)
    if version is not None and int(version[1]) > _NEWEST_IR:
        raise ModelError(
            f"{path} is an IR of version {version[1]}, and the Inference Engine in OpenCV reads "
            f"up to {_NEWEST_IR}: delete it, and 'posewire models pull' fetches the files of 2021.4"
        )
    layer = re.search(r"<layer\b[^>]*\btype=\"Parameter\".*?</layer>", text, re.DOTALL)
    sides = [] if layer is None else re.findall(r"<dim>(\d+)</dim>", layer[0])
    if version is None or len(sides) != 4:
        raise ModelError(f"{path} is not an OpenVINO IR with one picture as its input")
    return int(sides[2]), int(sides[3])
