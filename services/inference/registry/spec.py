"""What is known of a model: files, digests, sources, licence, and how it wants its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from posewire.shared.settings import Family, Precision, Preset

Colours: TypeAlias = Literal["BGR", "RGB"]
Resize: TypeAlias = Literal["crop", "near-stretch", "stretch", "letterbox"]
"""How a picture gets into an input of another shape.

    crop           a part of the picture, aspect kept, centred
    near-stretch   stretched up to 1.4 times, aspect kept and centred beyond that
    stretch        the whole picture, aspect not kept
    letterbox      the whole picture at the top left, aspect kept
"""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a part of a picture becomes a network's input: ``(pixels - mean) / std``."""

    colours: Colours = "BGR"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of values 0..255, in the order of ``colours``; so is ``std``."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resize: Resize = "crop"
    interpolation: Literal["linear", "cubic"] = "linear"
    border: int = 128
    """The value, 0..255, of what the input shows outside of the picture; before ``mean``."""
    margin: float = 1.0
    """Top-down pose networks: how many times its size a person's box is grown."""

    @property
    def normalises(self) -> bool:
        """Whether mean and deviation change anything."""
        return any(self.mean) or any(value != 1 for value in self.std)


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file of a model: its name, digests that are good (hex sha256 or sha384), and URLs.

    The URLs are tried in order. A catalogued file has at least one digest.
    """

    name: str
    digests: tuple[str, ...]
    urls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WheelSpec:
    """A model that comes inside a PyPI wheel: ``member`` is a zip that holds ``inner``."""

    requirement: str
    member: str
    inner: str


@dataclass(frozen=True, slots=True)
class ZipSpec:
    """The same model as files in a zip, in whatever folder of it, for example in Paddle's format.

    The zip has the known digest, so it is kept, and what is unpacked is compared with it.
    """

    file: FileSpec
    members: tuple[str, ...] = ("model.pdmodel", "model.pdiparams")
    """Names of the files; the first one is what engines open."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model in one precision. The first file is the one that engines open."""

    name: str
    family: Family
    precision: Precision
    files: tuple[FileSpec, ...]
    licence: str
    megabytes: float
    wheel: WheelSpec | None = None
    """Where the files come from if they have no URLs."""
    person_label: int = 1
    """Detectors: the class that is a person."""
    folder: Path | None = None
    """Where the files are, for models of the user's own."""
    others: tuple[tuple[FileSpec, ...] | ZipSpec, ...] = ()
    """Other forms of the model, best first, taken where ``files`` cannot be had: another release's
    files, of the same names, or a zip."""
    elsewhere: tuple[str, ...] = ()
    """URLs of the publisher for which no digest is known: told, and never fetched."""
    publisher: str = ""
    trained_on: str = ""
    """What the publisher says about the training data and its terms."""
    preprocessing: Preprocessing = Preprocessing()
    threshold: float | None = None
    """Detectors: boxes with at least this score are people; None: the general setting."""
    nms_iou: float | None = None
    """Detectors whose outputs still overlap: of boxes with more IoU the better one is kept."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it is fetched from, in order: URLs, or a requirement on the package index."""
        wheel = () if self.wheel is None else (self.wheel.requirement,)
        forms = (self.files, *self.others)
        files = [f for form in forms for f in ((form.file,) if isinstance(form, ZipSpec) else form)]
        return (*wheel, *(url for file in files for url in file.urls))


@dataclass(frozen=True, slots=True)
class Pair:
    """A detector and a pose network that are chosen together, by one name."""

    name: str
    title: str
    """As a sentence names it."""
    detector: str | None
    """None: the pose network finds people by itself."""
    pose: str
    fast_pose: str | None = None
    """The pose network of the preset ``fast``, where it is another one."""

    def pose_for(self, preset: Preset) -> str:
        """Return the name of the pose network that ``preset`` takes."""
        return self.fast_pose if preset == "fast" and self.fast_pose is not None else self.pose
