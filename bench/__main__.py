"""``make bench``: all measurements that the data on this machine allows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DATA = Path(os.environ.get("POSEWIRE_TEST_DATA", "../shared/data"))
MODELS = Path(os.environ.get("POSEWIRE_MODELS_DIR", DATA / "models"))
VIDEOS = DATA / "videos"
VIDEO = VIDEOS / "one-by-one-person-detection.mp4"
COCO = DATA / "coco"

BENCHES: dict[str, tuple[tuple[Path, ...], list[str]]] = {
    "pose_ap": (
        (COCO, MODELS),
        ["--coco", str(COCO / "keypoints_dev.json"), "--images", str(COCO / "images")],
    ),
    "tracking": ((DATA / "mot15",), [str(DATA / "mot15")]),
    "events": (
        (VIDEO, MODELS),
        ["--video", str(VIDEO), "--truth", str(VIDEO.with_suffix(".events.csv"))],
    ),
    "events (TUD-Campus)": (
        (VIDEOS / "TUD-Campus.mp4", MODELS),
        [
            "--video",
            str(VIDEOS / "TUD-Campus.mp4"),
            "--tolerance",
            "1.0",
            "--truth",
            str(VIDEOS / "TUD-Campus.events.csv"),
        ],
    ),
    "events (generated)": (
        (VIDEOS / "generated", MODELS),
        [
            "--video",
            str(VIDEOS / "generated" / "people.mp4"),
            "--tolerance",
            "0.3",
            "--truth",
            str(VIDEOS / "generated" / "people.truth.json"),
        ],
    ),
    "history": ((), []),
    "cameras": ((VIDEO, MODELS), ["--video", str(VIDEO), "--models", str(MODELS)]),
    "throughput": ((VIDEO, MODELS), ["--video", str(VIDEO), "--models", str(MODELS)]),
}
"""For each run of a bench (its module is the first word), the data it needs, its arguments."""


def main() -> int:
    """Run the benches one after the other; return the first exit code that is not 0."""
    worst = 0
    for name, (needs, arguments) in BENCHES.items():
        missing = [path for path in needs if not path.exists()]
        if missing:
            sys.stdout.write(f"{name}: skipped, no {missing[0]} here (POSEWIRE_TEST_DATA)\n")
            continue
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name.split()[0]}", *arguments],
            env=os.environ | {"POSEWIRE_MODELS_DIR": str(MODELS)},
            check=False,
        )
        worst = worst or done.returncode
    return worst


if __name__ == "__main__":
    sys.exit(main())
