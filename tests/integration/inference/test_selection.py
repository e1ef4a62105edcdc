"""Which models a configuration means: pairs, ``auto``, and what a device or an engine rules out."""

from __future__ import annotations

import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import get_args

import pytest
from structlog.testing import capture_logs

from posewire.inference.pipeline import PersonPipeline
from posewire.inference.registry import (
    CATALOGUE,
    DETECTOR,
    MOVENET,
    OPENVINO_ZOO,
    PICODET,
    POSE,
    PP_TINYPOSE,
    TINYPOSE,
    ModelSpec,
    find_spec,
    resolve,
)
from posewire.inference.registry import families as known_families
from posewire.inference.registry.select import Selection
from posewire.inference.registry.spec import FileSpec
from posewire.shared.errors import ModelError
from posewire.shared.settings import Family, InferenceSettings

ZOO = (DETECTOR, POSE)
PP = (PICODET, TINYPOSE)


@pytest.fixture
def all_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choosing is tested for every family that is catalogued, whether or not it can be run yet."""
    monkeypatch.setattr(known_families, "IMPLEMENTED", frozenset(get_args(Family)))


@pytest.fixture
def only(models_dir: Path, tmp_path: Path) -> Path:
    """Folder to put models into, by ``place``."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def place(models_dir: Path, folder: Path, *names: str) -> None:
    for name in names:
        if not (models_dir / name).is_dir():
            pytest.skip(f"no {name} in {models_dir}")
        (folder / name).symlink_to(models_dir / name)


def settings(folder: Path, **values: object) -> InferenceSettings:
    return InferenceSettings.model_validate(
        {"models_dir": folder, "cache_dir": folder / "cache", **values}
    )


async def choose(folder: Path, **values: object) -> Selection:
    return await resolve(settings(folder, **values), allow_download=False)


def names(selection: Selection) -> tuple[str | None, str]:
    detector = selection.detector
    return (detector and detector.spec.name, selection.pose.spec.name)


@pytest.mark.usefixtures("all_families")
async def test_auto_takes_the_best_pair_that_is_there(models_dir: Path, only: Path) -> None:
    place(models_dir, only, *ZOO)
    selection = await choose(only)
    assert names(selection) == ZOO
    assert selection.reason == (
        "the Open Model Zoo pair, because the PP-TinyPose pair is not here yet "
        "(picodet-s-pedestrian-320 FP16 is not on this machine)"
    )
    place(models_dir, only, PICODET)
    assert names(await choose(only)) == ZOO  # half a pair is none
    place(models_dir, only, TINYPOSE)
    selection = await choose(only)
    assert names(selection) == PP
    assert selection.reason == "the PP-TinyPose pair, the first choice of model = 'auto'"


async def test_auto_takes_no_pair_that_cannot_be_run(
    models_dir: Path, only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        known_families, "IMPLEMENTED", frozenset({"ssd", "openpose-paf", "movenet-multipose"})
    )
    place(models_dir, only, *ZOO, *PP)
    assert names(await choose(only)) == ZOO
    with pytest.raises(ModelError, match=r"family heatmap-topdown, which this version .* cannot"):
        await choose(only, model=PP_TINYPOSE.name)


@pytest.mark.usefixtures("all_families")
async def test_a_pair_is_chosen_by_name(models_dir: Path, only: Path) -> None:
    place(models_dir, only, *ZOO, *PP)
    for name, pair in ((OPENVINO_ZOO.name, ZOO), (PP_TINYPOSE.name, PP)):
        selection = await choose(only, model=name)
        assert names(selection) == pair
        assert selection.reason == f"model = {name!r}"
    with pytest.raises(ModelError, match="did you mean 'openvino-zoo'"):
        await choose(only, model="openvino-zo")


@pytest.mark.usefixtures("all_families")
async def test_nothing_takes_the_place_of_a_pair_that_was_named(
    models_dir: Path, only: Path
) -> None:
    place(models_dir, only, *ZOO, TINYPOSE)
    with pytest.raises(ModelError, match=f"{PICODET} FP16 is not on this machine"):
        await choose(only, model="pp-tinypose")


@pytest.mark.usefixtures("all_families")
async def test_the_stick_has_the_zoo_pair(models_dir: Path, only: Path) -> None:
    place(models_dir, only, DETECTOR, *PP)
    with pytest.raises(ModelError, match="Open Model Zoo pair is not here yet") as failed:
        await choose(only, device="MYRIAD")
    assert f"{POSE} FP16 is not on this machine" in str(failed.value)
    assert "TinyPose" not in str(failed.value)
    for name in ("auto", OPENVINO_ZOO.name):
        with pytest.raises(ModelError, match=f"{POSE} FP16 is not on this machine"):
            await choose(only, device="MYRIAD", model=name)


@pytest.mark.usefixtures("all_families")
async def test_the_engine_on_opencv_has_the_zoo_pair(
    models_dir: Path, only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(models_dir, only, *ZOO, *PP)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    selection = await choose(only)
    assert names(selection) == ZOO
    assert selection.reason.endswith("the best that this installation runs with these settings")


@pytest.mark.usefixtures("all_families")
async def test_the_detector_can_be_another_one_or_none(models_dir: Path, only: Path) -> None:
    place(models_dir, only, *ZOO, *PP)
    assert names(await choose(only, detector=DETECTOR)) == (DETECTOR, TINYPOSE)
    assert names(await choose(only, detector="none")) == (None, POSE)
    assert names(await choose(only, model=OPENVINO_ZOO.name, detector=PICODET)) == (PICODET, POSE)
    with pytest.raises(ModelError, match=f"{TINYPOSE} looks at one person at a time"):
        await choose(only, model="pp-tinypose", detector="none")
    with pytest.raises(ModelError, match=f"{MOVENET} is no detector"):
        await choose(only, detector=MOVENET)
    with pytest.raises(ModelError, match="rtmdet-nano-person FP32 is not on this machine"):
        await choose(only, detector="rtmdet-nano-person")


@pytest.mark.usefixtures("all_families")
async def test_a_pose_model_has_the_detector_that_suits_it(models_dir: Path, only: Path) -> None:
    place(models_dir, only, *ZOO, *PP, "tinypose-128x96")
    assert names(await choose(only, model="tinypose-128x96")) == (PICODET, "tinypose-128x96")
    assert names(await choose(only, model=POSE)) == ZOO


@pytest.mark.usefixtures("all_families")
async def test_a_version_of_a_known_model_is_used_as_that_one(models_dir: Path, only: Path) -> None:
    place(models_dir, only, *PP)
    path = models_dir / TINYPOSE / f"{TINYPOSE}.xml"
    mine = {"like": TINYPOSE, "path": path, "precision": "FP16-INT8"}
    selection = await choose(only, model="mine", models={"mine": mine})
    assert names(selection) == (PICODET, "mine")
    assert selection.pose.path == path
    like = find_spec(TINYPOSE, "FP16")
    assert selection.pose.spec.family == like.family
    assert selection.pose.spec.preprocessing == like.preprocessing
    assert selection.pose.spec.trained_on == like.trained_on
    wrong = {"like": "tinypose-256x129", "path": path}
    with pytest.raises(ModelError, match=f"did you mean '{TINYPOSE}'"):
        await choose(only, models={"mine": wrong})


async def test_the_zoo_pair_by_name_opens(models_dir: Path, only: Path) -> None:
    place(models_dir, only, *ZOO)
    pipeline = await PersonPipeline.open(settings(only, model="openvino-zoo", device="CPU"))
    assert pipeline.describe().startswith(
        f"{DETECTOR} FP16-INT8 + {POSE} FP16-INT8 on CPU (balanced; model = 'openvino-zoo'"
    )
    await pipeline.close()


@pytest.mark.usefixtures("all_families")
async def test_a_download_that_is_refused_leads_to_the_next_pair_and_is_told(
    models_dir: Path, only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(models_dir, only, *ZOO)
    served = tmp_path / "served"
    served.mkdir()
    (served / "boxes.xml").write_bytes(b"boxes")
    (served / "poses.xml").write_bytes(b"<html>a page</html>")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{http.server_port}"
        digests = [hashlib.sha256(data).hexdigest() for data in (b"boxes", b"poses")]
        files = [
            FileSpec(name, (digest,), (f"{there}/{name}",))
            for name, digest in zip(("boxes.xml", "poses.xml"), digests, strict=True)
        ]
        catalogue = (
            ModelSpec(PICODET, "picodet", "FP16", (files[0],), "", 0.1),
            ModelSpec(TINYPOSE, "heatmap-topdown", "FP16", (files[1],), "", 0.1),
            *(spec for spec in CATALOGUE if spec.name in ZOO),
        )
        monkeypatch.setattr("posewire.inference.registry.store.CATALOGUE", catalogue)
        chosen = settings(only)
        with capture_logs() as logs:
            refused = await resolve(chosen)
        (served / "poses.xml").write_bytes(b"poses")
        repaired = await resolve(chosen)
        http.shutdown()
    assert names(refused) == ZOO
    (told,) = [log for log in logs if log["event"] == "models.fallback"]
    assert told["reason"] == refused.reason
    assert refused.reason.startswith(
        "the Open Model Zoo pair, because the PP-TinyPose pair cannot be had (poses.xml cannot be "
        f"downloaded: 127.0.0.1 sent another file as poses.xml: expected sha256 {digests[1]}"
    )
    assert names(repaired) == PP
