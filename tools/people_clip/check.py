"""Check the clip: do a person detector's boxes agree with the truth?

    python check.py --video people.mp4 --truth people.truth.json --model DIR

`DIR` holds Open Model Zoo's person-detection-retail-0013 (.xml and .bin). Run it with the
project's own Python: it needs numpy, OpenCV and OpenVINO, not Blender.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openvino

Array = npt.NDArray[np.float32]

INPUT_SIZE = (544, 320)  # width, height
MATCH_IOU = 0.4
CLEARLY_VISIBLE = 0.5  # visible share from which a person must be found


def detect(model: Any, image: npt.NDArray[np.uint8]) -> Array:
    """Return people in a BGR `image`: shape (n, 5), [x0, y0, x1, y1 px, confidence]."""
    height, width = image.shape[:2]
    small = cv2.resize(image, INPUT_SIZE).transpose(2, 0, 1)[None].astype(np.float32)
    rows = model(small)[0].reshape(-1, 7)
    boxes = rows[:, [3, 4, 5, 6, 2]] * np.array([width, height, width, height, 1])
    return np.asarray(boxes, dtype=np.float32)


def iou(box: Array, boxes: Array) -> Array:
    """Return the overlap of `box` (4,) with `boxes` (n, 4), each 0..1."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    total = areas + np.prod(box[2:] - box[:2]) - shared
    return np.asarray(shared / np.maximum(total, 1e-9))


def match(found: Array, people: list[dict[str, Any]]) -> tuple[set[int], set[int]]:
    """Pair detections with people, best overlap first.

    Returns the numbers of the matched detections and of the matched people.
    """
    pairs = []
    for who, person in enumerate(people):
        for box in (person["box"], person["box_visible"]):
            overlaps = iou(np.array(box, dtype=np.float32), found[:, :4])
            pairs += [(float(o), which, who) for which, o in enumerate(overlaps)]
    detections: set[int] = set()
    matched: set[int] = set()
    for overlap, which, who in sorted(pairs, reverse=True):
        if overlap >= MATCH_IOU and which not in detections and who not in matched:
            detections.add(which)
            matched.add(who)
    return detections, matched


def main() -> None:
    """Print recall, precision and what was missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--confidence", type=float, default=0.5)
    options = parser.parse_args()
    truth = json.loads(options.truth.read_text())
    xml = next(options.model.rglob("*.xml"))
    model = openvino.Core().compile_model(xml, "CPU")
    capture = cv2.VideoCapture(str(options.video))
    wanted = hit = boxes = right = empty = false_in_empty = 0
    for frame in truth["frames"]:
        ok, image = capture.read()
        if not ok:
            raise SystemExit(f"{options.video}: ends before frame {frame['frame']} of the truth")
        found = detect(model, image)
        found = found[found[:, 4] >= options.confidence]
        people = frame["people"]
        detections, matched = match(found, people)
        boxes, right = boxes + len(found), right + len(detections)
        if not people:
            empty, false_in_empty = empty + 1, false_in_empty + len(found)
        for who, person in enumerate(people):
            if person["visible"] >= CLEARLY_VISIBLE:
                wanted, hit = wanted + 1, hit + (who in matched)
                if who not in matched:
                    sys.stdout.write(
                        "frame {frame}: visit {visit} missed, {visible:.0%} visible\n".format(
                            frame=frame["frame"], **person
                        )
                    )
        for which in set(range(len(found))) - detections:
            sys.stdout.write(f"frame {frame['frame']}: extra box {found[which].round(2)}\n")
    sys.stdout.write(
        f"recall {hit / max(wanted, 1):.3f} of {wanted} (visible >= {CLEARLY_VISIBLE:.0%}), "
        f"precision {right / max(boxes, 1):.3f} of {boxes}, "
        f"{empty} empty frames with {false_in_empty} boxes\n"
    )


if __name__ == "__main__":
    main()
