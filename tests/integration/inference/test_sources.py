"""Where models come from: several sources in order, zips, digests that decide."""

from __future__ import annotations

import functools
import hashlib
import io
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from posewire.inference.engines import open_engine
from posewire.inference.registry import CATALOGUE, DETECTOR, ModelSpec, find, find_spec, pull
from posewire.inference.registry.spec import FileSpec, ZipSpec
from posewire.shared.errors import ModelError
from posewire.shared.settings import InferenceSettings

TINY_PADDLE = Path(__file__).parent / "tiny_paddle"
MODEL, WEIGHTS = b"a model" * 999, b"its weights" * 999
NEWER_MODEL, NEWER_WEIGHTS = b"a newer model" * 999, b"its newer weights" * 999


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.cache
def paddle_zip() -> bytes:
    """Return a zip as PaddleDetection's: a folder with the model and more."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_8x6/infer_cfg.yml", "mode: paddle\n")
        for name in ("model.pdmodel", "model.pdiparams"):
            archive.write(TINY_PADDLE / name, f"tiny_8x6/{name}")
    return file.getvalue()


@dataclass
class Places:
    """A server with a folder for each place that has the model."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, data: bytes) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def file(self, name: str, data: bytes, *places: str) -> FileSpec:
        return FileSpec(name, (sha256(data),), tuple(f"{self.url}/{p}/{name}" for p in places))


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    folder = tmp_path / "places"
    folder.mkdir()
    places = Places(folder)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            places.asked.append(self.path)
            super().do_GET()

        def log_message(self, *_message: Any) -> None: ...

    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        places.url = f"http://127.0.0.1:{http.server_port}"
        yield places
        http.shutdown()
        thread.join()


@pytest.fixture
def inference(tmp_path: Path) -> InferenceSettings:
    return InferenceSettings(cache_dir=tmp_path / "cache", device="CPU")


@pytest.fixture
def spec(places: Places) -> ModelSpec:
    """A model of two files in two places, in another release, and in a zip."""
    files = (
        places.file("model.xml", MODEL, "first", "second"),
        places.file("model.bin", WEIGHTS, "first", "second"),
    )
    newer = (
        places.file("model.xml", NEWER_MODEL, "newer"),
        places.file("model.bin", NEWER_WEIGHTS, "newer"),
    )
    archive = ZipSpec(places.file("tiny.zip", paddle_zip(), "publisher"))
    return ModelSpec(
        "tiny", "openpose-paf", "FP16", files, "Apache-2.0", 0.1, others=(newer, archive)
    )


def put_all(places: Places, *names: str) -> None:
    for name in names:
        if name == "publisher":
            places.put("publisher/tiny.zip", paddle_zip())
        elif name == "newer":
            places.put("newer/model.xml", NEWER_MODEL)
            places.put("newer/model.bin", NEWER_WEIGHTS)
        else:
            places.put(f"{name}/model.xml", MODEL)
            places.put(f"{name}/model.bin", WEIGHTS)


async def test_the_first_place_that_has_it_is_taken(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    put_all(places, "first", "second", "newer", "publisher")
    with capture_logs() as logs:
        files = await pull(spec, inference)
    assert files.path.read_bytes() == MODEL
    assert files.path.with_suffix(".bin").read_bytes() == WEIGHTS
    assert places.asked == ["/first/model.xml", "/first/model.bin"]
    assert {log["event"] for log in logs} == {"models.pulled"}
    assert await pull(spec, inference) == files
    assert len(places.asked) == 2


async def test_another_file_is_refused_and_the_next_place_asked(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    put_all(places, "second")
    places.put("first/model.xml", b"<html>this is a page</html>")
    files = await pull(spec, inference)
    assert files.path.read_bytes() == MODEL
    assert places.asked[:2] == ["/first/model.xml", "/second/model.xml"]
    assert sorted(path.name for path in files.path.parent.iterdir()) == ["model.bin", "model.xml"]


async def test_a_part_that_another_place_began_wrongly_does_no_harm(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    put_all(places, "first")
    folder = inference.cache_dir
    assert folder is not None
    part = folder / "tiny" / "FP16" / "model.xml.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"<html>half a page")
    assert (await pull(spec, inference)).path.read_bytes() == MODEL


async def test_a_release_is_taken_whole_or_not_at_all(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    put_all(places, "first", "newer")
    (places.folder / "first" / "model.bin").unlink()
    with capture_logs() as logs:
        files = await pull(spec, inference)
    assert files.path.read_bytes() == NEWER_MODEL
    assert files.path.with_suffix(".bin").read_bytes() == NEWER_WEIGHTS
    (told,) = [log for log in logs if log["event"] == "models.other_source"]
    assert told["log_level"] == "warning"
    assert "model.bin cannot be downloaded: 127.0.0.1: Client error '404" in told["reason"]


def test_files_of_two_releases_are_refused(spec: ModelSpec, inference: InferenceSettings) -> None:
    folder = inference.cache_dir
    assert folder is not None
    inside = folder / "tiny" / "FP16"
    inside.mkdir(parents=True)
    (inside / "model.xml").write_bytes(MODEL)
    (inside / "model.bin").write_bytes(NEWER_WEIGHTS)
    with pytest.raises(ModelError, match=r"model.xml and model.bin in .* are of different rel"):
        find(spec, inference)
    (inside / "model.bin").write_bytes(b"neither")
    with pytest.raises(ModelError, match=f"expected sha256 {sha256(WEIGHTS)}, got"):
        find(spec, inference)


async def test_a_zip_in_paddles_format_is_read_by_openvino(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    put_all(places, "publisher")
    files = await pull(spec, inference)
    assert files.path.name == "model.pdmodel"
    assert find(spec, inference) == files
    engine = open_engine(files, inference)
    assert engine.input_shape == (8, 6)
    pixels = np.arange(144, dtype=np.uint8).reshape(1, 3, 8, 6).transpose(0, 2, 3, 1)
    outputs = await engine.infer(np.ascontiguousarray(pixels))
    engine.close()
    (maps,) = outputs.values()
    assert maps.shape == (1, 17, 4, 3)
    # What Paddle computes; a CPU with bfloat16 rounds more.
    assert maps.sum() == pytest.approx(10962.093, rel=0.01)


async def test_what_was_unpacked_is_compared_with_the_zip(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    put_all(places, "publisher")
    files = await pull(spec, inference)
    files.path.write_bytes(b"damaged")
    found = find(spec, inference)
    assert found is not None
    assert found.path.read_bytes() == (TINY_PADDLE / "model.pdmodel").read_bytes()
    archive = files.path.parents[1] / "tiny.zip"
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(ModelError, match=r"tiny\.zip is damaged .* expected sha256"):
        find(spec, inference)


async def test_a_zip_in_the_models_folder_is_unpacked_into_the_cache(
    spec: ModelSpec, inference: InferenceSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "tiny.zip").write_bytes(paddle_zip())
    folder.chmod(0o555)
    files = find(spec, inference.model_copy(update={"models_dir": folder}))
    assert files is not None
    assert inference.cache_dir in files.path.parents
    assert [path.name for path in folder.iterdir()] == ["tiny.zip"]


@pytest.mark.parametrize(
    ("members", "message"),
    [(["other/model.pdmodel"], "holds 0 files called model.pdiparams"),
     (["a/model.pdmodel", "b/model.pdmodel"], "holds 2 files called model.pdmodel"),
     (None, "cannot be unpacked")],
)  # fmt: skip
async def test_a_zip_without_the_model_is_told(
    places: Places, inference: InferenceSettings, members: list[str] | None, message: str
) -> None:
    file = io.BytesIO(b"no zip" if members is None else b"")
    if members is not None:
        with zipfile.ZipFile(file, "w") as archive:
            for member in members:
                archive.writestr(member, b"")
    places.put("publisher/bad.zip", file.getvalue())
    archive_spec = ZipSpec(places.file("bad.zip", file.getvalue(), "publisher"))
    spec = ModelSpec(
        "bad", "openpose-paf", "FP16", (FileSpec("bad.xml", (sha256(b""),)),), "", 0.1,
        others=(archive_spec,),
    )  # fmt: skip
    with pytest.raises(ModelError, match=message):
        await pull(spec, inference)


async def test_nothing_to_be_had_tells_every_place_and_what_is_not_asked(
    places: Places, spec: ModelSpec, inference: InferenceSettings
) -> None:
    places.put("publisher/tiny.zip", b"another zip")
    elsewhere = f"{places.url}/publisher/unknown.zip"
    with pytest.raises(ModelError) as failed:
        await pull(replace(spec, elsewhere=(elsewhere,)), inference)
    said = str(failed.value)
    assert said.count("model.xml cannot be downloaded") == 2
    assert (
        f"127.0.0.1 sent another file as tiny.zip: expected sha256 {sha256(paddle_zip())}" in said
    )
    assert f"no digest is known of {elsewhere}, so it is not fetched by itself" in said
    assert "/publisher/unknown.zip" not in places.asked


def test_every_source_in_the_catalogue_has_a_digest() -> None:
    for spec in CATALOGUE:
        for form in (spec.files, *spec.others):
            for file in (form.file,) if isinstance(form, ZipSpec) else form:
                assert file.digests, file.name
                assert {len(digest) for digest in file.digests} <= {64, 96}
                assert all(url.startswith("https://") for url in file.urls)
                assert not set(file.urls) & set(spec.elsewhere)
        assert spec.wheel is not None or all(file.urls for file in spec.files)


def test_every_model_names_its_publisher_licence_and_training_data() -> None:
    for spec in CATALOGUE:
        assert spec.publisher, spec.name
        assert spec.licence == "Apache-2.0"
        assert spec.trained_on.endswith(".")


@pytest.mark.parametrize(
    "name",
    ["tinypose-256x192", "tinypose-128x96", "picodet-s-pedestrian-320",
     "picodet-s-pedestrian-192", "rtmdet-nano-person"],
)  # fmt: skip
def test_the_files_measured_here_are_those_of_the_catalogue(
    models_dir: Path, tmp_path: Path, name: str
) -> None:
    if not (models_dir / name).is_dir():
        pytest.skip(f"no {name} in {models_dir}")
    settings = InferenceSettings(models_dir=models_dir, cache_dir=tmp_path)
    found = find(find_spec(name, "FP16-INT8"), settings)
    assert found is not None
    assert found.path.parent == models_dir / name


def test_the_detectors_releases_are_not_mixed(models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir / DETECTOR / "FP16-INT8", tmp_path / DETECTOR / "FP16-INT8")
    settings = InferenceSettings(models_dir=tmp_path, cache_dir=tmp_path / "cache")
    spec = find_spec(DETECTOR, "FP16-INT8")
    assert find(spec, settings) is not None
    # Were only the other release known, these files would be of an unknown one.
    with pytest.raises(ModelError, match="unknown release"):
        find(replace(spec, others=()), settings)
