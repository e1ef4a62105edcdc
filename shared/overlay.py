r"""Drawing on pictures: what live.mjpg, snapshots and analyze's out.mp4 show.

Needs OpenCV (extras ``api``, ``capture``, ``inference``); import it only where pictures are drawn.

    +----------------------------------------------------+
    | people 2   13.2 ms   CPU   detector + pose  25 fps |   header, as much of it as fits
    |        +--+----+                                   |
    |        |3 |    |    the number is the track, its   |
    |        +--+ o  |    colour COLOURS[track % 10];    |
    |        |   /|\ |    a track that is no visit yet   |
    |        |   / \ |    has a thin box and an empty    |
    |        +-------+    label                          |
    +----------------------------------------------------+
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from posewire.shared.messages import Keypoint, ModelRun, TrackedPerson, TrackUpdate
from posewire.shared.settings import Areas
from posewire.shared.skeleton import COLOURS, LIMBS, as_array

Image = npt.NDArray[np.uint8]
_Colour = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_DUPLEX
_INK: _Colour = (24, 20, 18)
_PAPER: _Colour = (245, 245, 245)
_LEAST_SCORE = 0.05
"""Keypoints below are missing; decoders have cut at their own thresholds already."""
_SHIFT = 3
"""Fractional bits of drawn coordinates: sub-pixel positions keep slow motion smooth."""


def draw(
    image_bgr: Image, update: TrackUpdate, *, fps: float | None = None, areas: Areas | None = None
) -> None:
    """Draw people and header line of ``update`` into ``image_bgr``, in place.

    Args:
        image_bgr: uint8, shape (height, width, 3), contiguous; any size from 1x1.
        update: coordinates are relative, so the picture may be a scaled copy of the frame.
        fps: measured rate for the header; left out where None.
        areas: zones, lines and masks to draw below the people.
    """
    height, width = image_bgr.shape[:2]
    scale = min(max(min(width, height) / 480, 0.4), 6.0)
    if areas is not None:
        _draw_areas(image_bgr, areas, update.zones, scale)
    nearest_last = sorted(update.persons, key=lambda person: person.box[3])
    for person in nearest_last:
        _draw_person(image_bgr, person, scale)
    band = _draw_header(image_bgr, header_parts(update, fps), scale)
    # Below the header, or the numbers of people at the top could not be read.
    for person in nearest_last:
        _draw_label(image_bgr, person, scale, least_top=band)


def _draw_areas(image: Image, areas: Areas, people: Mapping[str, int], scale: float) -> None:
    """Draw zones with how many are in them, lines with an arrow for the first direction, masks."""
    height, width = image.shape[:2]
    thick, size = max(1, round(1.5 * scale)), 0.46 * scale

    def px(points: Sequence[tuple[float, float]]) -> npt.NDArray[np.int32]:
        return np.round(np.array(points) * (width, height)).astype(np.int32)

    for mask in areas.masks.values():
        shape = px(mask.points)
        dark = image // 3
        cv2.fillPoly(stencil := np.zeros((height, width), np.uint8), [shape], 1)
        image[stencil > 0] = dark[stencil > 0]
    for number, (name, zone) in enumerate(areas.zones.items()):
        shape, colour = px(zone.points), _bgr(number + 3)
        cv2.polylines(image, [shape], True, colour, thick, cv2.LINE_AA)
        place = (
            int(shape[:, 0].min()) + round(4 * scale),
            int(shape[:, 1].max()) - round(6 * scale),
        )
        text = f"{name} {people.get(name, 0)}"
        cv2.putText(image, text, place, _FONT, size, colour, thick, cv2.LINE_AA)
    for number, (name, line) in enumerate(areas.lines.items()):
        (start, end), colour = px(line.points), _bgr(number + 6)
        cv2.line(image, start.tolist(), end.tolist(), colour, thick + 1, cv2.LINE_AA)
        middle, along = (start + end) / 2, (end - start) / max(np.hypot(*(end - start)), 1e-6)
        tip = middle + np.array([along[1], -along[0]]) * 22 * scale
        foot, head = (np.round(point).astype(int).tolist() for point in (middle, tip))
        cv2.arrowedLine(image, foot, head, colour, thick, cv2.LINE_AA, tipLength=0.35)
        text = f"{name}: {line.directions[0]}"
        cv2.putText(image, text, head, _FONT, size, colour, thick, cv2.LINE_AA)


def header_parts(update: TrackUpdate, fps: float | None = None) -> list[str]:
    """Return the parts of the header line, the most important first."""
    parts = [f"people {update.people}", f"{update.inference_ms:.1f} ms"]
    runs = [run for run in (update.detector, update.pose) if run is not None]
    if runs:
        parts.append("/".join(dict.fromkeys(run.device for run in runs)))
    if fps is not None:
        parts.append(f"{fps:.1f} fps")
    if runs:
        parts.append(_models(runs))
    return parts


def _models(runs: Sequence[ModelRun]) -> str:
    precisions = list(dict.fromkeys(run.precision for run in runs))
    if len(precisions) == 1:
        return " + ".join(dict.fromkeys(run.model for run in runs)) + f" {precisions[0]}"
    return " + ".join(f"{run.model} {run.precision}" for run in runs)


def _bgr(track: int) -> _Colour:
    red, green, blue = COLOURS[track % len(COLOURS)]
    return blue, green, red


def _draw_person(image: Image, person: TrackedPerson, scale: float) -> None:
    height, width = image.shape[:2]
    colour = _bgr(person.track)
    confirmed = person.visit is not None
    thick = max(1, round((2.0 if confirmed else 1.0) * scale))
    box = np.nan_to_num(np.asarray(person.box, dtype=np.float64)).clip(-1, 2)
    px_box = box * (width, height, width, height)
    corner, opposite = _fixed(px_box[:2]), _fixed(px_box[2:])
    cv2.rectangle(image, corner, opposite, colour, thick, cv2.LINE_AA, _SHIFT)
    _draw_skeleton(image, person.keypoints, colour, scale)


def _draw_skeleton(
    image: Image, keypoints: Sequence[Keypoint], colour: _Colour, scale: float
) -> None:
    if not keypoints:
        return
    height, width = image.shape[:2]
    points = np.nan_to_num(as_array(keypoints))
    px_points = points[:, :2].clip(-1, 2) * np.array([width, height], dtype=np.float32)
    seen = points[:, 2] >= _LEAST_SCORE
    line, dot = max(1, round(2.2 * scale)), max(1.5, 3.0 * scale)
    limbs = [(a, b) for a, b in LIMBS if seen[a] and seen[b]]
    # A dark line below the coloured one keeps it readable on any background.
    for width_px, shade in ((line + max(1, round(1.5 * scale)), _INK), (line, colour)):
        for a, b in limbs:
            start, end = _fixed(px_points[a]), _fixed(px_points[b])
            cv2.line(image, start, end, shade, width_px, cv2.LINE_AA, _SHIFT)
    for index in np.flatnonzero(seen):
        centre = _fixed(px_points[index])
        cv2.circle(image, centre, _bits(dot + 0.8 * scale), _INK, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, centre, _bits(dot), _PAPER, -1, cv2.LINE_AA, _SHIFT)


def _draw_label(image: Image, person: TrackedPerson, scale: float, *, least_top: int) -> None:
    """Put the number on a tag above the box's top left corner, inside it where there is no room."""
    height, width = image.shape[:2]
    box = np.nan_to_num(np.asarray(person.box, dtype=np.float64)).clip(-1, 2)
    corner = (int(box[0] * width), int(box[1] * height))
    text, colour, filled = str(person.track), _bgr(person.track), person.visit is not None
    size, weight, pad = 0.62 * scale, max(1, round(1.2 * scale)), max(2, round(5 * scale))
    (text_width, text_height), _ = cv2.getTextSize(text, _FONT, size, weight)
    tag_width, tag_height = text_width + 2 * pad, text_height + 2 * pad
    left = max(0, min(corner[0], width - tag_width))
    above = corner[1] - tag_height
    top = above if above >= least_top else max(least_top, corner[1])
    top = max(0, min(top, height - tag_height))
    end = (left + tag_width, top + tag_height)
    cv2.rectangle(image, (left, top), end, colour if filled else _INK, -1)
    cv2.rectangle(image, (left, top), end, colour, max(1, round(scale)))
    ink = _INK if filled else colour
    place = (left + pad, top + pad + text_height)
    cv2.putText(image, text, place, _FONT, size, ink, weight, cv2.LINE_AA)


def _draw_header(image: Image, parts: Sequence[str], scale: float) -> int:
    """Draw the parts that fit, left to right, on a darkened band at the top; return its height."""
    height, width = image.shape[:2]
    size, weight = 0.46 * scale, max(1, round(scale))
    pad, gap = max(2, round(7 * scale)), max(4, round(14 * scale))
    left = pad
    placed: list[tuple[str, int]] = []
    text_height = 0
    for part in parts:
        (text_width, text_height), _ = cv2.getTextSize(part, _FONT, size, weight)
        if left + text_width + pad > width:
            break
        placed.append((part, left))
        left += text_width + gap
    band = text_height + 2 * pad
    if not placed or band > height // 2:
        return 0
    image[:band] = (image[:band].astype(np.uint16) * 2 // 5).astype(np.uint8)
    for part, start in placed:
        place = (start, pad + text_height)
        cv2.putText(image, part, place, _FONT, size, _PAPER, weight, cv2.LINE_AA)
    return band


def _fixed(point: npt.NDArray[np.floating]) -> tuple[int, int]:
    """Return a pixel point, shape (2,), in OpenCV's fixed-point notation."""
    return _bits(float(point[0])), _bits(float(point[1]))


def _bits(value: float) -> int:
    return round(value * (1 << _SHIFT))
