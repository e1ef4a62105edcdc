"""Which models a configuration means, and why."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from posewire.inference.registry import families
from posewire.inference.registry.catalogue import PAIRS
from posewire.inference.registry.download import Progress, pull
from posewire.inference.registry.spec import ModelSpec, Pair
from posewire.inference.registry.store import ModelFiles, find, find_spec, known
from posewire.inference.registry.topdown import PICODET
from posewire.inference.registry.zoo import DETECTOR, POSE
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings, Precision

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """The models to run. ``detector`` is None where the pose model finds people by itself.

    ``reason`` says why these were taken, for the log, the doctor and the demo.
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
    have = _Having(settings, progress, allow_download)
    detector = None
    if settings.detector not in ("auto", "none"):
        detector = have.spec(settings.detector)
        if detector.family not in families.DETECTORS:
            raise ModelError(f"{detector.name} is no detector; detector is one such as {DETECTOR}")
    if settings.model == "auto":
        return await _auto(settings, have)
    reason = f"model = {settings.model!r}"
    if (pair := find_pair(settings.model)) is not None and pair.detector is not None:
        pose, beside = have.spec(pair.pose_for(settings.preset)), have.spec(pair.detector)
    else:
        pose, beside = have.spec(settings.model), None
    if pose.family in families.DETECTORS:
        raise ModelError(
            f"{pose.name} finds people but no poses; model is the pose model, such as {POSE}"
        )
    if settings.detector == "none":
        if pose.family in families.TOP_DOWN:
            raise ModelError(
                f"{pose.name} looks at one person at a time, so it needs a detector: leave "
                f"detector at 'auto', or name one such as {PICODET}"
            )
        return Selection(None, await have(pose), reason)
    files = await have(pose)
    return Selection(await _beside(pose, detector or beside, have), files, reason)


def find_pair(name: str) -> Pair | None:
    """Return the pair that is chosen by ``name``, None where it is another name."""
    return next((pair for pair in PAIRS if pair.name == name), None)


async def _beside(pose: ModelSpec, detector: ModelSpec | None, have: _Having) -> ModelFiles | None:
    """Return the detector for a pose model that was named; ``detector`` is the one to take."""
    if detector is not None:
        return await have(detector)
    if pose.family in families.TOP_DOWN:
        return await have(have.spec(PICODET))
    if pose.family != "movenet-multipose":
        return await have(have.spec(DETECTOR))
    try:
        # MoveNet finds people by itself, if fewer: not worth a download.
        return await have(have.spec(DETECTOR), allow_download=False)
    except _NotHere:
        return None


async def _auto(settings: InferenceSettings, have: _Having) -> Selection:
    """Return the first pair that can be had."""
    missing: list[str] = []
    for pair in _suitable(settings, have):
        name = settings.detector if settings.detector != "auto" else pair.detector
        detector = None
        if settings.detector not in ("auto", "none"):
            # Asked for by name: nothing takes its place.
            detector = await have(have.spec(settings.detector))
        try:
            if detector is None and name not in (None, "none"):
                detector = await have(have.spec(str(name)))
            pose = await have(have.spec(pair.pose_for(settings.preset)))
        except _NotHere as error:
            missing.append(f"{pair.title} {have.lacking} ({error})")
            continue
        if not missing:
            return Selection(detector, pose, f"{pair.title}, {_why(pair, settings)}")
        reason = f"{pair.title}, because {', and '.join(missing)}"
        _log.info("models.fallback", reason=reason)
        return Selection(detector, pose, reason)
    raise ModelError(
        f"no pose model can be had: {'; '.join(missing)}. Connect this machine once, or put the "
        "files into a folder and set POSEWIRE_MODELS_DIR."
    )


def _why(pair: Pair, settings: InferenceSettings) -> str:
    if pair is PAIRS[0]:
        return "the first choice of model = 'auto'"
    if settings.device == "MYRIAD":
        return "which is what the Neural Compute Stick runs"
    return "the best that this installation runs with these settings"


def _suitable(settings: InferenceSettings, have: _Having) -> Iterator[Pair]:
    """Yield the pairs that this version runs, here and on the device asked for, best first."""
    opencv = importlib.util.find_spec("openvino") is None
    for pair in PAIRS:
        parts = {
            have.spec(name).family
            for name in (pair.detector, pair.pose_for(settings.preset))
            if name is not None
        }
        if not parts <= families.IMPLEMENTED or (opencv and not parts <= families.ON_OPENCV):
            continue
        # The stick holds one input shape of a network, and was last supported years before these.
        if parts & families.TOP_DOWN and (
            settings.device == "MYRIAD" or settings.detector == "none"
        ):
            continue
        yield pair


class _NotHere(ModelError):
    """The model is neither on this machine nor to be downloaded."""


class _Having:
    """Gets models, by downloading them where that is allowed."""

    def __init__(
        self, settings: InferenceSettings, progress: Progress | None, allow_download: bool
    ) -> None:
        self._settings, self._progress = settings, progress
        self._allow_download = allow_download
        self._known = known(settings)

    @property
    def lacking(self) -> str:
        """What to say of models that it did not get."""
        return "cannot be had" if self._allow_download else "is not here yet"

    def spec(self, name: str) -> ModelSpec:
        """Return what is known of a model. Raises ModelError for an unknown name."""
        return find_spec(name, _precision(self._settings), self._known)

    async def __call__(self, spec: ModelSpec, *, allow_download: bool = True) -> ModelFiles:
        """Return the model's files. Raises ModelError, _NotHere."""
        if spec.family not in families.IMPLEMENTED:
            raise ModelError(
                f"{spec.name} is of the family {spec.family}, which this version of Posewire "
                "cannot read"
            )
        # A damaged file is an error of its own, not a reason to take another model.
        if (found := await asyncio.to_thread(find, spec, self._settings)) is not None:
            return found
        if not (allow_download and self._allow_download):
            raise _NotHere(f"{spec.name} {spec.precision} is not on this machine")
        try:
            return await pull(spec, self._settings, self._progress)
        except ModelError as error:
            raise _NotHere(str(error)) from None


def _precision(settings: InferenceSettings) -> Precision:
    # The stick computes in half floats only; INT8 files do not load on it.
    if settings.device == "MYRIAD" and settings.precision == "FP16-INT8":
        return "FP16"
    return settings.precision
