"""Finding model files on this machine and checking them."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from posewire.inference.registry.catalogue import CATALOGUE, FileSpec, ModelSpec
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings, ModelSettings, Precision

_DIGESTS = {64: hashlib.sha256, 96: hashlib.sha384}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model whose files are here and have been checked. ``path`` is the one to open."""

    spec: ModelSpec
    path: Path


def known(settings: InferenceSettings) -> tuple[ModelSpec, ...]:
    """Return all models: the settings' own first, then the catalogue's."""
    return (*(_own(name, model) for name, model in settings.models.items()), *CATALOGUE)


def _own(name: str, model: ModelSettings) -> ModelSpec:
    source = str(model.path or model.url)
    digests = ((model.sha256,) if model.sha256 else (), (model.weights_sha256 or "",))
    url, path = model.url, model.path.expanduser() if model.path is not None else None
    files = [FileSpec(source.rsplit("/", 1)[-1], digests[0], (url,) if url else ())]
    if source.endswith(".xml"):
        weights = FileSpec(
            files[0].name.removesuffix(".xml") + ".bin",
            digests[1] if model.weights_sha256 else (),
            (url.removesuffix(".xml") + ".bin",) if url else (),
        )
        files.append(weights)
    return ModelSpec(
        name, model.family, model.precision, tuple(files), "your own", 0.0,
        person_label=model.person_label, folder=None if path is None else path.parent,
    )  # fmt: skip


def find_spec(name: str, precision: Precision, specs: Sequence[ModelSpec] = CATALOGUE) -> ModelSpec:
    """Return the model ``name`` in ``precision``; a model of only one precision comes in that.

    Raises ModelError for an unknown name or a precision the model does not have.
    """
    found = [spec for spec in specs if spec.name == name]
    if not found:
        names = sorted({spec.name for spec in specs})
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        raise ModelError(f"unknown model {name!r}; {hint}")
    if len(found) == 1:
        return found[0]
    for spec in found:
        if spec.precision == precision:
            return spec
    have = ", ".join(spec.precision for spec in found)
    raise ModelError(f"model {name} does not come in {precision}; it comes in {have}")


def cache_folder(settings: InferenceSettings) -> Path:
    """Return the folder for downloaded models."""
    if settings.cache_dir is not None:
        return settings.cache_dir
    return Path(platformdirs.user_cache_dir("posewire", appauthor=False)) / "models"


def candidates(spec: ModelSpec, settings: InferenceSettings) -> list[Path]:
    """Return the folders in which the model may be, in the order they are looked in."""
    if spec.folder is not None:
        return [spec.folder]
    inside = Path(spec.name) / spec.precision
    folders = []
    if settings.models_dir is not None:
        base = settings.models_dir.expanduser()
        folders += [base / inside, base / spec.name, base]
    folders.append(cache_folder(settings) / inside)
    return folders


def find(spec: ModelSpec, settings: InferenceSettings) -> ModelFiles | None:
    """Return the checked files of ``spec``, None where they are not on this machine.

    Raises ModelError where files are there but are not what they should be.
    """
    for folder in candidates(spec, settings):
        if all((folder / file.name).is_file() for file in spec.files):
            for file in spec.files:
                check(folder / file.name, file)
            return ModelFiles(spec, folder / spec.files[0].name)
    return None


def check(path: Path, file: FileSpec) -> None:
    """Compare a file with its known digests. Raises ModelError with expected and actual."""
    if not file.digests:
        return
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model file {path} cannot be read: {error}") from None
    actual = {digest(data).hexdigest() for digest in _DIGESTS.values()}
    if actual.isdisjoint(file.digests):
        got = next(d for d in actual if len(d) == len(file.digests[0]))
        raise ModelError(
            f"model file {path} is damaged or of an unknown release: expected "
            f"{'sha256' if len(got) == 64 else 'sha384'} {file.digests[0]}, got {got}. "
            "Delete it and run 'posewire models pull'."
        )
