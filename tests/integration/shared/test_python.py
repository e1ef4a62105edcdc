"""Children import nothing from the folder they are started in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from posewire.shared.python import module_command
from tests.traps import set_traps


@pytest.mark.parametrize("safe_path", [True, False])
def test_a_module_runs_without_the_current_folder(tmp_path: Path, safe_path: bool) -> None:
    traps = set_traps(tmp_path)
    command = module_command("posewire", "--version", safe_path=safe_path)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("posewire ")
    assert traps.sprung() == []


def test_traps_do_spring(tmp_path: Path) -> None:
    import sys

    traps = set_traps(tmp_path)
    command = [sys.executable, "-c", "import calendar, services"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert traps.sprung() == ["calendar.py", "services/__init__.py"]
