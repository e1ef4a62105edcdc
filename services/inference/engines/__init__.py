"""Engines: run a network on a device."""

from services.inference.engines.base import Engine
from services.inference.engines.openvino import choose_device, open_engine

__all__ = ["Engine", "choose_device", "open_engine"]
