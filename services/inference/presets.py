"""How much work a frame is worth: the presets, and the settings below them."""

from __future__ import annotations

from dataclasses import dataclass

from shared.settings import InferenceSettings, Preset


@dataclass(frozen=True, slots=True)
class Effort:
    """What is run on a frame. Areas are input pixels relative to 256x456."""

    sweeps: tuple[float, ...]
    """Areas of the looks at the whole picture. A small one shows people who fill the picture at
    the size that the network knows, a large one those far away."""
    region_cost: float
    """Area that the looks at parts of the picture may have together."""
    sweep_every_s: float
    """Time between sweeps of a video; stills and first frames are always swept."""
    detect_every_s: float
    """Time between runs of the detector, while everybody followed is found again."""
    mirror: bool
    """Whether each look is averaged with its mirror image: twice the work."""


PRESETS: dict[Preset, Effort] = {
    "fast": Effort((0.35,), 1.0, 4.0, 0.4, mirror=False),
    "balanced": Effort((0.7,), 2.5, 2.0, 0.2, mirror=False),
    "accurate": Effort((0.25, 0.7, 2.0), 8.0, 1.0, 0.0, mirror=True),
}


def effort(settings: InferenceSettings) -> Effort:
    """Return the preset's effort with what the settings change of it."""
    preset = PRESETS[settings.preset]

    def chosen(name: str) -> object:
        value = getattr(settings, name)
        return getattr(preset, name) if value is None else value

    return Effort(**{name: chosen(name) for name in Effort.__slots__})  # type: ignore[arg-type]
