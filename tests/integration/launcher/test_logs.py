"""Logs of children: private, bounded while the child runs, complete when it has died."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from posewire.launcher.logs import ChildLog


def write(log: ChildLog, code: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as child:  # fmt: skip
        assert child.stdout is not None
        log.follow(child.stdout)
        child.wait()
        log.tail(1)  # waits for what the child has written


def test_a_log_is_turned_over_while_its_child_runs(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "child.log", most_bytes=2000)
    write(log, "for i in range(1000): print('line', i)")
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["child.log", "child.log.1"]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    lines = (files[1].read_text() + files[0].read_text()).splitlines()
    assert lines == [f"line {i}" for i in range(1000 - len(lines), 1000)]


def test_start_after_start_goes_into_the_same_file(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "child.log")
    for word in ("first", "second"):
        write(log, f"import sys; sys.stderr.write('{word}\\n'); sys.stdout.buffer.write(b'\\xff')")
    assert log.tail(9) == "first\n\ufffd\nsecond\n\ufffd"
    assert log.tail(1) == "\ufffd"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_holds_up_no_child(tmp_path: Path) -> None:
    (tmp_path / "child.log").symlink_to("/dev/full")
    log = ChildLog(tmp_path / "child.log", most_bytes=0)
    write(log, "for i in range(20000): print('line', i)")  # more than a pipe holds
