"""Tracks: people followed from frame to frame."""

from __future__ import annotations

import msgspec
import numpy as np

from services.tracker.association import assign, similarity
from services.tracker.geometry import Array, corner_form, grow, head_form, iou
from services.tracker.motion import Motion
from services.tracker.smoothing import OneEuro
from shared.messages import Person
from shared.settings import TrackerSettings
from shared.skeleton import KEYPOINTS

_LEAST_SURE = 0.2
"""Similarity from which a sure detection continues a track."""
_LEAST_UNSURE = 0.35
"""The same for an unsure one, which has to lie where the track is expected."""
_UNSURE_WITHIN_S = 1.0
"""Unsure detections continue only tracks seen this recently."""
_SURE_WITHIN_S = 2.0
"""After this, where a hidden person would be is a guess: it is the visits' to find them again."""
_TENTATIVE_GAP_S = 0.35
"""A track that is nobody's visit yet and unseen for this long was noise."""
_WIDEN_PER_S = 0.4
_MOST_WIDENING = 0.6
_SAME_PERSON_IOU = 0.7
"""An unmatched detection that overlaps a matched one this much is a double."""


class Track(msgspec.Struct):
    """One person followed through the frames. Boxes in isotropic units (picture heights)."""

    number: int
    motion: Motion
    smoother: OneEuro
    box: list[float]
    """Where the person was last seen, [cx, top, w, h]."""
    first_box: list[float]
    points: list[list[float]]
    """The last skeleton, 18 x [x, y, score], unsmoothed; empty where there was none."""
    first_seq: int
    first_t: float
    last_seq: int
    last_t: float
    score: float
    frames: int = 1
    """Frames since it began."""
    sightings: int = 1
    sure_sightings: int = 0
    visit: int | None = None

    def sight(self, box: Array, points: Array, score: float, *, sure: bool) -> None:
        """Take in a detection: box [cx, top, w, h], skeleton (18, 3)."""
        self.motion.correct(box, score)
        self.box = box.tolist()
        if points[:, 2].any():
            self.points = points.tolist()
        self.score = score
        self.sightings += 1
        self.sure_sightings += sure


class Sighting(msgspec.Struct):
    """What of a track was seen in a frame: its detection, and its keypoints smoothed."""

    track: Track
    person: Person
    points: list[list[float]]
    """18 x [x, y, score] in isotropic units; empty for a box alone."""


class Tracks(msgspec.Struct):
    """All tracks of a session."""

    aspect: float
    """Picture width over height."""
    alive: list[Track] = []
    next_number: int = 1
    t: float | None = None

    def update(
        self, persons: tuple[Person, ...], seq: int, t: float, settings: TrackerSettings
    ) -> list[Sighting]:
        """Take in a frame's people at ``t`` seconds; return which track each of them is.

        People who are nobody's (unsure, or doubles) are left out.
        """
        seconds = 0.0 if self.t is None else max(t - self.t, 0.0)
        for track in self.alive:
            track.motion.predict(seconds, seen=track.last_t == self.t)
            track.frames += 1
        self.t = t
        boxes = self._boxes(persons)
        points = self._points(persons)
        scores = np.array([person.score for person in persons])
        pairs = self._associate(boxes, points, scores, t, settings)
        seen = []
        for index, track in sorted(pairs.items()):
            sure = bool(scores[index] >= settings.high_score)
            track.sight(boxes[index], points[index], persons[index].score, sure=sure)
            track.last_seq, track.last_t = seq, t
            seen.append((track, index))
        for index in self._new(boxes, scores, pairs, settings):
            seen.append((self._begin(boxes[index], points[index], persons[index], seq, t), index))
            if scores[index] >= settings.high_score:
                self.alive[-1].sure_sightings = 1
        self.alive = [
            track
            for track in self.alive
            if track.visit is not None or t - track.last_t <= _TENTATIVE_GAP_S
        ]
        return [
            Sighting(track, persons[index], self._smooth(track, points[index], seconds, settings))
            for track, index in seen
        ]

    def _associate(
        self, boxes: Array, points: Array, scores: Array, t: float, settings: TrackerSettings
    ) -> dict[int, Track]:
        """Return which track each matched detection is: {detection: track}."""
        pairs: dict[int, Track] = {}
        sure = np.flatnonzero(scores >= settings.high_score)
        rest = np.flatnonzero(scores < settings.high_score)
        for stage, least in ((sure, _LEAST_SURE), (rest, _LEAST_UNSURE)):
            taken = {track.number for track in pairs.values()}
            tracks = [track for track in self.alive if track.number not in taken]
            within_s = _UNSURE_WITHIN_S if stage is rest else _SURE_WITHIN_S
            tracks = [track for track in tracks if t - track.last_t <= within_s]
            if not tracks or not len(stage):
                continue
            unseen_s = np.array([t - track.last_t for track in tracks])
            likeness = similarity(
                np.array([track.motion.position for track in tracks]),
                np.minimum(0.1 + _WIDEN_PER_S * unseen_s, _MOST_WIDENING),
                np.stack([_moved_points(track) for track in tracks]),
                boxes[stage],
                points[stage],
            )
            for row, column in assign(likeness, least):
                pairs[int(stage[column])] = tracks[row]
        return pairs

    def _new(
        self, boxes: Array, scores: Array, pairs: dict[int, Track], settings: TrackerSettings
    ) -> list[int]:
        """Return the detections that begin a track."""
        fresh = [
            index
            for index in range(len(boxes))
            if index not in pairs and scores[index] >= settings.seed_score
        ]
        if not fresh or not pairs:
            return fresh
        corners = corner_form(boxes)
        overlap = iou(corners[fresh], corners[list(pairs)]).max(axis=1)
        return [i for i, most in zip(fresh, overlap, strict=True) if most < _SAME_PERSON_IOU]

    def _begin(self, box: Array, points: Array, person: Person, seq: int, t: float) -> Track:
        track = Track(
            number=self.next_number,
            motion=Motion.begin(box),
            smoother=OneEuro.begin(len(KEYPOINTS)),
            box=box.tolist(),
            first_box=box.tolist(),
            points=points.tolist() if points[:, 2].any() else [],
            first_seq=seq,
            first_t=t,
            last_seq=seq,
            last_t=t,
            score=person.score,
        )
        self.next_number += 1
        self.alive.append(track)
        return track

    def _smooth(
        self, track: Track, points: Array, seconds: float, settings: TrackerSettings
    ) -> list[list[float]]:
        present = points[:, 2] > 0
        if not settings.smoothing:
            return points.tolist() if present.any() else []
        smoothed = points.copy()
        smoothed[:, :2] = track.smoother.smooth(
            points[:, :2],
            present,
            seconds,
            min_cutoff_hz=settings.smoothing_min_cutoff_hz,
            beta=settings.smoothing_beta,
            size=track.box[3],
        )
        return smoothed.tolist() if present.any() else []

    def _boxes(self, persons: tuple[Person, ...]) -> Array:
        boxes = np.array([person.box for person in persons], dtype=np.float64).reshape(-1, 4)
        return head_form(boxes * np.array([self.aspect, 1.0, self.aspect, 1.0]))

    def _points(self, persons: tuple[Person, ...]) -> Array:
        points = np.zeros((len(persons), len(KEYPOINTS), 3))
        for index, person in enumerate(persons):
            if person.keypoints:
                points[index] = person.keypoints
        isotropic: Array = points * np.array([self.aspect, 1.0, 1.0])
        return isotropic


def _moved_points(track: Track) -> Array:
    """Return the last skeleton where the motion says it should be by now, shape (18, 3)."""
    if not track.points:
        return np.zeros((len(KEYPOINTS), 3))
    points = np.array(track.points)
    points[:, :2] += np.array(track.motion.position[:2]) - np.array(track.box[:2])
    return points


def inside_share(inner: list[float], outer: list[float]) -> float:
    """Return the share of box ``inner`` that lies in box ``outer``; both [cx, top, w, h]."""
    boxes = corner_form(np.array([inner, outer]))
    a, b = grow(boxes, np.zeros(2))
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    area = (a[2] - a[0]) * (a[3] - a[1])
    return float(max(width, 0) * max(height, 0) / max(area, 1e-12))
