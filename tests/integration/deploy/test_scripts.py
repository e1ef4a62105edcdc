"""Shell scripts, and the files that Compose's first service makes."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = [
    ROOT / ".ci" / "run",
    *(ROOT / "deploy").rglob("*.sh"),
    *(ROOT / "deploy/pi/libexec").iterdir(),
]


def test_shellcheck_finds_nothing() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck (apt-get install shellcheck)")
    done = subprocess.run(
        ["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_setup_makes_passwords_once_and_leaves_what_is_there(tmp_path: Path) -> None:
    setup = Path(shutil.copy(ROOT / "deploy" / "setup.sh", tmp_path))
    own = tmp_path / "secrets" / "grafana" / "admin_password"
    own.parent.mkdir(parents=True)
    own.write_text("chosen")
    subprocess.run([str(setup)], check=True)

    database = tmp_path / "secrets" / "database" / "password"
    made = database.read_text()
    assert made.isalnum()
    assert len(made) >= 20
    assert own.read_text() == "chosen"
    # The containers' users read the file where it is mounted; others on this machine do not.
    assert stat.S_IMODE(database.stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700

    (tmp_path / "config" / "posewire.toml").write_text("# mine")
    subprocess.run([str(setup)], check=True)
    assert database.read_text() == made
    assert (tmp_path / "config" / "posewire.toml").read_text() == "# mine"
