"""Reading what detectors answer: people's boxes in pixels of the network's input.

Every reader returns float32, shape (n, 5), [x0, y0, x1, y1, score], in any order.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Outputs = dict[str, Array]


def read_ssd(output: Array, shape: tuple[int, int], person_label: int) -> Array:
    """Read SSD's ``detection_out``, shape (1, 1, n, 7): [image, label, score, x0, y0, x1, y1].

    Coordinates are relative to the input, ``shape`` (height, width). Rows from the first with a
    negative image id on are unused.
    """
    rows = output.reshape(-1, 7)
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows
    rows = rows[rows[:, 1] == person_label]
    height, width = shape
    corners = rows[:, 3:7] * np.array([width, height] * 2, np.float32)
    return np.concatenate([corners, rows[:, 2:3]], axis=1)


def read_atss(outputs: Outputs, person_label: int) -> Array:
    """Read ``boxes``, shape (n, 5), and ``labels``, (n,), of person-detection-0203 and others."""
    boxes: Array = outputs["boxes"][outputs["labels"] == person_label]
    return boxes


def read_picodet(outputs: Outputs, nms_iou: float) -> Array:
    """Read PicoDet's boxes, (1, n, 4), and probabilities of one class, (1, 1, n).

    Yu et al., "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", 2021.
    """
    boxes = next(array for array in outputs.values() if array.shape[-1] == 4)
    scores = next(array for array in outputs.values() if array.shape[-1] != 4)
    return suppress(boxes.reshape(-1, 4), scores.reshape(-1), nms_iou)


def read_rtmdet(outputs: Outputs, nms_iou: float, shape: tuple[int, int]) -> Array:
    """Read RTMDet's maps, one a stride, (1, h, w, 5): logit, then left, top, right, bottom.

    The distances are pixels of the input from the cell's corner, which lies at cell x stride. Lyu
    et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", 2022.
    """
    boxes, scores = [], []
    for output in outputs.values():
        cells = output.reshape(-1, 5)
        points = _points(output.shape[1:3], shape[0] / output.shape[1])
        boxes.append(np.concatenate([points - cells[:, 1:3], points + cells[:, 3:5]], axis=1))
        scores.append(1 / (1 + np.exp(-cells[:, 0])))
    return suppress(np.concatenate(boxes), np.concatenate(scores), nms_iou)


def read_yolox(output: Array, nms_iou: float, shape: tuple[int, int], person_label: int) -> Array:
    """Read YOLOX's rows, (1, n, 5 + classes): centre, size, objectness, probabilities of classes.

    Strides 8, 16 and 32; centre and size are relative to the cell and logarithmic, as the official
    export leaves them. Ge et al., "YOLOX: Exceeding YOLO Series in 2021".
    """
    rows = output.reshape(-1, output.shape[-1])
    points, strides = [], []
    for stride in (8, 16, 32):
        cells = (shape[0] // stride, shape[1] // stride)
        points.append(_points(cells, stride))
        strides.append(np.full((cells[0] * cells[1], 1), stride, np.float32))
    scale = np.concatenate(strides)
    centre = rows[:, :2] * scale + np.concatenate(points)
    size = np.exp(np.minimum(rows[:, 2:4], 20)) * scale
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    return suppress(boxes, rows[:, 4] * rows[:, 5 + person_label], nms_iou)


def _points(cells: tuple[int, ...], stride: float) -> Array:
    y, x = np.mgrid[: cells[0], : cells[1]]
    return np.asarray(np.stack([x, y], -1).reshape(-1, 2) * stride, np.float32)


_LEAST = 0.05
"""Scores below are never looked at; cells by the thousand have them."""


def suppress(boxes: Array, scores: Array, most_iou: float) -> Array:
    """Return the boxes less those that a better one overlaps by more than ``most_iou``.

    Args:
        boxes: shape (n, 4).
        scores: shape (n,).
        most_iou: raise it where people stand close together, lower it against doubles.
    """
    good = np.flatnonzero((scores >= _LEAST) & np.isfinite(boxes).all(1))
    sized = np.concatenate([boxes[good, :2], boxes[good, 2:] - boxes[good, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(sized.tolist(), scores[good].tolist(), _LEAST, most_iou)
    rows = good[np.asarray(kept, np.intp).reshape(-1)]
    return np.concatenate([boxes[rows], scores[rows, None]], axis=1).astype(np.float32)


def fuse(one: Array, other: Array, least_iou: float) -> Array:
    """Return the boxes of two looks at one picture, best first.

    Boxes of one person are averaged by their scores, and their score is the mean, so who was seen
    once only is half as sure: Solovyev et al., "Weighted boxes fusion", 2021.

    Args:
        one, other: shape (n, 5), [x0, y0, x1, y1, score].
        least_iou: from here two boxes are one person's.
    """
    boxes = np.concatenate([one, other])
    origin = np.repeat([0, 1], [len(one), len(other)])
    free = np.ones(len(boxes), dtype=bool)
    fused = []
    for index in np.argsort(-boxes[:, 4], kind="stable"):
        if not free[index]:
            continue
        free[index] = False
        overlaps = iou_with(boxes[index, :4], boxes[:, :4])
        overlaps[~free | (origin == origin[index])] = 0
        partner = int(overlaps.argmax())
        pair = boxes[[index]]
        if overlaps[partner] >= least_iou:
            free[partner] = False
            pair = boxes[[index, partner]]
        weights = pair[:, 4:]
        place = (pair[:, :4] * weights).sum(0) / max(float(weights.sum()), 1e-9)
        fused.append([*place, weights.sum() / 2])
    found = np.array(fused, np.float32).reshape(-1, 5)
    return found[np.argsort(-found[:, 4], kind="stable")]


def iou_with(box: Array, boxes: Array) -> Array:
    """Return the intersection over union of a box, (4,), with each of ``boxes``, (n, 4)."""
    wide = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    high = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    both = np.clip(wide, 0, None) * np.clip(high, 0, None)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    own = (box[2] - box[0]) * (box[3] - box[1])
    return np.asarray(both / np.maximum(areas + own - both, 1e-9), np.float32)
