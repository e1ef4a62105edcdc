"""deploy/pi without a system to install on: the units as systemd reads them, and the scripts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PI = Path(__file__).resolve().parents[3] / "deploy" / "pi"
SERVICES = ("bus", "tracker", "api", "capture@all", "inference@CPU")


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env=os.environ | environment,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} (apt-get install {package})")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with programs that exist in place of the installed ones."""
    need("systemd-analyze", "systemd")
    folder = tmp_path / "units"
    shutil.copytree(PI / "systemd", folder)
    programs = tmp_path / "opt"
    for name in ("libexec/backoff", "libexec/bus-server", "venv/bin/posewire"):
        (programs / name).parent.mkdir(parents=True, exist_ok=True)
        (programs / name).touch(0o755)
    for file in filter(Path.is_file, folder.rglob("*")):
        file.write_text(file.read_text().replace("/opt/posewire", str(programs)))
    for instance in ("capture@all", "inference@CPU"):
        template = folder / f"posewire-{instance.split('@')[0]}@.service"
        shutil.copy(template, folder / f"posewire-{instance}.service")
    return folder


def verify(units: Path) -> str:
    """Return what systemd-analyze complains about; it exits with 0 for unknown keys."""
    files = sorted(file for file in units.iterdir() if file.is_file())
    done = run("systemd-analyze", "verify", *files)
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


def exposure(units: Path, service: str) -> float:
    file = units / f"posewire-{service}.service"
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", file)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


def test_systemd_has_nothing_to_say_about_the_units(units: Path) -> None:
    assert verify(units) == ""
    tracker = units / "posewire-tracker.service"
    tracker.write_text(tracker.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in verify(units)


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_shut_in(units: Path, service: str) -> None:
    assert exposure(units, service) <= 3.0
    # The measure measures: what all have in common is most of it.
    shutil.rmtree(units / "posewire-.service.d")
    assert exposure(units, service) > 3.0


def test_pauses_grow_while_a_service_fails(tmp_path: Path) -> None:
    sleep = tmp_path / "bin" / "sleep"
    sleep.parent.mkdir()
    sleep.write_text("#!/bin/sh\necho slept $1\n")
    sleep.chmod(0o755)
    environment = {
        "RUNTIME_DIRECTORY": str(tmp_path),
        "PATH": f"{sleep.parent}:{os.environ['PATH']}",
    }

    def backoff(what: str, result: str = "exit-code") -> str:
        done = run(PI / "libexec" / "backoff", what, SERVICE_RESULT=result, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert backoff("pause") == ""
    pauses = []
    for _ in range(9):
        backoff("count")
        pauses.append(int(backoff("pause").split()[-1]))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    # Long after the last failure, a new one is the first again.
    hour_ago = (tmp_path / "failures").stat().st_mtime - 3600
    os.utime(tmp_path / "failures", (hour_ago, hour_ago))
    backoff("count", "watchdog")
    assert backoff("pause").split()[-1] == "1"
    backoff("count", "success")
    assert backoff("pause") == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--camera", "door"], "unknown option --camera"),
        (["--cameras"], "--cameras needs a value"),
        (["--cameras", "Front Door"], "Front is no name of a camera"),
        (["--devices", "TPU"], "TPU is none of CPU, GPU, NPU, MYRIAD"),
    ],
)
def test_the_installer_refuses_before_it_begins(arguments: list[str], said: str) -> None:
    done = run("bash", PI / "install.sh", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "apt-get" not in done.stdout
