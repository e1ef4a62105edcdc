"""Which models a configuration means, and why."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from posewire.inference.registry.catalogue import DETECTOR, MOVENET, POSE, ModelSpec
from posewire.inference.registry.download import Progress, pull
from posewire.inference.registry.store import ModelFiles, find, find_spec, known
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings, Precision

DETECTORS = ("ssd", "atss")
"""Families that find people and no poses."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """The models to run. ``detector`` is None where the pose model finds people by itself.

    ``reason`` says why these were taken, for the log and the doctor.
    """

    detector: ModelFiles | None
    pose: ModelFiles
    reason: str


async def resolve(
    settings: InferenceSettings, progress: Progress | None = None, *, allow_download: bool = True
) -> Selection:
    """Return the models that ``settings`` ask for, fetching what is missing.

    Raises ModelError: unknown name, damaged file, or it cannot be had.
    """
    if settings.model == "auto":
        return await _auto(settings, progress, allow_download)
    spec = find_spec(settings.model, settings.precision, known(settings))
    if spec.family in DETECTORS:
        raise ModelError(
            f"{spec.name} finds people but no poses; model is the pose model, such as {POSE}"
        )
    if settings.detector not in ("auto", "none"):
        wanted = find_spec(settings.detector, settings.precision, known(settings))
        if wanted.family not in DETECTORS:
            raise ModelError(f"{wanted.name} is no detector; detector is one such as {DETECTOR}")
    pose = await _have(spec.name, settings, progress, allow_download)
    detector = await _detector_for(spec, settings, progress, allow_download)
    return Selection(detector, pose, f"model = {settings.model!r}")


async def _detector_for(
    pose: ModelSpec, settings: InferenceSettings, progress: Progress | None, allow_download: bool
) -> ModelFiles | None:
    if settings.detector == "none":
        return None
    if settings.detector != "auto":
        return await _have(settings.detector, settings, progress, allow_download)
    try:
        # MoveNet finds people by itself, if fewer: not worth a download.
        alone = pose.family == "movenet-multipose"
        return await _have(DETECTOR, settings, progress, allow_download and not alone)
    except _NotHere:
        if alone:
            return None
        raise


async def _auto(
    settings: InferenceSettings, progress: Progress | None, allow_download: bool
) -> Selection:
    try:
        detector = await _have(DETECTOR, settings, progress, allow_download)
        pose = await _have(POSE, settings, progress, allow_download)
    except _NotHere as error:
        reason = f"the Open Model Zoo pair cannot be had ({error}), so MoveNet"
        _log.info("models.fallback", reason=reason)
        try:
            return Selection(None, await _have(MOVENET, settings, progress, allow_download), reason)
        except _NotHere as second:
            raise ModelError(
                f"no pose model can be had. Open Model Zoo: {error}. MoveNet: {second}. "
                "Connect this machine once, or put the files into a folder and set "
                "POSEWIRE_MODELS_DIR."
            ) from None
    return Selection(detector, pose, "the Open Model Zoo pair is there")


class _NotHere(ModelError):
    """The model is neither on this machine nor to be downloaded."""


async def _have(
    name: str, settings: InferenceSettings, progress: Progress | None, allow_download: bool
) -> ModelFiles:
    spec = find_spec(name, _precision(settings), known(settings))
    # A damaged file is an error of its own, not a reason to take another model.
    if (found := await asyncio.to_thread(find, spec, settings)) is not None:
        return found
    if not allow_download:
        raise _NotHere(f"{name} {spec.precision} is not on this machine")
    try:
        return await pull(spec, settings, progress)
    except ModelError as error:
        raise _NotHere(str(error)) from None


def _precision(settings: InferenceSettings) -> Precision:
    # The stick computes in half floats only; INT8 files do not load on it.
    if settings.device == "MYRIAD" and settings.precision == "FP16-INT8":
        return "FP16"
    return settings.precision
