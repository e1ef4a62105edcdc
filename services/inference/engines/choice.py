"""Which device to run on, whatever engine offers it."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from posewire.shared.errors import DeviceError, ModelError
from posewire.shared.settings import InferenceSettings

MYRIAD = "MYRIAD"
"""The Neural Compute Stick 2. It takes FP16 alone, and inputs of one size."""
_log = structlog.get_logger(__name__)


def choose(settings: InferenceSettings, available: Iterable[str], advice: str) -> tuple[str, str]:
    """Return the device of those ``available`` that ``settings`` mean, and why.

    Raises DeviceError, with ``advice``, where it is not there and ``fallback`` is off.
    """
    names = list(available)
    wanted = settings.device
    if wanted == "AUTO":
        # OpenVINO's own AUTO starts on the CPU and moves on, which changes results in mid-run.
        device = next((name for name in names if name.startswith("GPU")), "CPU")
        return device, f"device = AUTO: {device} of {', '.join(names)}"
    if any(name == wanted or name.startswith(wanted + ".") for name in names):
        return wanted, f"device = {wanted}"
    missing = f"device {wanted} is not on this machine (there is {', '.join(names)})"
    if wanted == MYRIAD:
        missing += f"; {advice}"
    if settings.fallback:
        _log.warning("inference.fallback", reason=missing, device="CPU")
        return "CPU", f"{missing}; continuing on the CPU"
    raise DeviceError(f"{missing}. Use --device CPU, or set inference.fallback = true")


def require_precision(model: str, precision: str, device: str) -> None:
    """Raise ModelError where ``device`` does not compute in ``precision``."""
    if device == MYRIAD and precision != "FP16":
        raise ModelError(
            f"{model} is {precision}, and MYRIAD takes FP16 alone: set inference.precision = "
            "'FP16', or leave it unset"
        )
