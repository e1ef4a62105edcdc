"""Other trackers on a MOTChallenge sequence, run by the interpreter of an environment of their own.

    python bench/peers.py NAME DET_FILE FRAMES FPS RESULT_FILE

``NAME``: ByteTrack, OC-SORT or C-BIoU, of Roboflow's ``trackers`` (Apache-2.0), with its defaults
and the sequence's frame rate. Prints the seconds spent in the tracker. Nothing of Posewire is
imported here: ``trackers`` asks for an OpenCV that clashes with ours.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Run one tracker on one sequence."""
    name, det, frames, fps, result = sys.argv[1:]
    import supervision
    import trackers

    kinds = {
        "ByteTrack": trackers.ByteTrackTracker,
        "OC-SORT": trackers.OCSORTTracker,
        "C-BIoU": trackers.CBIoUTracker,
    }
    tracker = kinds[name](frame_rate=float(fps))
    table = np.loadtxt(det, delimiter=",", ndmin=2)
    inputs = [_detections(supervision, table[table[:, 0] == n]) for n in range(1, int(frames) + 1)]
    started = time.perf_counter()
    outputs = [tracker.update(detections) for detections in inputs]
    seconds = time.perf_counter() - started
    with Path(result).open("w") as file:
        for number, output in enumerate(outputs, start=1):
            for (x0, y0, x1, y1), track in zip(output.xyxy, output.tracker_id, strict=True):
                if track is not None and track >= 0:
                    file.write(
                        f"{number},{int(track)},{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},"
                        "1,-1,-1,-1\n"
                    )
    sys.stdout.write(f"{seconds}\n")


def _detections(supervision: Any, rows: np.ndarray) -> Any:
    boxes = rows[:, 2:6].copy()
    boxes[:, 2:] += boxes[:, :2]
    return supervision.Detections(
        xyxy=boxes.reshape(-1, 4),
        confidence=rows[:, 6].astype(float),
        class_id=np.zeros(len(rows), int),
    )


if __name__ == "__main__":
    main()
