"""An engine runs one network with one static input shape on one device."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from posewire.shared.messages import ModelRun

Tensor = npt.NDArray[np.uint8]
Maps = npt.NDArray[np.float32]


class Engine(Protocol):
    """A network, compiled. The same input gives the same output whatever else runs."""

    model: str
    precision: str
    device: str
    input_shape: tuple[int, int]
    """Height and width."""

    async def infer(self, tensor: Tensor) -> dict[str, Maps]:
        """Run the network on ``tensor``, uint8, shape (1, height, width, 3), BGR.

        Returns the outputs by name as arrays of the caller's own. May be called concurrently;
        waits for a free request. Raises DeviceError where the device fails.
        """

    def close(self) -> None:
        """Release the network; call it when nothing is running."""


def require_tensor(tensor: Tensor, shape: tuple[int, int]) -> None:
    """Raise ValueError where ``tensor`` is not what an engine of ``shape`` takes."""
    height, width = shape
    if tensor.shape != (1, height, width, 3) or tensor.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 (1, {height}, {width}, 3), got {tensor.dtype} {tensor.shape}"
        )


def model_run(engine: Engine, seconds: float, runs: int, pixels: int) -> ModelRun:
    """Return what is told of ``runs`` of an engine, together ``pixels`` of input, on one frame."""
    return ModelRun(
        model=engine.model,
        precision=engine.precision,
        device=engine.device,
        ms=round(seconds * 1000, 2),
        runs=runs,
        pixels=pixels,
    )
