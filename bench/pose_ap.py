"""COCO keypoint AP of the real pipeline, with time and compute, for each preset.

    python -m bench.pose_ap --coco ANN.json --images DIR [--json]
        [--presets fast,balanced,accurate] [--models auto,movenet-multipose-lightning]
        [--folds K] [--errors] [--overlays DIR]

Any COCO-style annotations of keypoints do. ``compute`` is the pose network's input pixels per image
over 256x456; ``detector`` the detector's over its own 320x544. A person's score for the ranking is
the sum of its keypoints' scores: COCO asks how likely all of them are right. ``box_AP`` is the AP
of the people's boxes against all annotated people. ``--folds K`` draws the images K times with
replacement (Efron's bootstrap) and gives the interval in which 90 % of the APs lie. ``--errors``
tells what kinds of errors are left, after Ronchi & Perona, "Benchmarking and Error Diagnosis in
Multi-Instance Pose Estimation", ICCV 2017.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.keypoint_errors import diagnose
from posewire.inference.pipeline import PersonPipeline
from posewire.inference.presets import PRESETS
from posewire.inference.regions import FULL_AREA
from posewire.inference.registry import MOVENET, OPENVINO_ZOO, PP_TINYPOSE
from posewire.inference.watch import Findings
from posewire.shared.errors import ModelError
from posewire.shared.messages import FrameHeader, ModelRun, TrackedPerson, TrackUpdate
from posewire.shared.overlay import draw
from posewire.shared.settings import load_settings
from posewire.shared.skeleton import as_array, to_coco

CROWD = 10
DETECTOR_AREA = 320 * 544
_NAMES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coco", type=Path, required=True, help="annotations, COCO's format")
    parser.add_argument("--images", type=Path, required=True, help="folder with the images")
    parser.add_argument("--presets", default="fast,balanced,accurate")
    parser.add_argument("--models", default=f"{PP_TINYPOSE.name},{OPENVINO_ZOO.name},{MOVENET}")
    parser.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="K",
        help="draw the images K times: an AP's interval",
    )
    parser.add_argument("--errors", action="store_true", help="what the remaining errors are")
    parser.add_argument("--overlays", type=Path, help="write pictures with the results drawn in")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for path in (options.coco, options.images):
        if not path.exists():
            parser.error(f"no such file or folder: {path}")
    for preset in options.presets.split(","):
        if preset not in PRESETS:
            parser.error(f"unknown preset {preset!r}: {', '.join(PRESETS)}")
    try:
        from pycocotools.coco import COCO
    except ImportError:
        parser.error("pycocotools is missing: pip install 'posewire[bench]'")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(options.coco))
    rows = []
    for model in options.models.split(","):
        for preset in options.presets.split(","):
            row = asyncio.run(_measure(truth, options, model, preset))
            rows.append(row)
            if not options.json:
                _print(row, first=len(rows) == 1)
    if options.json:
        print(json.dumps(rows, indent=2))


async def _measure(
    truth: Any, options: argparse.Namespace, model: str, preset: str
) -> dict[str, Any]:
    """Return accuracy and cost of ``model`` under ``preset`` over all images."""
    settings = load_settings(None, {"inference": {"model": model, "preset": preset}}).inference
    try:
        pipeline = await PersonPipeline.open(settings)
    except ModelError as error:
        return {"model": model, "preset": preset, "skipped": str(error)}
    try:
        found: dict[int, Findings] = {}
        names = {key: truth.loadImgs(key)[0]["file_name"] for key in truth.getImgIds()}
        for warm in (True, False):
            # The first round compiles the networks for the shapes that are needed.
            for key, name in names.items():
                path = options.images / name
                found[key] = await _examine(pipeline, path)
                if not warm and options.overlays:
                    _overlay(path, found[key], options.overlays / f"{model}-{preset}")
    finally:
        await pipeline.close()
    detections = [row for key in found for row in _rows(truth, key, found[key])]
    result: dict[str, Any] = {"model": model, "preset": preset, "images": len(found)}
    result["people"] = sum(len(one.persons) for one in found.values())
    result |= _scores(truth, detections, options.folds) | _costs(found)
    boxes = [row for key in found for row in _box_rows(truth, key, found[key])]
    result["box_AP"] = round(float(_evaluated(truth, boxes, "bbox").stats[0]), 3) if boxes else 0.0
    if options.errors:
        result["errors"] = diagnose(truth, detections)
    return result


async def _examine(pipeline: PersonPipeline, path: Path) -> Findings:
    prepared = await pipeline.prepare(path.read_bytes())
    if prepared is None:
        sys.exit(f"{path} is not a picture")
    return await pipeline.examine(prepared)


def _rows(truth: Any, key: int, findings: Findings) -> list[dict[str, Any]]:
    """Return one image's people as COCO's results."""
    size = truth.loadImgs(key)[0]
    rows = []
    for person in findings.persons:
        points = to_coco(as_array(person.keypoints)) * (size["width"], size["height"], 1)
        if (points[:, 2] > 0).any():
            rows.append(
                {
                    "image_id": key,
                    "category_id": 1,
                    "keypoints": [float(value) for value in points.reshape(-1)],
                    "score": float(points[:, 2].sum()),
                }
            )
    return rows


def _box_rows(truth: Any, key: int, findings: Findings) -> list[dict[str, Any]]:
    """Return one image's people as COCO's results of detection."""
    size = truth.loadImgs(key)[0]
    rows = []
    for person in findings.persons:
        x0, y0, x1, y1 = np.array(person.box) * ([size["width"], size["height"]] * 2)
        box = [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
        rows.append({"image_id": key, "category_id": 1, "bbox": box, "score": person.score})
    return rows


def _scores(truth: Any, detections: list[dict[str, Any]], folds: int) -> dict[str, Any]:
    if not detections:
        return dict.fromkeys(_NAMES, 0.0)
    evaluation = _evaluated(truth, detections, "keypoints")
    scores: dict[str, Any] = {
        name: round(float(value), 3) for name, value in zip(_NAMES, evaluation.stats, strict=True)
    }
    if folds:
        scores["AP_90"] = [round(value, 3) for value in _interval(evaluation, folds)]
    return scores


def _evaluated(truth: Any, detections: list[dict[str, Any]], kind: str) -> Any:
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(detections), kind)
        evaluation.params.catIds = [1]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def _interval(evaluation: Any, folds: int) -> tuple[float, float]:
    """Return the 5th and the 95th percentile of the APs of ``folds`` draws of the images."""
    images = len(evaluation.params.imgIds)
    # Matches within an image do not change, so only what is accumulated is drawn anew.
    per_image = np.array(evaluation.evalImgs, dtype=object).reshape(-1, images)
    places = list(range(images))
    evaluation.params.imgIds = evaluation._paramsEval.imgIds = places
    random = np.random.default_rng(0)
    values = []
    for _fold in range(folds):
        drawn = random.integers(0, images, images)
        evaluation.evalImgs = per_image[:, drawn].reshape(-1).tolist()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
            evaluation.summarize()
        values.append(float(evaluation.stats[0]))
    low, high = np.percentile(values, [5, 95])
    return float(low), float(high)


def _costs(found: dict[int, Findings]) -> dict[str, float | None]:
    everything = list(found.values())

    def mean(values: list[float]) -> float:
        return round(statistics.mean(values), 2)

    def share(runs: list[ModelRun | None], area: int) -> float:
        return mean([(run.pixels if run else 0) / area for run in runs])

    def ms(runs: list[ModelRun | None]) -> float:
        return mean([run.ms if run else 0.0 for run in runs])

    poses, detectors = [f.pose for f in everything], [f.detector for f in everything]
    return {
        "compute": share(poses, FULL_AREA),
        "detector": share(detectors, DETECTOR_AREA),
        "ms": mean([f.total_ms for f in everything]),
        "ms_pose": ms(poses),
        "ms_detector": ms(detectors),
        "ms_decode": mean([f.decode_ms for f in everything]),
        "decode_share_of_crowds": _decode_share(everything),
    }


def _decode_share(everything: list[Findings]) -> float | None:
    """Return the decoder's time over the network's, on images with ten people or more."""
    crowds = [f for f in everything if f.pose is not None and len(f.persons) >= CROWD]
    if not crowds:
        return None
    network = sum(f.pose.ms for f in crowds if f.pose is not None)
    return round(sum(f.decode_ms for f in crowds) / network, 3)


def _overlay(source: Path, findings: Findings, folder: Path) -> None:
    picture = np.ascontiguousarray(cv2.imread(str(source)), dtype=np.uint8)
    height, width = picture.shape[:2]
    header = FrameHeader(
        camera="bench", session="", seq=0, t=0, captured_at=0, width=width, height=height, source=""
    )
    people = tuple(
        TrackedPerson(track=n, visit=n, box=p.box, score=p.score, keypoints=p.keypoints)
        for n, p in enumerate(findings.persons, 1)
    )
    update = TrackUpdate(
        frame=header, frame_id="", persons=people, people=len(people), detector=findings.detector,
        pose=findings.pose, inference_ms=findings.total_ms,
    )  # fmt: skip
    draw(picture, update)
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{source.stem}.jpg"), picture)


def _print(row: dict[str, Any], *, first: bool) -> None:
    columns = ("AP", "AP50", "AP75", "APm", "APl", "box_AP", "people", "compute", "ms", "ms_pose")
    if first:
        print(f"{'model':28} {'preset':9}" + "".join(f"{name:>10}" for name in columns))
    head = f"{row['model']:28} {row['preset']:9}"
    if "skipped" in row:
        print(head, "skipped:", row["skipped"])
        return
    digits = {name: 3 if "AP" in name else 2 for name in columns} | {"people": 0}
    print(head + "".join(f"{row[name]:10.{digits[name]}f}" for name in columns))
    if "AP_90" in row:
        print("    AP, 90 % of draws: {} to {}".format(*row["AP_90"]))
    for kind, share in row.get("errors", {}).items():
        print(f"    {kind:12} {share:6.1%}")


if __name__ == "__main__":
    main()
