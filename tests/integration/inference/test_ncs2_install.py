"""deploy/pi/ncs2/install.sh, with an archive laid out as Intel's, made of the wheel of 2022.3.

Intel's own archive is for arm64 and cannot be fetched here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.integration.inference.conftest import ROOT, environment

SCRIPT = ROOT / "deploy" / "pi" / "ncs2" / "install.sh"
DROP_IN = Path("etc/systemd/system/posewire-inference@MYRIAD.service.d/20-ncs2.conf")
RULES = Path("etc/udev/rules.d/97-posewire-ncs2.rules")


def install(*options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *(str(option) for option in options)],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python = environment("ov2022")
    folder = tmp_path_factory.mktemp("archive")
    inside = folder / "l_openvino_toolkit"
    package = inside / "python" / "python3.10" / "openvino"
    libraries = inside / "runtime" / "lib" / "aarch64"
    (wheel,) = (python.parents[1] / "lib").glob("python3.10/site-packages/openvino")
    shutil.copytree(wheel, package, ignore=shutil.ignore_patterns("__pycache__", "libs"))
    shutil.copytree(wheel / "libs", libraries)
    path = folder / "openvino.tgz"
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        file.add(inside, inside.name)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_it_installs_again_and_again_and_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    python = os.path.realpath(environment("ov2022"))
    options = ["--archive", archive, "--sha256", digest(archive), "--python", python]
    for _ in range(2):
        done = install(*options, "--root", root)
        assert done.returncode == 0, done.stderr
        assert "posewire: OpenVINO finds: CPU\n" in done.stdout
    posewire = root / "opt/posewire/ncs2/posewire"
    told = subprocess.run(
        [posewire, "doctor"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "OpenVINO    2022.3.2" in told.stdout
    assert "ExecStart=/opt/posewire/ncs2/posewire run inference" in (root / DROP_IN).read_text()
    assert (root / RULES).is_file()
    assert install("--root", root, "--uninstall").returncode == 0
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_an_archive_with_another_checksum_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "openvino.tgz"
    archive.write_bytes(b"something else")
    done = install("--archive", archive, "--sha256", "0" * 64, "--root", tmp_path / "root")
    assert done.returncode == 1
    assert f"expected sha256 {'0' * 64}, got {digest(archive)}" in done.stderr
    assert not (tmp_path / "root").exists()


def test_an_archive_without_python_3_10_is_named(tmp_path: Path) -> None:
    for version in ("python3.7", "python3.9"):
        (tmp_path / "l_openvino" / "python" / version / "openvino").mkdir(parents=True)
    archive = tmp_path / "openvino.tgz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "l_openvino", "l_openvino")
    done = install("--archive", archive, "--sha256", digest(archive), "--root", tmp_path / "root")
    assert done.returncode == 1
    assert (
        "has OpenVINO for python3.7 python3.9, and Posewire needs it for python3.10" in done.stderr
    )
    assert [path for path in (tmp_path / "root").rglob("*") if path.is_file()] == []


def test_another_python_is_refused(archive: Path, tmp_path: Path) -> None:
    options = ["--archive", archive, "--sha256", digest(archive), "--python", "/no/python"]
    done = install(*options, "--root", tmp_path / "root")
    assert done.returncode == 1
    assert "/no/python is no Python 3.10" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_the_unit_with_its_drop_in_is_in_order(tmp_path: Path) -> None:
    units = ROOT / "deploy" / "pi" / "systemd"
    if not (units / "posewire-inference@.service").is_file():
        pytest.skip("no deploy/pi/systemd/posewire-inference@.service yet")
    shutil.copytree(units, tmp_path, dirs_exist_ok=True)
    shutil.copytree(SCRIPT.parent / "systemd", tmp_path, dirs_exist_ok=True)
    # The commands are not installed here: any that exists will do for the rest.
    for file in tmp_path.rglob("*"):
        if file.is_file():
            text = file.read_text().replace("/opt/posewire/ncs2/posewire", "/bin/true")
            text = text.replace("/opt/posewire/venv/bin/posewire", "/bin/true")
            file.write_text(text.replace("/opt/posewire/libexec/backoff", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "posewire-inference@MYRIAD.service"],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "posewire" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr
