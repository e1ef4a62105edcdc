"""``make bench``: all measurements that the data on this machine allows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DATA = Path(os.environ.get("POSEWIRE_TEST_DATA", "../shared/data"))


def main() -> int:
    """Run the benches one after the other; return the first exit code that is not 0."""
    video = DATA / "videos" / "one-by-one-person-detection.mp4"
    models = Path(os.environ.get("POSEWIRE_MODELS_DIR", DATA / "models"))
    for needed in (video, models):
        if not needed.exists():
            sys.stdout.write(f"throughput: skipped, {needed} is not there (POSEWIRE_TEST_DATA)\n")
            return 0
    sys.stdout.write(f"throughput on {video.name}\n")
    sys.stdout.flush()
    command = [sys.executable, "-m", "bench.throughput", "--video", str(video)]
    return subprocess.run([*command, "--models", str(models)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
