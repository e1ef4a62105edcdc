"""A network before and after: file size, time on one thread, and how far its outputs moved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

Array = npt.NDArray[np.float32]
_ONE_THREAD: dict[str, Any] = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
}
_WARM_UP = 10


def interleaved_ms(
    models: Sequence[Any], tensor: Array, rounds: int, floats: str | None = None
) -> list[float]:
    """Return each model's median time, ms; they run in turns, so that both feel the machine.

    Args:
        models: networks of one input.
        tensor: the input.
        rounds: how often each runs.
        floats: what is computed in where it is not in integers, such as "f32"; None: the CPU's
            best, which is bfloat16 on some.
    """
    config = _ONE_THREAD | ({} if floats is None else {"INFERENCE_PRECISION_HINT": floats})
    requests = [ov.compile_model(model, "CPU", config).create_infer_request() for model in models]
    times: list[list[float]] = [[] for _ in models]
    for number in range(rounds + _WARM_UP):
        for request, seen in zip(requests, times, strict=True):
            started = time.perf_counter()
            request.infer({0: tensor})
            if number >= _WARM_UP:
                seen.append((time.perf_counter() - started) * 1000)
    return [statistics.median(seen) for seen in times]


def likeness(before: Any, after: Any, tensors: Sequence[Array]) -> dict[str, float]:
    """Return for each output the correlation of its values before and after, over all tensors.

    1: the same but for scale. Integer outputs (indices) are left out.
    """
    compiled = [ov.compile_model(model, "CPU") for model in (before, after)]
    values: dict[str, tuple[list[Array], list[Array]]] = {}
    for tensor in tensors:
        for side, network in enumerate(compiled):
            for number, (output, maps) in enumerate(network({0: tensor}).items()):
                if not output.get_element_type().is_integral():
                    name = f"output {number} {list(output.shape)}"
                    values.setdefault(name, ([], []))[side].append(np.array(maps).ravel())
    return {
        name: float(np.corrcoef(np.concatenate(old), np.concatenate(new))[0, 1])
        for name, (old, new) in values.items()
    }


def megabytes(path: Path) -> float:
    """Return the size of an IR, or of a model in one file."""
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(file.stat().st_size for file in files) / 1e6
