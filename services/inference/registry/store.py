"""Finding model files on this machine and checking them."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from posewire.inference.registry.archives import unpack
from posewire.inference.registry.catalogue import CATALOGUE, PAIRS
from posewire.inference.registry.spec import FileSpec, ModelSpec, Preprocessing, ZipSpec
from posewire.inference.registry.topdown import PREPROCESSING
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
    url, path = model.url, model.path.expanduser() if model.path is not None else None
    files = [
        FileSpec(
            source.rsplit("/", 1)[-1],
            (model.sha256,) if model.sha256 else (),
            (url,) if url else (),
        )
    ]
    if model.weights_suffix is not None:
        weights = FileSpec(
            str(Path(files[0].name).with_suffix(model.weights_suffix)),
            (model.weights_sha256,) if model.weights_sha256 else (),
            (url[: url.rindex(".")] + model.weights_suffix,) if url else (),
        )
        files.append(weights)
    spec = ModelSpec(
        name, model.family or "ssd", model.precision, tuple(files), "your own", 0.0,
        person_label=model.person_label, folder=None if path is None else path.parent,
    )  # fmt: skip
    if model.like is None:
        return replace(spec, preprocessing=PREPROCESSING.get(spec.family, Preprocessing()))
    like = find_spec(model.like, model.precision, any_precision=True)
    return replace(
        spec, family=like.family, person_label=like.person_label, licence=like.licence,
        publisher=like.publisher, trained_on=like.trained_on, preprocessing=like.preprocessing,
        threshold=like.threshold, nms_iou=like.nms_iou,
    )  # fmt: skip


def find_spec(
    name: str,
    precision: Precision,
    specs: Sequence[ModelSpec] = CATALOGUE,
    *,
    any_precision: bool = False,
) -> ModelSpec:
    """Return the model ``name`` in ``precision``; a model of only one precision comes in that.

    ``any_precision``: where it does not come in ``precision``, the first that it comes in.

    Raises ModelError for an unknown name or a precision the model does not have.
    """
    found = [spec for spec in specs if spec.name == name]
    if not found:
        names = sorted({spec.name for spec in specs} | {pair.name for pair in PAIRS})
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
        raise ModelError(f"unknown model {name!r}; {hint}")
    for spec in found:
        if spec.precision == precision:
            return spec
    if len(found) == 1 or any_precision:
        return found[0]
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
            _check_together(spec, folder)
            return ModelFiles(spec, folder / spec.files[0].name)
        for form in spec.others:
            if isinstance(form, ZipSpec) and (folder / form.file.name).is_file():
                check(folder / form.file.name, form.file)
                return unpacked(spec, form, folder / form.file.name, settings)
    return None


def unpacked(
    spec: ModelSpec, form: ZipSpec, archive: Path, settings: InferenceSettings
) -> ModelFiles:
    """Return the files of a checked zip, which are in the cache. Raises ModelError."""
    folder = cache_folder(settings) / spec.name / spec.precision / archive.stem
    return ModelFiles(spec, unpack(archive, form.members, folder))


def _check_together(spec: ModelSpec, folder: Path) -> None:
    """Compare all files with the releases that are known; they must be of the same one."""
    releases = [spec.files, *(form for form in spec.others if not isinstance(form, ZipSpec))]
    fitting = set(range(len(releases)))
    for versions in zip(*releases, strict=True):
        path = folder / versions[0].name
        fits = {number for number, file in enumerate(versions) if _mismatch(path, file) is None}
        if not fits:
            # Expected is the file of the release that those before it are of.
            check(path, versions[min(fitting)])
        if not (fitting := fitting & fits):
            break
    if not fitting:
        names = " and ".join(file.name for file in spec.files)
        raise ModelError(
            f"{names} in {folder} are of different releases and do not go together. "
            "Delete them and run 'posewire models pull'."
        )


def check(path: Path, file: FileSpec) -> None:
    """Compare a file with its known digests. Raises ModelError with expected and actual."""
    if (difference := _mismatch(path, file)) is not None:
        raise ModelError(
            f"model file {path} is damaged or of an unknown release: {difference}. "
            "Delete it and run 'posewire models pull'."
        )


def check_fetched(path: Path, file: FileSpec, source: str) -> None:
    """Compare a file that came from ``source``. Raises ModelError with expected and actual."""
    if (difference := _mismatch(path, file)) is not None:
        raise ModelError(f"{source} sent another file as {file.name}: {difference}")


def _mismatch(path: Path, file: FileSpec) -> str | None:
    """Return how a file differs from its known digests, None where it does not."""
    if not file.digests:
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model file {path} cannot be read: {error}") from None
    actual = {digest(data).hexdigest() for digest in _DIGESTS.values()}
    if not actual.isdisjoint(file.digests):
        return None
    expected = file.digests[0]
    got = next(digest for digest in actual if len(digest) == len(expected))
    return f"expected {'sha256' if len(got) == 64 else 'sha384'} {expected}, got {got}"
