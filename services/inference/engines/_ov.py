"""OpenVINO's names, from where its releases have them.

2022.3, the last with the Neural Compute Stick's plugin, has them in ``openvino.runtime``; 2023.1
and later in ``openvino``.
"""

from __future__ import annotations

from openvino.preprocess import ColorFormat, PrePostProcessor

try:
    from openvino import AsyncInferQueue, Core, Layout, Type, get_version
except ImportError:
    from openvino.runtime import AsyncInferQueue, Core, Layout, Type, get_version

__all__ = [
    "RELEASE",
    "AsyncInferQueue",
    "ColorFormat",
    "Core",
    "Layout",
    "PrePostProcessor",
    "Type",
]

RELEASE = tuple(int(part) for part in get_version().split("-")[0].split(".")[:2])
"""Year and number, as (2022, 3)."""
