"""The command as a user meets it: what it says, what it writes, how it fails."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewire.launcher.writers import EVENT_COLUMNS, ZONE_COLUMNS

ROOT = Path(__file__).resolve().parents[3]
CLIP = ROOT / "services" / "capture" / "assets" / "people.mp4"
DETECTOR, POSE = "person-detection-retail-0013", "human-pose-estimation-0001"


def posewire(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "posewire", *arguments],
        cwd=cwd,
        env=os.environ | {"COLUMNS": "120"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="session")
def models() -> dict[str, str]:
    """The zoo's models where they lie beside the project; else what 'auto' finds (MoveNet)."""
    folder = ROOT.parent / "shared" / "data" / "models"
    return {"POSEWIRE_MODELS_DIR": str(folder)} if folder.is_dir() else {}


def test_help_is_quick_and_complete(tmp_path: Path) -> None:
    done = posewire("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("demo", "up", "run", "analyze", "models", "doctor", "events", "db", "config"):
        assert command in done.stdout


def test_no_heavy_import_before_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys, posewire.launcher.cli, posewire.launcher.commands.config\n"
        "print([m for m in ('cv2', 'openvino', 'av', 'scipy', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_variables_that_are_no_settings_are_told_and_ignored(tmp_path: Path) -> None:
    done = posewire(
        "config", "check", cwd=tmp_path, POSEWIRE_PORT="127.0.0.1:8000", POSEWIRE_BUS_URL="x"
    )
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "posewire: the environment variable POSEWIRE_BUS_URL is not a setting and is ignored; "
        "did you mean POSEWIRE_BUS__URL?"
    ]


def test_config_check_and_schema(tmp_path: Path) -> None:
    good = posewire("config", "check", cwd=tmp_path)
    assert good.returncode == 0
    assert "camera main: demo (clip:people), live" in good.stdout
    (tmp_path / "posewire.toml").write_text("[tracker]\nexit_afer_s = 2\n")
    bad = posewire("config", "check", cwd=tmp_path)
    assert bad.returncode == 2
    assert "unknown key tracker.exit_afer_s; did you mean 'exit_after_s'?" in bad.stderr
    assert "Traceback" not in bad.stderr
    (tmp_path / "posewire.toml").unlink()
    schema = json.loads(posewire("config", "schema", cwd=tmp_path).stdout)
    assert "tracker" in schema["properties"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "tracker"], "bus.url is not set"),
        (["run", "cook"], "unknown service 'cook'"),
        (["analyze", "nowhere.mp4"], "nowhere.mp4"),
        (["analyze", "notes.mp4"], "notes.mp4"),
        (["analyze", "empty.mp4"], "empty.mp4"),
        (["analyze", "7"], "/dev/video7"),
        (["analyze", "empty-folder"], "empty-folder"),
        (["analyze", "rtsp://user:secret@127.0.0.1:9/x"], "rtsp://***@127.0.0.1:9/x"),
        (["events", "export", "--data-dir", "data"], "no database"),
        (["events", "export", "--format", "xml"], "unknown format 'xml'"),
        (["demo", "--config", "missing.toml"], "missing.toml does not exist"),
        (["up", "--device", "TPU"], "inference.device"),
        (["run", "capture", "--camera", "dor"], "no camera is called 'dor'; there are: main"),
        (["run", "api", "--camera", "main"], "the api shows them all"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "notes.mp4").write_text("these are my notes\n" * 100)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "empty-folder").mkdir()
    done = posewire(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr + done.stdout


def test_a_missing_device_is_an_error_or_replaced(tmp_path: Path, models: dict[str, str]) -> None:
    refused = posewire("analyze", str(CLIP), "--device", "MYRIAD", cwd=tmp_path, **models)
    assert refused.returncode == 2
    assert "device MYRIAD is not on this machine" in refused.stderr
    replaced = posewire(
        "analyze", str(CLIP), "--device", "MYRIAD", "--frames", "5", "--json",
        cwd=tmp_path, **models, POSEWIRE_INFERENCE__FALLBACK="true",
    )  # fmt: skip
    assert replaced.returncode == 0, replaced.stderr
    assert "continuing on the CPU" in json.loads(replaced.stdout)["models"]


def test_analyze_writes_all_its_files(tmp_path: Path, models: dict[str, str]) -> None:
    done = posewire(
        "analyze", str(CLIP), "--frames", "60", "--events", "e.csv", "--poses", "p.jsonl",
        "--mot", "t.txt", "--video", "out.mp4", "--json", cwd=tmp_path, **models,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["frames"] == 60
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == EVENT_COLUMNS
    assert [row["kind"] for row in rows].count("entered") == 3
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(60))
    person = lines[50]["persons"][0]
    assert len(person["keypoints"]) == 18
    assert 1 < person["box"][2] <= 768
    assert isinstance(person["track"], int)
    first = (tmp_path / "t.txt").read_text().splitlines()[0].split(",")
    assert int(first[0]) >= 13  # frames count from 1; the clip begins with nobody in view
    assert len(first) == 10
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FPS)) == (768, 10)


def test_analyze_knows_zones_and_lines(tmp_path: Path, models: dict[str, str]) -> None:
    (tmp_path / "posewire.toml").write_text(
        """
        [sources.clip]
        url = "clip:people"
        [cameras.door]
        source = "clip"
        [cameras.door.zones.hall]
        points = [[0, 0.3], [1, 0.3], [1, 1], [0, 1]]
        dwell_s = [1]
        [cameras.door.lines.middle]
        points = [[0.5, 0], [0.5, 1]]
        directions = ["leftwards", "rightwards"]
        """
    )
    done = posewire(
        "analyze", "clip", "--frames", "70", "--events", "e.csv", "--video", "out.mp4",
        cwd=tmp_path, **models,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == EVENT_COLUMNS + ZONE_COLUMNS
    kinds = [row["kind"] for row in rows]
    assert kinds.count("zone_entered") == kinds.count("zone_exited") == kinds.count("entered") == 3
    assert {row["seconds"] for row in rows if row["kind"] == "dwelled"} == {"1.000"}
    ways = {row["direction"] for row in rows if row["kind"] == "line_crossed"}
    assert ways <= {"leftwards", "rightwards"}
    assert ways
    wrong = posewire("analyze", "clip", "--camera", "dor", cwd=tmp_path, **models)
    assert wrong.returncode == 2
    assert "no camera is called 'dor'; there are: door" in wrong.stderr


def test_a_folder_of_pictures_has_people_but_no_tracks(
    tmp_path: Path, models: dict[str, str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    reader = cv2.VideoCapture(str(CLIP))
    for _index in range(51):
        _found, image = reader.read()
    cv2.imwrite(str(folder / "b.jpg"), image)
    cv2.imwrite(str(folder / "a.png"), np.zeros((40, 50, 3), np.uint8))
    done = posewire(
        "analyze", str(folder), "--poses", "p.jsonl", "--events", "e.csv", cwd=tmp_path, **models
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [line["file"] for line in lines] == ["a.png", "b.jpg"]
    assert len(lines[1]["persons"]) == 3
    assert {person["track"] for person in lines[1]["persons"]} == {None}
    assert (tmp_path / "e.csv").read_text().splitlines() == [",".join(EVENT_COLUMNS)]


def test_a_truncated_file_is_analysed_as_far_as_it_goes(
    tmp_path: Path, models: dict[str, str]
) -> None:
    # A transport stream can be read from its beginning, however it ends.
    import av

    whole = tmp_path / "whole.ts"
    with av.open(str(CLIP)) as source, av.open(str(whole), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = whole.read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(data[: len(data) // 3])
    done = posewire("analyze", str(cut), "--json", cwd=tmp_path, **models)
    assert done.returncode == 0, done.stderr
    assert 20 < json.loads(done.stdout)["frames"] < 200


def test_models_verify_finds_damage(tmp_path: Path, models_dir: Path) -> None:
    import shutil

    copy = tmp_path / "models"
    shutil.copytree(models_dir, copy)
    environment = {"POSEWIRE_MODELS_DIR": str(copy)}
    good = posewire("models", "verify", cwd=tmp_path, **environment)
    assert good.returncode == 0, good.stdout
    name = "person-detection-retail-0013"
    victim = copy / name / "FP16-INT8" / f"{name}.bin"
    victim.chmod(0o644)
    victim.write_bytes(b"damaged")
    bad = posewire("models", "verify", cwd=tmp_path, **environment)
    assert bad.returncode == 1
    assert "damaged" in bad.stdout
    environment["POSEWIRE_INFERENCE__MODEL"] = "openvino-zoo"
    broken = posewire("analyze", str(CLIP), cwd=tmp_path, **environment)
    assert broken.returncode == 2
    assert "damaged" in broken.stderr
    assert "Traceback" not in broken.stderr


def test_models_list_tells_licence_and_training_data_in_80_columns(
    tmp_path: Path, models_dir: Path
) -> None:
    environment = {"POSEWIRE_MODELS_DIR": str(models_dir), "COLUMNS": "80"}
    done = posewire("models", "list", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    *lines, places = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert str(models_dir) in places
    assert "  openvino-zoo: person-detection-retail-0013 + human-pose-estimation-0001" in (
        line.rstrip() for line in lines
    )
    told = " ".join(done.stdout.split())
    assert "Apache-2.0, by Baidu, PaddleDetection (the IR files lie in guojin-yan's" in told
    assert "PaddleDetection names COCO and AI Challenger" in told
    (zoo,) = [line for line in lines if line.split()[:3] == [DETECTOR, "people", "FP16-INT8"]]
    assert zoo.split()[-1] == "yes"
    rows = json.loads(posewire("models", "list", "--json", cwd=tmp_path, **environment).stdout)
    assert {row["licence"] for row in rows} == {"Apache-2.0"}
    assert all(row["trained_on"] and row["publisher"] and row["sources"] for row in rows)
    (here,) = [row for row in rows if (row["name"], row["precision"]) == (DETECTOR, "FP16-INT8")]
    assert Path(here["path"]).is_file()


def test_models_pull_takes_a_pair(tmp_path: Path, models_dir: Path) -> None:
    environment = {"POSEWIRE_MODELS_DIR": str(models_dir), "COLUMNS": "300"}
    done = posewire("models", "pull", "openvino-zoo", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines() if ".xml" in line] == [
        f"{DETECTOR} FP16-INT8", f"{POSE} FP16-INT8"
    ]  # fmt: skip


def test_doctor_says_what_is_there(tmp_path: Path, models: dict[str, str]) -> None:
    done = posewire("doctor", "--json", cwd=tmp_path, **models)
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["Python"]["ok"]
    assert checks["device CPU"]["ok"]
    assert checks["Redis"]["ok"]
    assert checks["Postgres"]["ok"]
    assert report["ok"] is (done.returncode == 0) is True
    down = posewire(
        "doctor", cwd=tmp_path, **models, POSEWIRE_BUS__URL="redis://x:secret@127.0.0.1:1"
    )
    assert down.returncode == 1
    assert "does not answer" in down.stdout
    assert "secret" not in down.stdout
