"""The posewire command with a stick that is not there: the networks run on the CPU instead.

    python -m tests.integration.inference.fake_stick FILE run inference --device MYRIAD ...

FILE stands for the USB port. While it holds "in" the stick works; "out": calls fail, in the words
of the real plugin; "silent": calls never return, as when the link hangs. Without FILE, there is no
stick. Replaced is what talks to the device and nothing else: OpenCV's network, or OpenVINO's core.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

from posewire.inference.engines import blocking
from posewire.launcher.cli import app

UNPLUGGED = "Failed to queue inference: NC_ERROR"


class Port:
    """The USB port."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def there(self) -> bool:
        return self._file.exists()

    def reach(self, error: type[Exception]) -> None:
        """Return if the stick is there; as the plugin does, if not."""
        state = self._file.read_text() if self.there() else "out"
        while state == "silent":
            time.sleep(3600)
        if state != "in":
            sys.stderr.write("E: [watchdog] sendPingMessage: Failed send ping: X_LINK_ERROR\n")
            raise error(UNPLUGGED)


def fake_opencv(port: Port) -> None:
    """Give OpenCV's Inference Engine a stick."""
    import cv2

    from posewire.inference.engines import opencv_dnn

    class Network(opencv_dnn._Network):
        def __init__(self, path: Path, device: str) -> None:
            self._stick = device == "MYRIAD"
            super().__init__(path, "CPU")

        def run(self, tensor: Any) -> Any:
            if self._stick:
                port.reach(cv2.error)
            return super().run(tensor)

    without = opencv_dnn._targets()
    stick = {cv2.dnn.DNN_TARGET_MYRIAD}
    opencv_dnn._targets = lambda: without | stick if port.there() else without
    opencv_dnn._Network = Network  # type: ignore[misc]


def fake_openvino(port: Port) -> None:
    """Give OpenVINO a stick."""
    from posewire.inference.engines import openvino

    real = openvino._core()

    class Request:
        def __init__(self, request: Any) -> None:
            self._request = request

        def infer(self, inputs: Any) -> Any:
            port.reach(RuntimeError)
            return self._request.infer(inputs)

        def get_output_tensor(self, index: int) -> Any:
            return self._request.get_output_tensor(index)

    class Compiled:
        def __init__(self, compiled: Any) -> None:
            self._compiled, self.outputs = compiled, compiled.outputs

        def create_infer_request(self) -> Request:
            return Request(self._compiled.create_infer_request())

    class Core:
        @property
        def available_devices(self) -> list[str]:
            return [*real.available_devices, *(["MYRIAD.1.2-ma2480"] if port.there() else [])]

        def read_model(self, path: str) -> Any:
            return real.read_model(path)

        def compile_model(self, model: Any, device: str, config: dict[str, Any]) -> Any:
            if device != "MYRIAD":
                return real.compile_model(model, device, config)
            assert config == {}, "options that its plugin may not know"
            return Compiled(real.compile_model(model, "CPU"))

    openvino._core = Core


def main() -> None:
    port = Port(Path(sys.argv.pop(1)))
    blocking.STICK_ANSWERS_S = 3.0
    if importlib.util.find_spec("openvino") is None:
        fake_opencv(port)
    else:
        fake_openvino(port)
    app()


if __name__ == "__main__":
    main()
