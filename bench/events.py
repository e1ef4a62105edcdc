"""Precision, recall and F1 of entered and exited events, through the real pipeline.

    python -m bench.events --video V --truth FILE [--tolerance 0.8] [--json]

``CSV`` has a row for each person: ``video,person,enter_frame,exit_frame,notes``; an empty frame
means that the person was in view when the video began, or when it ended. Or it is the JSON file of
a clip made by tools/people_clip. Events are matched one to
one with the true ones of their kind, nearest first, within the tolerance (seconds).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_KINDS = ("entered", "exited")


@dataclass(frozen=True, slots=True)
class Moment:
    """An event, true or reported."""

    kind: str
    t: float
    frame: int
    who: str


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--tolerance", type=float, default=0.8, help="seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for path in (options.video, options.truth):
        if not path.is_file():
            parser.error(f"no such file: {path}")
    summary = analyse(options.video)
    fps, frames = frame_rate(options.video), int(summary["frames"])
    truth = read_truth(options.truth, fps, frames)
    found = [
        Moment(event["kind"], float(event["t"]), int(event["frame"]), f"visit {event['visit']}")
        for event in summary["events"]
        if event["kind"] in _KINDS
    ]
    result = compare(truth, found, options.tolerance)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"precision {result['precision']:.2f}  recall {result['recall']:.2f}  F1 {result['f1']:.2f}"
        f"  within {options.tolerance} s, {len(truth)} true events"
    )
    for line in result["wrong"]:
        print(" ", line)


def analyse(video: Path) -> dict[str, Any]:
    """Run ``posewire analyze`` and return its summary."""
    done = subprocess.run(
        [sys.executable, "-m", "posewire", "analyze", str(video), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr.strip())
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def frame_rate(video: Path) -> float:
    """Return the video's nominal frames per second."""
    import av

    with av.open(str(video)) as container:
        rate = container.streams.video[0].average_rate
    return float(rate) if rate else 25.0


def read_truth(path: Path, fps: float, frames: int) -> list[Moment]:
    """Return the true events of a video of ``frames`` frames."""
    if path.suffix == ".json":
        visits = json.loads(path.read_text())["visits"]
        return [
            Moment(kind, visit[key] / fps, visit[key], f"visit {visit['visit']}")
            for visit in visits
            for kind, key in (("entered", "enter"), ("exited", "exit"))
        ]
    moments = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for kind, cell, default in (
                ("entered", row["enter_frame"], 0),
                ("exited", row["exit_frame"], frames - 1),
            ):
                frame = int(cell) if cell else default
                moments.append(Moment(kind, frame / fps, frame, row["person"]))
    return moments


def compare(truth: list[Moment], found: list[Moment], tolerance_s: float) -> dict[str, Any]:
    """Return precision, recall, F1, and what was wrong."""
    candidates = sorted(
        (abs(one.t - other.t), i, j)
        for i, one in enumerate(truth)
        for j, other in enumerate(found)
        if one.kind == other.kind and abs(one.t - other.t) <= tolerance_s + 1e-9
    )
    pairs: dict[int, int] = {}
    for _apart, i, j in candidates:
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    wrong = [
        f"missed   {one.kind} of {one.who} at {one.t:.2f} s (frame {one.frame})"
        for i, one in enumerate(truth)
        if i not in pairs
    ] + [
        f"invented {other.kind} of {other.who} at {other.t:.2f} s (frame {other.frame})"
        for j, other in enumerate(found)
        if j not in pairs.values()
    ]
    precision = len(pairs) / len(found) if found else float(not truth)
    recall = len(pairs) / len(truth) if truth else 1.0
    f1 = 2 * precision * recall / (precision + recall) if pairs else 0.0
    return {
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "f1": round(f1, 3),
        "true": len(truth),
        "reported": len(found),
        "wrong": wrong,
    }


if __name__ == "__main__":
    main()
