"""How much work a frame is worth: the presets, and the settings below them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from posewire.inference.regions import FULL_AREA, Shape
from posewire.shared.settings import InferenceSettings, Preset


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
    only_shape: Shape | None = None
    """Height and width of every look, where the device holds the network in one shape alone."""


PRESETS: dict[Preset, Effort] = {
    "fast": Effort((0.35,), 1.0, 4.0, 0.4, mirror=False),
    "balanced": Effort((0.7,), 2.5, 2.0, 0.2, mirror=False),
    "accurate": Effort((0.25, 0.7, 2.0), 8.0, 1.0, 0.0, mirror=True),
}


@dataclass(frozen=True, slots=True)
class TopDownEffort:
    """What is run on a frame where a detector finds people and each of them is looked at."""

    box_share: float
    """Boxes from this share of the detector's threshold on are looked at. Lower finds more people
    who are far away or half hidden, and costs a look for each box that is nobody."""
    most_people: int
    """People who are looked at on one frame; the others are boxes."""
    detect_every_s: float
    """Time between runs of the detector, while everybody followed is found again."""
    mirror: bool
    """Whether detector and pose network are averaged with the mirror image: twice the work."""


TOP_DOWN: dict[Preset, TopDownEffort] = {
    "fast": TopDownEffort(0.75, 16, 0.4, mirror=False),
    "balanced": TopDownEffort(0.5, 32, 0.2, mirror=False),
    "accurate": TopDownEffort(0.4, 64, 0.0, mirror=True),
}


def top_down_effort(settings: InferenceSettings) -> TopDownEffort:
    """Return the preset's effort with what the settings change of it."""
    changed = {
        name: value
        for name in ("detect_every_s", "mirror", "most_people")
        if (value := getattr(settings, name)) is not None
    }
    return replace(TOP_DOWN[settings.preset], **changed)


def effort(settings: InferenceSettings) -> Effort:
    """Return the preset's effort with what the settings change of it."""
    preset = PRESETS[settings.preset]

    def chosen(name: str) -> object:
        value = getattr(settings, name)
        return getattr(preset, name) if value is None else value

    names = [name for name in Effort.__slots__ if name != "only_shape"]
    return Effort(**{name: chosen(name) for name in names})  # type: ignore[arg-type]


def in_one_shape(effort: Effort, shape: Shape) -> Effort:
    """Return ``effort`` for a network that takes inputs of ``shape`` alone.

    All sweeps would then be the same look, so one is left; ``region_cost`` says how many people
    or groups are looked at besides.
    """
    area = shape[0] * shape[1] / FULL_AREA
    cost = max(effort.region_cost, area)
    return replace(effort, sweeps=(area,), region_cost=cost, only_shape=shape)
