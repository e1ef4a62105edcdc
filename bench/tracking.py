"""The tracker alone on MOTChallenge sequences with their public detections.

    python -m bench.tracking DIR [--out DIR] [--repeats 3] [--peers PYTHON] [--json]

``DIR/<sequence>/{det/det.txt,gt/gt.txt,seqinfo.ini}``. Prints IDF1, MOTA and ID switches
(motmetrics), HOTA (Luiten et al., IJCV 2021) and frames/s, for each sequence and overall. HOTA is
TrackEval's, which asks for an OpenCV that clashes with ours (``make bench`` gets it without that);
without it HOTA is left out. ``--peers``: a Python with Roboflow's ``trackers`` (``make peers-env``
makes one in .venv-peers, which is found by itself); ByteTrack, OC-SORT and C-BIoU then run on the
same detections, in turn with Posewire's tracker. A person is a visit; those of tracks that become
one later are told from their first sight on: the result is written at the end. Same settings for
every sequence: the defaults.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posewire.shared.messages import FrameHeader, Person, PoseResult
from posewire.shared.settings import TrackerSettings
from posewire.tracker.tracking import CameraTracker

Array = npt.NDArray[np.float64]

_MATCH_IOU = 0.5
_PEERS = Path(__file__).resolve().parents[1] / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class MotSequence:
    """A sequence; ``detections`` and ``truth`` are frame -> rows [id, left, top, w, h, score]."""

    name: str
    fps: float
    width: int
    height: int
    frames: int
    detections: dict[int, Array]
    truth: dict[int, Array]


@dataclass(frozen=True, slots=True)
class Run:
    """What a tracker made of a sequence: frame -> rows [id, left, top, w, h], and its seconds."""

    sequence: MotSequence
    result: dict[int, Array]
    seconds: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="write result files in MOTChallenge's format")
    parser.add_argument("--repeats", type=int, default=3, help="runs; the median speed counts")
    parser.add_argument("--peers", type=Path, default=_PEERS, help="a Python with 'trackers'")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    paths = sorted(path.parent for path in options.folder.glob("*/seqinfo.ini"))
    if not paths:
        parser.error(f"no MOTChallenge sequences in {options.folder}")
    names = ["Posewire", *(_peers(options.peers))]
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for path in paths:
        sequence = read(path)
        for name, (result, seconds) in _in_turn(names, path, sequence, options).items():
            if options.out:
                write(options.out / name / f"{sequence.name}.txt", result)
            runs[name].append(Run(sequence, result, seconds))
    tables = {name: evaluate(of_name) for name, of_name in runs.items()}
    if options.json:
        print(json.dumps(tables, indent=2))
        return
    columns = ("IDF1", "MOTA", "HOTA", "switches", "fps")
    for name, rows in tables.items():
        print(f"{name:20}" + "".join(f"{column:>10}" for column in columns))
        for sequence_name, row in rows.items():
            print(f"  {sequence_name:18}" + "".join(f"{row[c]!s:>10}" for c in columns))


def _peers(python: Path) -> list[str]:
    """Return the names of the trackers that ``python`` can run."""
    found = (
        python.is_file()
        and not subprocess.run(
            [str(python), "-c", "import trackers"], capture_output=True, check=False
        ).returncode
    )
    if not found:
        print(f"no 'trackers' in {python}: Posewire alone (make peers-env)", file=sys.stderr)
    return ["ByteTrack", "OC-SORT", "C-BIoU"] if found else []


def _in_turn(
    names: Sequence[str], path: Path, sequence: MotSequence, options: argparse.Namespace
) -> dict[str, tuple[dict[int, Array], float]]:
    """Return each tracker's result and median seconds; the repeats go around among them."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    results = {}
    for _ in range(max(options.repeats, 1)):
        for name in names:
            if name == "Posewire":
                results[name], took = track(sequence)
            else:
                results[name], took = _track_with(options.peers, name, path, sequence)
            seconds[name].append(took)
    return {name: (results[name], statistics.median(seconds[name])) for name in names}


def _track_with(
    python: Path, name: str, path: Path, sequence: MotSequence
) -> tuple[dict[int, Array], float]:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.txt"
        arguments = [str(path / "det" / "det.txt"), str(sequence.frames), str(sequence.fps)]
        script = Path(__file__).with_name("peers.py")
        done = subprocess.run(
            [str(python), str(script), name, *arguments, str(result)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{name} failed: {done.stderr.strip()[-500:]}")
        if not result.stat().st_size:
            return {}, float(done.stdout)
        table = np.loadtxt(result, delimiter=",", ndmin=2)
    rows = {int(n): table[table[:, 0] == n, 1:6] for n in np.unique(table[:, 0])}
    return rows, float(done.stdout)


def read(folder: Path) -> MotSequence:
    """Read a sequence."""
    info = configparser.ConfigParser()
    info.read(folder / "seqinfo.ini")
    about = info["Sequence"]
    return MotSequence(
        folder.name,
        float(about["frameRate"]),
        int(about["imWidth"]),
        int(about["imHeight"]),
        int(about["seqLength"]),
        _rows(folder / "det" / "det.txt"),
        _rows(folder / "gt" / "gt.txt", only_counted=True),
    )


def _rows(path: Path, *, only_counted: bool = False) -> dict[int, Array]:
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    if only_counted:
        table = table[table[:, 6] != 0]
    return {int(frame): table[table[:, 0] == frame, 1:7] for frame in np.unique(table[:, 0])}


def track(sequence: MotSequence) -> tuple[dict[int, Array], float]:
    """Return the result, frame -> rows [id, left, top, w, h], and the tracker's own seconds."""
    tracker = CameraTracker(TrackerSettings(), "bench")
    results = [_result(sequence, frame) for frame in range(1, sequence.frames + 1)]
    started = time.perf_counter()
    updates = [tracker.update(result) for result in results]
    seconds = time.perf_counter() - started
    visit_of = {p.track: p.visit for u in updates for p in u.persons if p.visit is not None}
    for update in updates:
        visit_of.update({new: visit_of[old] for new, old in update.continued.items()})
    scale = np.array([sequence.width, sequence.height] * 2, np.float64)
    found = {}
    for number, update in enumerate(updates, start=1):
        people = [p for p in update.persons if p.track in visit_of]
        boxes = np.array([p.box for p in people], np.float64).reshape(-1, 4) * scale
        boxes[:, 2:] -= boxes[:, :2]
        ids = np.array([visit_of[p.track] for p in people], np.float64)[:, None]
        found[number] = np.concatenate([ids, boxes], axis=1)
    return found, seconds


def _result(sequence: MotSequence, number: int) -> PoseResult:
    t = (number - 1) / sequence.fps
    header = FrameHeader(
        camera="bench", session=sequence.name, seq=number - 1, t=t, captured_at=t,
        width=sequence.width, height=sequence.height, source="", policy="lossless",
    )  # fmt: skip
    persons = []
    for _id, left, top, width, height, score in sequence.detections.get(number, np.zeros((0, 6))):
        box = (
            left / sequence.width, top / sequence.height,
            (left + width) / sequence.width, (top + height) / sequence.height,
        )  # fmt: skip
        persons.append(Person(box=box, score=float(np.clip(score, 0, 1))))
    return PoseResult(frame=header, frame_id="", persons=tuple(persons))


def write(path: Path, result: dict[int, Array]) -> None:
    """Write a result file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for frame, rows in result.items():
            for number, left, top, width, height in rows:
                file.write(
                    f"{frame},{number:.0f},{left:.2f},{top:.2f},{width:.2f},{height:.2f},1,-1,-1,-1\n"
                )


def evaluate(scores: Sequence[Run]) -> dict[str, dict[str, float | None]]:
    """Return the measures of each sequence and overall."""
    import motmetrics

    accumulators = {}
    for sequence, result in ((run.sequence, run.result) for run in scores):
        accumulator = motmetrics.MOTAccumulator(auto_id=False)
        for frame in range(1, sequence.frames + 1):
            truth, found = _boxes(sequence.truth, frame), _boxes(result, frame)
            overlap = _iou(truth[:, 1:5], found[:, 1:5])
            distance = np.where(overlap >= _MATCH_IOU, 1 - overlap, np.nan)
            accumulator.update(truth[:, 0].astype(int), found[:, 0].astype(int), distance, frame)
        accumulators[sequence.name] = accumulator
    table = motmetrics.metrics.create().compute_many(
        list(accumulators.values()),
        names=list(accumulators),
        metrics=["idf1", "mota", "num_switches"],
        generate_overall=True,
    )
    hotas = _hotas(scores)
    rows: dict[str, dict[str, float | None]] = {}
    for name in table.index:
        mine = [run for run in scores if name in (run.sequence.name, "OVERALL")]
        rows[str(name)] = {
            "IDF1": round(float(table.loc[name, "idf1"]), 3),
            "MOTA": round(float(table.loc[name, "mota"]), 3),
            "HOTA": hotas.get(str(name)),
            "switches": int(table.loc[name, "num_switches"]),
            "fps": round(sum(r.sequence.frames for r in mine) / sum(r.seconds for r in mine)),
        }
    return rows


def _hotas(scores: Sequence[Run]) -> dict[str, float]:
    """Return HOTA of each sequence and overall; nothing without TrackEval."""
    try:
        from trackeval.metrics import HOTA
    except ImportError:
        return {}
    with contextlib.redirect_stdout(io.StringIO()):
        measure = HOTA()
        found = {
            run.sequence.name: measure.eval_sequence(_hota_data(run.sequence, run.result))
            for run in scores
        }
        found["OVERALL"] = measure.combine_sequences(dict(found))
    return {name: round(float(np.mean(values["HOTA"])), 3) for name, values in found.items()}


def _boxes(rows: dict[int, Array], frame: int) -> Array:
    return rows.get(frame, np.zeros((0, 6)))


def _hota_data(sequence: MotSequence, result: dict[int, Array]) -> dict[str, Any]:
    """Return what TrackEval's metrics take: ids from 0, and the IoU of each pair."""
    truth_ids = {n: i for i, n in enumerate(_numbers(sequence.truth))}
    found_ids = {n: i for i, n in enumerate(_numbers(result))}
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for frame in range(1, sequence.frames + 1):
        truth, found = _boxes(sequence.truth, frame), _boxes(result, frame)
        data["gt_ids"].append(np.array([truth_ids[n] for n in truth[:, 0]], int))
        data["tracker_ids"].append(np.array([found_ids[n] for n in found[:, 0]], int))
        data["similarity_scores"].append(_iou(truth[:, 1:5], found[:, 1:5]))
    return data | {
        "num_gt_ids": len(truth_ids),
        "num_tracker_ids": len(found_ids),
        "num_gt_dets": sum(map(len, data["gt_ids"])),
        "num_tracker_dets": sum(map(len, data["tracker_ids"])),
    }


def _numbers(rows: dict[int, Array]) -> list[float]:
    return sorted({float(number) for table in rows.values() for number in table[:, 0]})


def _iou(one: Array, two: Array) -> Array:
    """Return the IoU of [left, top, w, h] boxes, shapes (n, 4) and (m, 4): (n, m)."""
    low = np.maximum(one[:, None, :2], two[None, :, :2])
    high = np.minimum((one[:, :2] + one[:, 2:])[:, None], (two[:, :2] + two[:, 2:])[None])
    both = np.maximum(high - low, 0).prod(2)
    area = one[:, 2:].prod(1)[:, None] + two[:, 2:].prod(1)[None]
    overlap: Array = both / np.maximum(area - both, 1e-9)
    return overlap


if __name__ == "__main__":
    main()
